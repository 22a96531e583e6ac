//! `cloakroom serve`: runs the gateway until it is told to stop.
//!
//! Comes in: a configuration, then signals. HUP reloads it, USR1 opens logs anew, TERM and INT drain and end with 0, a
//! second one ends at once. A configuration that cannot be used changes nothing and is reported in full.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use super::program_log::{Form, ProgramLog};
use super::{ConfigArgs, bad_configuration};
use crate::assembly::Running;
use crate::clock::Clock;
use crate::config::{self, Config, LogSettings, Source};

mod descriptors;

/// Arguments of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Runs the gateway.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    serve(&args.config.source().context("cannot read standard input")?)
}

/// Runs the gateway with the configuration of `source`.
pub fn serve(source: &Source) -> anyhow::Result<ExitCode> {
    let mut config = match config::load(source) {
        Ok(config) => config,
        Err(problems) => return Ok(bad_configuration(&problems)),
    };
    let log = ProgramLog::start(level(&config.log), if config.log.json { Form::Json } else { Form::Text })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    config.limits.connections = descriptors::fit(config.limits.connections, config.workers)?;
    warn(&config);
    let mut running = Running::start(config, Clock::System)?;
    announce(&running);
    loop {
        match runtime.block_on(signals.next()) {
            Told::Reload => reload(source, &mut running, &log),
            Told::ReopenLogs => running.reopen_logs(),
            Told::Stop => break,
        }
    }
    tracing::info!("stopping: requests under way are finished; a second signal ends at once");
    std::thread::spawn(move || {
        while !matches!(runtime.block_on(signals.next()), Told::Stop) {}
        tracing::warn!("ended at once");
        std::process::exit(1);
    });
    running.stop();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn reload(source: &Source, running: &mut Running, log: &ProgramLog) {
    let mut config = match config::load(source) {
        Ok(config) => config,
        Err(problems) => return tracing::error!("not reloaded, the old configuration stays:\n{problems}"),
    };
    match descriptors::fit(config.limits.connections, config.workers) {
        Ok(connections) => config.limits.connections = connections,
        Err(error) => return tracing::error!("not reloaded, the old configuration stays: {error}"),
    }
    warn(&config);
    let level = level(&config.log);
    match running.reload(config) {
        Ok(()) => {
            if let Err(error) = log.set_level(level) {
                tracing::error!("the log's level stays: {error}");
            }
            tracing::info!("reloaded");
        }
        Err(error) => tracing::error!("not reloaded, the old configuration stays: {error}"),
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{}", warning.message);
    }
}

fn announce(running: &Running) {
    for address in running.addresses() {
        tracing::info!("listening on {address}");
    }
    for socket in running.sockets() {
        tracing::info!("listening on {socket}");
    }
    if let Some(address) = running.admin_address() {
        tracing::info!("operators: http://{address}/readyz");
    }
}

fn level(log: &LogSettings) -> LevelFilter {
    log.level.parse().unwrap_or(LevelFilter::INFO)
}

/// What a signal says.
enum Told {
    Reload,
    ReopenLogs,
    Stop,
}

struct Signals {
    hangup: Signal,
    user1: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user1.recv() => Told::ReopenLogs,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
        }
    }
}
