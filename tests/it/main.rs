//! The gateway from outside: raw bytes in, raw bytes out, with an application behind it that says what it saw.
//!
//! Every test of requests starts a gateway of its own on a free port, from YAML, and speaks to it as a client would. In
//! reading order: what the tests stand on, the wire and so outward, then configuration and commands.

mod support;

mod upstream_faults;
mod wire;

mod command_line;
mod config;
mod config_example;
