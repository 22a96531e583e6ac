//! Settings: which Redis keeps the sessions, and how it is reached.
//!
//! Comes in: what the configuration says. Goes out: the same as values. Never shows the password.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Which Redis or Valkey keeps the sessions. Redis 7.0 or later is needed.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// At least one: the server, or some of the Sentinels, or some nodes of the Cluster.
    pub servers: Vec<Server>,
    /// What the servers are.
    pub mode: Mode,
    /// The user of an access control list; none: the default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The database's number; 0 in a Cluster.
    pub database: u32,
    /// TLS to all servers; none: plain TCP.
    pub tls: Option<Tls>,
    /// What all keys and the channel begin with. Without curly brackets and without what means something in a pattern.
    pub prefix: String,
    /// The longest that one operation may take.
    pub timeout: Duration,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One server.
    Single,
    /// Sentinels, which know where the primary is.
    Sentinel {
        /// The name they know it by.
        name: String,
    },
    /// Nodes of a Cluster.
    Cluster,
}

/// TLS to the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the authorities to trust; none: the system's.
    pub ca: Option<PathBuf>,
}
