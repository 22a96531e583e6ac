//! Login: how people prove who they are.
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// `login:`
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Heading of the page (default `Cloakroom`).
    pub title: String,
    /// Languages to offer, first choice for browsers that name none of them.
    pub languages: Languages,
    /// `login.local`, when configured.
    pub local: Option<LocalSettings>,
    /// `login.throttle`.
    pub throttle: ThrottleSettings,
}

/// `login.languages`: `auto` follows `Accept-Language`; otherwise always the named one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Languages {
    /// By `Accept-Language`.
    #[default]
    Auto,
    /// Always English.
    English,
    /// Always Korean.
    Korean,
}

/// `login.local`
#[derive(Clone, Debug, Default)]
pub struct LocalSettings {
    /// Users in the configuration.
    pub users: Vec<LocalUser>,
    /// More users, in a file of the same form, read again when it changes.
    pub users_file: Option<PathBuf>,
}

/// One user.
#[derive(Clone, Debug)]
pub struct LocalUser {
    /// Name.
    pub name: String,
    /// argon2id (`$argon2id$…`) or bcrypt (`$2y$…`) hash.
    pub password: SecretString,
    /// E-mail address.
    pub email: Option<String>,
    /// Name for people.
    pub full_name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// `disabled: true` keeps the entry and refuses the login.
    pub disabled: bool,
}

/// `login.throttle`: failed attempts in a window.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleSettings {
    /// Default 5 in 15 minutes.
    pub per_user: (u32, Duration),
    /// Default 50 in 15 minutes.
    pub per_ip: (u32, Duration),
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        let window = Duration::from_secs(15 * 60);
        Self { per_user: (5, window), per_ip: (50, window) }
    }
}

/// STUB
#[derive(Debug)]
pub struct Login;
/// STUB
#[derive(Debug)]
pub struct Ask<'a> {
    /// x
    pub page: &'a str,
    /// x
    pub prefix: &'a str,
    /// x
    pub method: &'a http::Method,
    /// x
    pub query: Option<&'a str>,
    /// x
    pub fields: &'a crate::message::Fields,
    /// x
    pub form: &'a [u8],
    /// x
    pub visitor: &'a crate::session::Visitor,
    /// x
    pub client_ip: Option<std::net::IpAddr>,
    /// x
    pub secure: bool,
    /// x
    pub origin: &'a str,
}
/// STUB
#[derive(Debug)]
pub struct Reply {
    /// x
    pub head: crate::message::ResponseHead,
    /// x
    pub body: bytes::Bytes,
}
impl Login {
    /// x
    pub fn nonce_cookie(&self, _secure: bool) -> &str {
        "cloakroom-login"
    }
    /// x
    pub async fn answer(
        &self,
        ask: Ask<'_>,
        sessions: &crate::session::Sessions,
        now: crate::clock::Timestamp,
    ) -> Reply {
        let _ = (ask, sessions, now);
        Reply {
            head: crate::message::ResponseHead::new(http::StatusCode::OK),
            body: bytes::Bytes::from_static(b"stub"),
        }
    }
}
