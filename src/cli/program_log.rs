//! Program log: what the gateway says about itself, on standard error.
//!
//! Comes in: a level and a form, from the configuration or `CLOAKROOM_LOG`. Goes out: lines of text or JSON. The level can be
//! changed while running; the access log is another matter and written elsewhere.

use std::env;
use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// Set in the environment, it goes before the configuration's level: `debug`, or directives such as
/// `cloakroom::upstream=trace,warn`.
const VARIABLE: &str = "CLOAKROOM_LOG";

/// How a line looks (`log.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The running program's log; its level can be changed.
#[derive(Clone, Debug)]
pub struct ProgramLog {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl ProgramLog {
    /// Starts the log, once in a process.
    ///
    /// # Errors
    /// When `CLOAKROOM_LOG` makes no sense, or a log has been started before.
    pub fn start(level: LevelFilter, form: Form) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(wanted(env::var(VARIABLE).ok().as_deref(), level)?);
        let lines = fmt::layer().with_writer(|| Indented(io::stderr())).with_ansi(io::stderr().is_terminal());
        let lines = match form {
            Form::Text => lines.with_target(false).boxed(),
            Form::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).try_init().context("the log runs already")?;
        Ok(Self { filter: handle })
    }

    /// Changes the level, as after a reload; `CLOAKROOM_LOG` still goes before it.
    ///
    /// # Errors
    /// When `CLOAKROOM_LOG` makes no sense.
    pub fn set_level(&self, level: LevelFilter) -> anyhow::Result<()> {
        let filter = wanted(env::var(VARIABLE).ok().as_deref(), level)?;
        self.filter.reload(filter).context("the log has ended")
    }
}

/// The level is for our own events; libraries are heard from `warn` on, since theirs would drown ours. That of Redis has a
/// line for each attempt to reach each server, of which the session store tells what matters.
fn wanted(variable: Option<&str>, level: LevelFilter) -> anyhow::Result<EnvFilter> {
    let directives = match variable.map(str::trim).filter(|value| !value.is_empty()) {
        Some(plain) if plain.parse::<LevelFilter>().is_ok() => ours(plain.parse().expect("just parsed")),
        Some(directives) => directives.to_owned(),
        None => ours(level),
    };
    EnvFilter::builder()
        .parse(&directives)
        .with_context(|| format!("{VARIABLE}={directives:?} is no log filter"))
}

fn ours(level: LevelFilter) -> String {
    format!("{},cloakroom={level},redis=off", level.min(LevelFilter::WARN))
}

/// Begins every line but the first of an event with a bar, so that nothing within an event passes for another one. An
/// event arrives in one piece.
struct Indented<W>(W);

impl<W: Write> Write for Indented<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (body, end) = event.split_at(event.len().saturating_sub(1));
        if body.contains(&b'\n') {
            let mut indented = Vec::with_capacity(event.len() + 64);
            for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
                indented.extend_from_slice(if at == 0 { b"" } else { b"\n  | " });
                indented.extend_from_slice(line);
            }
            indented.extend_from_slice(end);
            self.0.write_all(&indented)?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(variable: Option<&str>, level: LevelFilter) -> String {
        wanted(variable, level).unwrap().to_string()
    }

    #[test]
    fn libraries_are_quiet_unless_asked() {
        assert_eq!(spelled(None, LevelFilter::DEBUG), "cloakroom=debug,redis=off,warn");
        assert_eq!(spelled(None, LevelFilter::ERROR), "cloakroom=error,redis=off,error");
        assert_eq!(spelled(Some(""), LevelFilter::OFF), "cloakroom=off,redis=off,off");
    }

    #[test]
    fn the_environment_goes_before_the_configuration() {
        assert_eq!(spelled(Some("trace"), LevelFilter::ERROR), "cloakroom=trace,redis=off,warn");
        assert_eq!(spelled(Some("hyper=debug,info"), LevelFilter::ERROR), "hyper=debug,info");
        assert!(wanted(Some("cloakroom=loud"), LevelFilter::INFO).is_err());
    }

    #[test]
    fn nothing_within_an_event_passes_for_another_one() {
        let mut lines = Indented(Vec::new());
        lines.write_all(b"WARN one\nERROR forged\n").unwrap();
        lines.write_all(b"WARN two\n").unwrap();
        assert_eq!(lines.0, b"WARN one\n  | ERROR forged\nWARN two\n");
    }
}
