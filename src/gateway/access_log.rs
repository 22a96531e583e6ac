//! Access log: a line for every request, written by a thread of its own, never waited for.
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Timestamp;

/// `access_log:`
#[derive(Clone, Debug)]
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
    /// A digest of the session, for 8 hex digits.
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
    /// `Referer` without its query.
    pub referer: Option<&'a str>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// Why it was refused or broke off: a short fixed word such as `login_needed`.
    pub reason: Option<&'static str>,
    /// Whether the response went out whole.
    pub complete: bool,
}

/// STUB
#[derive(Debug)]
pub struct AccessLog;
impl AccessLog {
    /// x
    pub fn is_on(&self) -> bool {
        false
    }
    /// x
    pub fn write(&self, _entry: &Entry<'_>) {}
}
