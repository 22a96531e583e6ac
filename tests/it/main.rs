//! The gateway from outside: bytes in, bytes out, with an application behind it that says what it saw.
//!
//! Every test of requests starts a gateway of its own on a free port, from YAML, and speaks to it as a client would. In
//! reading order: what the tests stand on, the wire, people and their sessions, configuration and commands, the house.

mod support;

mod wire;

mod access;
mod login;
mod sessions;

mod command_line;
mod config;
mod config_example;
mod program;

mod tidy;
