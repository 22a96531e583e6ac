//! Redis: `session.redis:` as written.
//!
//! Comes in: YAML. Goes out: a plain struct with defaults. Never connects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::login::Secret;
use super::session::SqlTls;
use crate::config::units::{Count, Duration};

/// Sessions in Redis or Valkey, version 7 or later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `servers`")]
pub struct Redis {
    /// `redis://host:6379`, or `rediss://host:6379` with TLS: the server, some of the Sentinels, or nodes of the Cluster.
    pub servers: Vec<Secret>,
    /// What the servers are.
    pub mode: RedisMode,
    /// The name that the Sentinels know the primary by.
    pub sentinel_name: Option<String>,
    /// A user of an access control list. Default: the default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The database's number; a Cluster has only 0.
    pub database: Count,
    /// What all keys begin with.
    pub prefix: String,
    /// The longest that one operation may take.
    pub timeout: Duration,
    /// TLS, for servers by `rediss`.
    pub tls: SqlTls,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            mode: RedisMode::Single,
            sentinel_name: None,
            username: None,
            password: None,
            database: Count(0),
            prefix: "cloakroom:".to_owned(),
            timeout: Duration(std::time::Duration::from_millis(500)),
            tls: SqlTls::default(),
        }
    }
}

/// What the servers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// Sentinels, which know where the primary is.
    Sentinel,
    /// Nodes of a Cluster.
    Cluster,
}
