//! Login: how people prove who they are.
//!
//! Comes in: requests for our own pages under the reserved prefix, and who is asking. Goes out: pages, redirects, tickets.
//! Never signs anybody in or out for a form that was not filled in on our page in this browser, never sends anybody
//! to another site, and never says whether a name is known.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::login::desk::Desk;
use crate::login::local::Local;
use crate::login::page::Pages;
use crate::login::target::return_target;
use crate::login::text::Language;
use crate::login::throttle::Throttle;
use crate::login::users::{UsersError, UsersSource};
use crate::message::Fields;
use crate::session::{Sessions, Visitor};

mod desk;
pub mod form;
pub mod guard;
pub mod local;
pub mod page;
pub mod password;
pub mod settings;
pub mod target;
pub mod text;
pub mod throttle;
pub mod users;

pub use guard::NONCE_COOKIES;
pub use page::Reply;
pub use settings::{Languages, LocalSettings, LocalUser, Settings, ThrottleSettings};

/// A request for one of our own pages.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The path below the reserved prefix: `/login`.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The fields, other cookies included.
    pub fields: &'a Fields,
    /// The body of a POST: at most 64 KiB, whole.
    pub form: &'a [u8],
    /// Who is asking; for `/session` recognised quietly.
    pub visitor: &'a Visitor,
    /// From where; `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// Whether the browser speaks TLS, to us or to a proxy we trust.
    pub secure: bool,
    /// What the browser's `Origin` may say: `scheme://host[:port]`, of `public_url` or else of `Host`.
    pub origins: &'a [String],
}

/// The pages under the reserved prefix, and the login methods behind them.
#[derive(Debug)]
pub struct Login {
    prefix: String,
    languages: Languages,
    local: Option<Local>,
    pages: Pages,
}

/// `WWW-Authenticate` of every 401: RFC 9110, section 11.6.1, wants one, and browsers leave a scheme they do not know alone.
pub const CHALLENGE: &str = "Cookie realm=\"cloakroom\"";

impl Login {
    /// Login as configured, its pages under `prefix` (`/_cloakroom`). `source` reads `users_file`, where there is one.
    pub fn new(
        settings: Settings,
        prefix: &str,
        source: Option<UsersSource>,
        throttle: Arc<Throttle>,
    ) -> Result<Self, UsersError> {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let title = if settings.title.is_empty() { "Cloakroom" } else { &settings.title };
        let pages = Pages::new(title, &prefix);
        let limits = settings.throttle;
        let local = settings.local.map(|local| Local::new(local, source, throttle, limits)).transpose()?;
        Ok(Self { prefix, languages: settings.languages, local, pages })
    }

    /// Where to send somebody who must sign in first, so that they come back to `target` (path and query).
    pub fn entrance(&self, target: &str) -> String {
        match return_target(target, &self.prefix) {
            "/" => format!("{}/login", self.prefix),
            safe => format!("{}/login?return={}", self.prefix, utf8_percent_encode(safe, NON_ALPHANUMERIC)),
        }
    }

    /// Answers a request for one of our own pages.
    pub async fn answer(&self, ask: Ask<'_>, sessions: &Sessions, now: Timestamp) -> Reply {
        let language = Language::choose(self.languages, ask.fields.text("accept-language"));
        let desk = Desk { login: self, ask: &ask, sessions, language, now };
        match (ask.path.trim_start_matches('/'), ask.method) {
            ("login", &(Method::GET | Method::HEAD)) => desk.login_page(),
            ("login", &Method::POST) => desk.sign_in().await,
            ("logout", &(Method::GET | Method::HEAD)) => desk.logout_page(StatusCode::OK, None),
            ("logout", &Method::POST) => desk.sign_out(),
            ("session", &(Method::GET | Method::HEAD)) => desk.session(),
            ("login" | "logout", _) => desk.not_allowed("GET, HEAD, POST"),
            ("session", _) => desk.not_allowed("GET, HEAD"),
            _ => desk.notice(StatusCode::NOT_FOUND, language.words().not_found),
        }
    }
}
