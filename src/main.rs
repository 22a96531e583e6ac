//! The process: arguments in, an exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use cloakroom::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().command.run()
}
