//! The gateway as a whole: bytes in, bytes out, with an application behind it that says what it saw.
//!
//! Every test starts a gateway of its own on a free port, from YAML, and speaks to it as a client would. In reading
//! order: what the tests stand on, then the wire and what is behind it, people and their sessions, the configuration,
//! the program, the house.

mod support;

mod access_log;
mod headers;
mod http2;
mod limits;
mod paths;
mod upstream_faults;
mod wire;

mod login;
mod sessions;

mod config;
mod config_cli;
mod config_example;

mod command_line;

mod tidy;
