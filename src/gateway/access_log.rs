//! Access log: a line for every request, written by a thread of its own, never waited for.
//!
//! Comes in: an [`Entry`] when a request is over. Goes out: one line, formatted where the entry was made and handed over a
//! bounded queue. Never blocks: when the queue is full because a disk or a pipe stands still, lines are dropped and
//! counted. Never shows a query string, a cookie or a session's id.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

mod format;
mod sink;
mod writer;

use writer::Writer;

/// `access_log:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// Where lines go.
    pub output: Output,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// Apache's combined format.
    Combined,
    /// Apache's common format.
    Common,
    /// No log.
    Off,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// A file, appended to; opened again on USR1.
    File(PathBuf),
}

/// What is known of a request when it is over.
#[derive(Debug, Default)]
pub struct Entry<'a> {
    /// When its head was complete.
    pub at: Option<Timestamp>,
    /// The client's address (the forwarded one behind a trusted proxy); `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// Who was logged in.
    pub user: Option<&'a str>,
    /// A digest of the session, shown as 8 hex digits.
    pub session: Option<u32>,
    /// The method; empty when the request could not be read.
    pub method: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The path in normal form, without query.
    pub path: &'a str,
    /// Whether there was a query (it is shown as `?-`).
    pub has_query: bool,
    /// `HTTP/1.1`.
    pub protocol: &'a str,
    /// The status sent; 0 when none was, 499 when the client had gone before.
    pub status: u16,
    /// Bytes of the response's body.
    pub sent: u64,
    /// Bytes of the request's body.
    pub received: u64,
    /// From the head to the last byte.
    pub took: Duration,
    /// From the head to the upstream's response head.
    pub upstream_took: Option<Duration>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// `Referer` as received; its query is not shown.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent` as received.
    pub user_agent: Option<&'a [u8]>,
    /// Why it was refused or broke off: a short fixed word such as `login_needed`.
    pub reason: Option<&'static str>,
    /// Whether the response went out whole.
    pub complete: bool,
}

/// The log, shared by all workers; it survives a reload.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    writer: Option<Writer>,
}

impl AccessLog {
    /// Opens the output and starts the writer's thread.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn open(settings: &Settings) -> io::Result<Self> {
        let writer = match settings.format {
            Format::Off => None,
            Format::Json | Format::Combined | Format::Common => {
                Some(Writer::start(settings.output.clone(), Clock::System)?)
            }
        };
        Ok(Self { format: settings.format, writer })
    }

    /// Whether lines are wanted at all: if not, an entry need not be put together.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands over one line. Never waits.
    pub fn write(&self, entry: &Entry<'_>) {
        if let Some(writer) = &self.writer {
            writer.hand_over(format::line(self.format, entry));
        }
    }

    /// Opens the file again, under its name, before the next line (USR1): the old one has been renamed by then.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// How many lines never reached the output: dropped from a full queue, or lost with a failed write.
    pub fn dropped(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::dropped)
    }

    /// Writes what is queued and ends; waits for that, but not longer than two seconds. Lines that come later are
    /// dropped. Dropping the log does the same.
    pub fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_off_needs_no_file_and_drops_nothing() {
        let output = Output::File("/does/not/exist".into());
        let log = AccessLog::open(&Settings { format: Format::Off, output }).expect("nothing is opened");
        log.write(&Entry::default());
        log.reopen();
        log.close();
        assert!(!log.is_on());
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_start() {
        let output = Output::File("/does/not/exist".into());
        assert!(AccessLog::open(&Settings { format: Format::Json, output }).is_err());
    }

    #[test]
    fn closing_writes_every_line_that_was_handed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let settings = Settings { format: Format::Common, output: Output::File(path.clone()) };
        let log = AccessLog::open(&settings).expect("open");
        for _ in 0..1000 {
            log.write(&Entry::default());
        }
        log.close();
        let written = std::fs::read_to_string(&path).expect("the log");
        assert_eq!(written.lines().count(), 1000);
        log.write(&Entry::default());
        assert_eq!(log.dropped(), 1);
    }
}
