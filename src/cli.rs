//! Command line: one file per command.
//!
//! Comes in: arguments that clap has read. Goes out: an exit code, or an error that `main` prints. Commands never call
//! each other's `run`.

pub mod completions;
pub mod demo;
pub mod hash_password;
pub mod healthcheck;
pub mod man;
pub mod program_log;
pub mod users;
