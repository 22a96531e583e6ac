//! Session: `session:` and `keys:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never decides about `auto`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::django::Django;
use super::login::Secret;
use super::redis::Redis;
use crate::config::brief::{Brief, FromWord};
use crate::config::units::{Count, Duration, Size, Switch};

/// How long visitors are remembered, and the cookie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct Session {
    /// A session ends after this long without a request.
    pub idle_timeout: Duration,
    /// A session ends this long after login, whatever happens.
    pub absolute_timeout: Duration,
    /// A session nobody has logged in to ends after this long without a request.
    pub anonymous_timeout: Duration,
    /// Both limits, for those who tick "keep me signed in"; `0s` hides the box.
    pub remember_for: Duration,
    /// A session goes on under a new id after this long; `0s`: never. An id that was replaced and is shown later ends the
    /// session: somebody else holds it.
    pub rotate_every: Duration,
    /// One person has at most so many sessions: at another login the oldest ends. 0: no limit.
    pub max_per_user: Count,
    /// When a session begins: `lazy` (with a login, or when there is something to remember), `always` (with the first
    /// response) or `never` (with a login only).
    pub create: CreateSession,
    /// At most so many bytes of data in one session.
    pub max_bytes: Size,
    /// Where midnight is, when an application does not say so itself: `Asia/Seoul`.
    pub timezone: String,
    /// Keys that stay when somebody logs out or another person logs in: `shared.theme`, or `app.theme` of one upstream.
    pub preferences: Vec<String>,
    /// For how long preferences are kept for somebody who is not logged in.
    pub preferences_for: Duration,
    /// Who keeps the sessions.
    pub store: StoreWord,
    /// How far behind a shared store, or a sealed cookie, may be with the last use of a session.
    pub touch_interval: Duration,
    /// The cookie that carries the session's id.
    pub cookie: Cookie,
    /// Sessions in memory.
    pub memory: Memory,
    /// Sessions in Redis or Valkey.
    pub redis: Option<Redis>,
    /// Sessions in a database.
    pub sql: Option<Sql>,
    /// A Django site whose sessions are read.
    pub django: Option<Django>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::seconds(30 * 60),
            absolute_timeout: Duration::seconds(12 * 3600),
            anonymous_timeout: Duration::seconds(10 * 60),
            remember_for: Duration::seconds(30 * 86_400),
            rotate_every: Duration::seconds(15 * 60),
            max_per_user: Count(0),
            create: CreateSession::Lazy,
            max_bytes: Size(16 << 10),
            timezone: "UTC".to_owned(),
            preferences: Vec::new(),
            preferences_for: Duration::seconds(365 * 86_400),
            store: StoreWord::Memory,
            touch_interval: Duration::seconds(60),
            cookie: Cookie::default(),
            memory: Memory::default(),
            redis: None,
            sql: None,
            django: None,
        }
    }
}

/// When a session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CreateSession {
    /// With a login, or when there is something to remember.
    #[default]
    Lazy,
    /// With the first response.
    Always,
    /// With a login, and for nobody else.
    Never,
}

/// Who keeps the sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreWord {
    /// This process.
    #[default]
    Memory,
    /// Redis or Valkey, see `redis`.
    Redis,
    /// SQLite, PostgreSQL or MySQL, see `sql`.
    Sql,
    /// The visitors themselves, sealed in cookies.
    Cookie,
    /// A Django site, see `django`.
    Django,
}

/// The cookie that carries the session's id. It is always `HttpOnly`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct Cookie {
    /// Its name. Default: `__Host-cloakroom`; `cloakroom` when it is not Secure, or has a domain or another path.
    pub name: Option<String>,
    /// Whether browsers send it over https only: `auto` (when `public_url` or a listener is https), `true` or `false`.
    pub secure: Brief<Secure>,
    /// Whether browsers send it when the visitor comes from another site.
    pub same_site: SameSiteWord,
    /// Sent for paths below this one.
    pub path: String,
    /// Sent to all hosts of this domain. Default: to this host only.
    pub domain: Option<String>,
    /// Kept apart for each site that embeds this one (CHIPS).
    pub partitioned: Switch,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: None,
            secure: Brief(Secure::Auto),
            same_site: SameSiteWord::Lax,
            path: "/".to_owned(),
            domain: None,
            partitioned: Switch(false),
        }
    }
}

/// Whether the cookie is Secure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secure {
    /// When https is in use.
    #[default]
    Auto,
    /// Always.
    True,
    /// Never.
    False,
}

impl FromWord for Secure {
    type Map = super::operation::Nothing;
    const WANTED: &'static str = "`auto`, `true` or `false`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Secure::Auto),
            "true" => Ok(Secure::True),
            "false" => Ok(Secure::False),
            _ => Err(format!("unknown variant `{word}`, expected one of `auto`, `true`, `false`")),
        }
    }

    fn from_map(map: Self::Map) -> Self {
        match map {}
    }
}

/// Whether browsers send a cookie when the visitor comes from another site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameSiteWord {
    /// When following a link.
    #[default]
    Lax,
    /// Never.
    Strict,
    /// Always; needs a Secure cookie.
    None,
}

/// Sessions in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct Memory {
    /// At most so many sessions; anonymous ones go first.
    pub max_sessions: Count,
    /// At most so many bytes for all of them.
    pub max_bytes: Size,
    /// A file that sessions are kept in, encrypted, while the gateway is down. Default: none, and a restart signs everybody
    /// out.
    pub snapshot: Option<String>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { max_sessions: Count(1_000_000), max_bytes: Size(1 << 30), snapshot: None }
    }
}

/// Sessions in a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `url`")]
pub struct Sql {
    /// Which database: `sqlite:///path/of/a/file.db`, `postgres://user:password@host/database` or
    /// `mysql://user:password@host/database`.
    pub url: Option<Secret>,
    /// Whether the tables are made, and changed where a newer version needs that; otherwise
    /// `cloakroom schema --sql DIALECT` prints what to run.
    pub migrate: Switch,
    /// The longest that the database may take to answer.
    pub timeout: Duration,
    /// TLS towards the database.
    pub tls: SqlTls,
}

impl Default for Sql {
    fn default() -> Self {
        Self { url: None, migrate: Switch(true), timeout: Duration::seconds(2), tls: SqlTls::default() }
    }
}

/// TLS towards a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `ca`")]
pub struct SqlTls {
    /// PEM file with the authorities of which the database must have a certificate for its host's name.
    pub ca: Option<String>,
}

/// A secret that signs session ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `id` and `secret`")]
pub struct Key {
    /// Its name: letters, digits, `-` and `_`.
    pub id: Option<String>,
    /// At least 32 bytes that nobody can guess; better `${file:/run/secrets/key}` than the secret itself.
    pub secret: Option<Secret>,
}
