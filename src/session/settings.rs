//! Settings of the sessions: limits, cookie, keys.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretBox;

use crate::session::data::DataKey;
use crate::session::lifetime::Lifetime;

/// `session:` with `keys:` resolved.
#[derive(Debug)]
pub struct Settings {
    /// `idle_timeout`, default 30 min.
    pub idle: Duration,
    /// `absolute_timeout`, default 12 h.
    pub absolute: Duration,
    /// `anonymous_timeout`, default 10 min.
    pub anonymous: Duration,
    /// `remember_for`, default 30 d; zero hides the box.
    pub remember: Duration,
    /// `rotate_every`, default 15 min; zero: never.
    pub rotate_every: Duration,
    /// `touch_interval`, default 60 s.
    pub touch_interval: Duration,
    /// `max_per_user`, default 0: no limit.
    pub max_per_user: usize,
    /// `max_bytes` of one session's data, default 16 KiB.
    pub max_bytes: usize,
    /// `timezone`, where midnight is when an application does not say so; default UTC.
    pub timezone: TimeZone,
    /// `preferences`: what stays when somebody logs out or another one logs in.
    pub preferences: Vec<DataKey>,
    /// `preferences_for`, default 365 d.
    pub preferences_for: Duration,
    /// `cookie:`
    pub cookie: CookieSettings,
    /// `store`
    pub store: StoreKind,
    /// `memory.max_sessions`, default 1,000,000.
    pub max_sessions: u64,
    /// `memory.max_bytes`, default 1 GiB.
    pub memory_bytes: u64,
    /// `memory.snapshot`
    pub snapshot: Option<PathBuf>,
    /// The first signs, all verify.
    pub keys: Vec<Key>,
    /// `create`
    pub create: Create,
}

impl Default for Settings {
    /// What holds where nothing is configured, but for the keys: there must be one.
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            idle: 30 * MINUTE,
            absolute: DAY / 2,
            anonymous: 10 * MINUTE,
            remember: 30 * DAY,
            rotate_every: 15 * MINUTE,
            touch_interval: MINUTE,
            max_per_user: 0,
            max_bytes: 16 << 10,
            timezone: TimeZone::UTC,
            preferences: Vec::new(),
            preferences_for: 365 * DAY,
            cookie: CookieSettings {
                name: "__Host-cloakroom".to_owned(),
                secure: true,
                same_site: SameSite::Lax,
                path: "/".to_owned(),
                domain: None,
                partitioned: false,
            },
            store: StoreKind::Memory,
            max_sessions: 1_000_000,
            memory_bytes: 1 << 30,
            snapshot: None,
            keys: Vec::new(),
            create: Create::Lazy,
        }
    }
}

impl Settings {
    /// The limits among them.
    pub fn lifetime(&self) -> Lifetime {
        Lifetime {
            idle: self.idle,
            absolute: self.absolute,
            anonymous: self.anonymous,
            remember: self.remember,
            preferences: self.preferences_for,
        }
    }
}

/// `session.store`: who keeps the sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// This process.
    #[default]
    Memory,
    /// Redis or Valkey.
    Redis,
    /// SQLite, PostgreSQL or MySQL.
    Sql,
    /// The visitors, sealed in cookies.
    Cookie,
    /// A Django site.
    Django,
}

/// `session.create`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// A session exists once there is data or a login.
    #[default]
    Lazy,
    /// From the first response on.
    Always,
    /// A session exists only once somebody logs in: anonymous visitors are never remembered.
    Never,
}

/// `session.cookie:` after `auto` was decided.
#[derive(Clone, Debug)]
pub struct CookieSettings {
    /// `name`, default `__Host-cloakroom`, or `cloakroom` where the prefix is not allowed.
    pub name: String,
    /// `Secure`.
    pub secure: bool,
    /// `same_site`
    pub same_site: SameSite,
    /// `path`, default `/`.
    pub path: String,
    /// `domain`
    pub domain: Option<String>,
    /// `partitioned`
    pub partitioned: bool,
}

/// `session.cookie.same_site`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// The default.
    #[default]
    Lax,
    /// Not sent when coming from other sites.
    Strict,
    /// Sent always; needs Secure.
    None,
}

/// A secret to sign with, and its id.
#[derive(Debug)]
pub struct Key {
    /// `id`
    pub id: String,
    /// At least 32 bytes.
    pub secret: SecretBox<[u8]>,
}
