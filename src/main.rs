//! The process: arguments, and one match from command to function.

use std::process::ExitCode;

use clap::Parser;
use cloakroom::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().command.run()
}
