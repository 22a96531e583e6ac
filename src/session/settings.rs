//! Settings of the sessions: limits, cookie, keys.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretBox;

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
    /// `cookie:`
    pub cookie: CookieSettings,
    /// `memory.max_sessions`, default 1,000,000.
    pub max_sessions: u64,
    /// `memory.snapshot`, default none.
    pub snapshot: Option<PathBuf>,
    /// The first signs, all verify.
    pub keys: Vec<Key>,
    /// `create`
    pub create: Create,
}

impl Settings {
    /// The limits among them.
    pub fn lifetime(&self) -> Lifetime {
        Lifetime {
            idle: self.idle,
            absolute: self.absolute,
            anonymous: self.anonymous,
            remember: self.remember,
        }
    }
}

/// `session.create`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// A session exists once there is data or a login.
    #[default]
    Lazy,
    /// From the first response on.
    Always,
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
