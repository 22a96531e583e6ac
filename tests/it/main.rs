//! The gateway as a whole: raw bytes in, raw bytes out, with an application behind it that says what it saw.
//!
//! Every test starts a gateway of its own on a free port, from YAML, and speaks to it as a client would. In reading
//! order: what the tests stand on, then the wire, and so outward.

mod support;

mod smuggling;
mod wire;

mod fields;
mod headers;
mod paths;

mod http2;

mod interim;
mod upstream_faults;
mod upstream_pool;

mod pressure;
mod streaming;

mod limits;

mod isolation;

mod access_log;
