//! Upstream: `upstream:` and `upstreams:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never checks an address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Credentials;
use crate::config::brief::FromWord;
use crate::config::units::{Count, Duration};

/// One application: where it runs, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `servers`")]
pub struct Upstream {
    /// Where it runs: `http://host:port`, `https://host:port` or `unix:/path`; several share the load.
    pub servers: Vec<String>,
    /// What the servers speak.
    pub protocol: Protocol,
    /// How a server is chosen.
    pub balance: BalanceWord,
    /// What the servers are told as `Host`: `preserve` (what the client asked for), `upstream` (the server's own), or a
    /// name.
    pub host: String,
    /// Connections open at the same time, for each server and worker; more requests wait, then get 503.
    pub connections: Count,
    /// Unused connections kept, for each server and worker.
    pub keep_alive: Count,
    /// The longest a server may take.
    pub timeouts: UpstreamTimeouts,
    /// How often a request of which nothing was answered is tried again, where that is safe.
    pub retries: Count,
    /// The user and password it wants, if it asks for any. A route may name others.
    pub credentials: Option<Credentials>,
    /// Whom assertions for this upstream are made out to (`aud`); otherwise its name.
    pub audience: Option<String>,
    /// TLS, for servers by `https`.
    pub tls: UpstreamTls,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            protocol: Protocol::Http1,
            balance: BalanceWord::LeastRequests,
            host: "preserve".to_owned(),
            connections: Count(1024),
            keep_alive: Count(64),
            timeouts: UpstreamTimeouts::default(),
            retries: Count(1),
            credentials: None,
            audience: None,
            tls: UpstreamTls::default(),
        }
    }
}

impl FromWord for Upstream {
    type Map = Self;
    const WANTED: &'static str = "a server such as `http://127.0.0.1:3000`, or a map with `servers`";

    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Self { servers: vec![word.to_owned()], ..Self::default() })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}

/// What servers speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceWord {
    /// The one with the fewest requests under way.
    #[default]
    LeastRequests,
    /// One after the other.
    RoundRobin,
}

/// The longest a server may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of timeouts")]
pub struct UpstreamTimeouts {
    /// To take a connection.
    pub connect: Duration,
    /// To begin its response, and between two pieces of the body.
    pub response: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self { connect: Duration::seconds(3), response: Duration::seconds(60), idle: Duration::seconds(60) }
    }
}

/// TLS towards servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct UpstreamTls {
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// The name to verify, instead of the one in the server's URL.
    pub server_name: Option<String>,
    /// PEM file with the gateway's own certificate, for servers that ask for one.
    pub cert: Option<String>,
    /// PEM file with its key.
    pub key: Option<String>,
}
