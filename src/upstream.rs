//! Upstream: who answers?
use std::path::PathBuf;
use std::time::Duration;

/// One entry of `upstreams:`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// At least one server.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// What the upstream is told as `Host`.
    pub host: HostHeader,
    /// Connections open at the same time, for each server and worker; more requests wait, then get 503.
    pub connections: usize,
    /// Idle connections kept, for each server and worker.
    pub keep_alive: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of a response, and between two pieces of its body.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often a request of which nothing was answered is tried again, where that is safe.
    pub retries: u32,
    /// For servers by `https`.
    pub tls: Tls,
}

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port`.
    Http(String, u16),
    /// `https://host:port`.
    Https(String, u16),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one with the fewest requests under way.
    #[default]
    LeastRequests,
    /// One after the other.
    RoundRobin,
}

/// What the upstream is told as `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client asked for.
    #[default]
    Preserve,
    /// The server's own name and port.
    Upstream,
    /// Always this.
    Fixed(String),
}

/// TLS towards servers.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The name to ask for and verify, instead of the URL's host.
    pub server_name: Option<String>,
    /// Client certificate chain (PEM) and its key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}
