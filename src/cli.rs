//! Command line: which command, with which arguments.
//!
//! Comes in: the process's arguments. Goes out: one [`Command`], whose `run` ends in an exit code: 0 done, 1 failed while
//! running or a negative answer, 2 wrong command line, 78 bad configuration. Never does the work itself.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Problems, Source};

pub mod check;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod hash_password;
pub mod healthcheck;
pub mod init;
pub mod man;
pub mod program_log;
pub mod schema;
pub mod serve;
pub mod sessions;
pub mod users;

/// The exit code for a bad configuration (EX_CONFIG of sysexits.h).
pub const BAD_CONFIGURATION: u8 = 78;

/// A reverse proxy that adds sessions, cookies and login to applications that have none.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One file per command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it: a gateway with a small application behind it, no file needed
    Demo(demo::Args),
    /// Run the gateway
    Serve(serve::Args),
    /// Check a configuration: all errors, each with its place
    Check(check::Args),
    /// Tell which route and which rule a request meets, and what the application would receive
    Explain(explain::Args),
    /// Write a commented configuration to start from
    Init(init::Args),
    /// Print the JSON Schema of the configuration, or the tables of a database
    Schema(schema::Args),
    /// Hash a password for `users`
    HashPassword(hash_password::Args),
    /// Add, list and remove users in a users file
    Users(users::Args),
    /// List, show and end the sessions of a running gateway
    Sessions(sessions::Args),
    /// Ask a running gateway whether it is ready
    Healthcheck(healthcheck::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

impl Command {
    /// Carries the command out.
    pub fn run(self) -> ExitCode {
        match self {
            Command::Demo(args) => ended(demo::run(&args, |yaml| {
                serve::serve(&Source::Text { name: "<demo>".to_owned(), text: yaml.to_owned() })
            })),
            Command::Serve(args) => ended(serve::run(&args)),
            Command::Check(args) => check::run(args),
            Command::Explain(args) => explain::run(args),
            Command::Init(args) => init::run(args),
            Command::Schema(args) => schema::run(args),
            Command::HashPassword(args) => ended(hash_password::run(&args)),
            Command::Users(args) => ended(users::run(&args)),
            Command::Sessions(args) => ended(sessions::run(&args)),
            Command::Healthcheck(args) => ended(healthcheck::run(&args)),
            Command::Completions(args) => ended(completions::run(&args, Cli::command())),
            Command::Man(args) => ended(man::run(&args, Cli::command())),
        }
    }
}

/// Where a command finds its configuration.
#[derive(Debug, Default, clap::Args)]
pub struct ConfigArgs {
    /// The configuration; `-` reads standard input [default: cloakroom.yaml here, or /etc/cloakroom/cloakroom.yaml]
    #[arg(short, long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration's source: as given, else `cloakroom.yaml` here, else the system's.
    pub fn source(&self) -> std::io::Result<Source> {
        const HERE: &str = "cloakroom.yaml";
        const SYSTEM: &str = "/etc/cloakroom/cloakroom.yaml";
        match &self.config {
            Some(path) if path.as_os_str() == "-" => Source::stdin(),
            Some(path) => Ok(Source::File(path.clone())),
            None if !Path::new(HERE).exists() && Path::new(SYSTEM).exists() => {
                Ok(Source::File(SYSTEM.into()))
            }
            None => Ok(Source::File(HERE.into())),
        }
    }
}

/// Prints to standard output; a reader that has gone away is not a failure.
pub fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(&error),
        _ => ExitCode::SUCCESS,
    }
}

fn ended(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| failed(&format_args!("{error:#}")))
}

/// Says why a command failed.
pub fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("cloakroom: {why}");
    ExitCode::FAILURE
}

/// Says what is wrong with a configuration.
pub fn bad_configuration(problems: &Problems) -> ExitCode {
    eprint!("{}", problems.render(std::io::stderr().is_terminal()));
    ExitCode::from(BAD_CONFIGURATION)
}
