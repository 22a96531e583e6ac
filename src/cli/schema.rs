//! `cloakroom schema`: the JSON Schema of the configuration, for editors.
//!
//! Comes in: nothing. Goes out: JSON on standard output. Never reads a configuration.

use std::process::ExitCode;

/// Arguments: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the schema.
pub fn run(_: Args) -> ExitCode {
    super::print(&format!("{:#}\n", crate::config::schema()))
}
