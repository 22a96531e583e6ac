//! `cloakroom check`: everything that is wrong with a configuration.
//!
//! Comes in: a configuration. Goes out: one line or JSON on standard output when it is good, every error when it is not;
//! 0 or 78. Never writes a file, never opens a socket.

use std::io::IsTerminal;
use std::process::ExitCode;

use serde_json::json;

use super::ConfigArgs;
use crate::config::{self, Diagnostic};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How to say it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, on standard error
    Text,
    /// For programs, on standard output
    Json,
}

/// Checks a configuration.
pub fn run(args: Args) -> ExitCode {
    let source = match args.config.source() {
        Ok(source) => source,
        Err(error) => return super::failed(&format_args!("cannot read standard input: {error}")),
    };
    let name = source.name();
    match (config::inspect(&source), args.format) {
        (Ok(config), Format::Text) => {
            let colours = std::io::stderr().is_terminal();
            for warning in &config.warnings {
                eprintln!("{}\n", warning.render(colours));
            }
            let (routes, upstreams) = (config.routes.len(), config.upstreams.len());
            let line = format!("{name}: ok, {}, {}\n", count(routes, "route"), count(upstreams, "upstream"));
            super::print(&line)
        }
        (Err(problems), Format::Text) => super::bad_configuration(&problems),
        (Ok(config), Format::Json) => {
            print_json(&name, true, &config.warnings, Some((config.routes.len(), config.upstreams.len())));
            ExitCode::SUCCESS
        }
        (Err(problems), Format::Json) => {
            print_json(&name, false, problems.diagnostics(), None);
            ExitCode::from(super::BAD_CONFIGURATION)
        }
    }
}

fn print_json(name: &str, ok: bool, diagnostics: &[Diagnostic], counts: Option<(usize, usize)>) {
    let mut answer = json!({ "file": name, "ok": ok, "diagnostics": diagnostics });
    if let Some((routes, upstreams)) = counts {
        answer["routes"] = routes.into();
        answer["upstreams"] = upstreams.into();
    }
    super::print(&format!("{answer:#}\n"));
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
