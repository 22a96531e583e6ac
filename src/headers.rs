//! Headers: how a request leaves and how its response returns.
//!
//! Comes in: a head as it was received, and [`Rules`] built once. Goes out: a checked [`Inbound`], the head for the
//! upstream, and the head for the client. Never waits, never looks at a session, never asks for the time.

use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;

use crate::message::Fields;

pub mod assertion;
pub mod credentials;
mod date;
mod forwarded;
mod guard;
mod hop;
mod host;
mod identity;
mod inbound;
mod incoming;
mod original;
mod outer;
mod outgoing;
mod path;
mod target;
pub mod template;

pub use forwarded::Client;
pub use guard::{Guard, is_instruction, is_same_name};
pub use host::Host;
pub use identity::IdentityNames;
pub use inbound::{Inbound, Upgrade, inbound, is_navigation};
pub use incoming::{OurCookies, Returning, finish, incoming};
pub use original::Original;
pub use outer::{Outer, OuterNames};
pub use outgoing::{HostChoice, introduce, outgoing};
pub use path::{InvalidPath, NormalPath};

/// Carries one id through client, gateway, upstream and log.
pub const REQUEST_ID: &str = "X-Request-Id";

/// Changes to every response's headers (`headers:`).
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders {
    /// Set, replacing what the upstream said.
    pub set: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
    /// `Strict-Transport-Security` with this `max-age`, on https.
    pub hsts: Option<Duration>,
    /// Send `Via` both ways (default off).
    pub via: bool,
}

/// What is the same for every request, worked out once.
#[derive(Debug)]
pub struct Rules {
    guard: Guard,
    introduction: identity::Introduction,
    response: ResponseHeaders,
    hsts: Option<String>,
    trusted_proxies: Vec<IpNet>,
    outer: Option<OuterNames>,
}

impl Rules {
    /// Rules from the configuration. `trusted_proxies` empty: nobody's forwarding headers are believed. `session_headers` are
    /// names that sessions are told under.
    pub fn new(
        names: IdentityNames,
        session_headers: &[String],
        response: ResponseHeaders,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        let hsts = response.hsts.map(|age| format!("max-age={}", age.as_secs()));
        let guard = Guard::new(&names, session_headers);
        let introduction = identity::Introduction::new(names);
        Self { guard, introduction, response, hsts, trusted_proxies, outer: None }
    }

    /// The names of all headers that say who is asking.
    pub fn identity_names(&self) -> impl Iterator<Item = &str> {
        self.introduction.names().all()
    }

    /// The same, and trusted proxies are heard about the user under these names; nobody else can say them.
    #[must_use]
    pub fn hearing(mut self, outer: Option<OuterNames>) -> Self {
        outer.iter().flat_map(OuterNames::iter).for_each(|name| self.guard.add(name));
        Self { outer, ..self }
    }

    /// Removes from trailers, either way, what only a header section may say: everything of ours, of the connection,
    /// and what frames, routes or authenticates (RFC 9110, section 6.5.1).
    pub fn clean_trailers(&self, trailers: &mut Fields) {
        const NEVER: [&str; 7] =
            ["authorization", "content-length", "cookie", "expect", "host", "set-cookie", "trailer"];
        let hop = hop::HopByHop::of(trailers);
        trailers.retain(|name, _| {
            let refused = NEVER.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()));
            !(refused || hop.covers(name) || self.guard.covers(name))
        });
    }
}

/// Why a request's head is turned down before anybody asks where it wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Neither a path, nor an http or https URL, nor `*` with OPTIONS; or a byte no target may hold (RFC 9112, 3.2).
    #[error("the request target is not valid")]
    Target,
    /// The path has no normal form, or more than one.
    #[error("the path is not valid: {0}")]
    Path(#[from] InvalidPath),
    /// No Host, which only HTTP/1.0 may leave out.
    #[error("the Host header is missing")]
    HostMissing,
    /// More than one Host (RFC 9112, 3.2).
    #[error("there is more than one Host header")]
    HostTwice,
    /// Host is not a name or address with an optional port.
    #[error("the Host header is not valid")]
    Host,
    /// HTTP/2: `host` and `:authority` differ (RFC 9113, 8.3.1).
    #[error("the Host header and :authority differ")]
    HostDiffers,
    /// CONNECT or TRACE, which this gateway never serves, or a method in lower case.
    #[error("the method is not allowed")]
    Method,
    /// An expectation other than `100-continue` (RFC 9110, 10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A trusted proxy asks about a request and does not say all of it, or says two things of it.
    #[error("the request asked about is not clear")]
    Original,
}

impl BadRequest {
    /// The status that says so: 400, 405 (the answer needs `Allow`) or 417.
    pub fn status(self) -> StatusCode {
        match self {
            BadRequest::Method => StatusCode::METHOD_NOT_ALLOWED,
            BadRequest::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// A short fixed word for logs.
    pub fn reason(self) -> &'static str {
        match self {
            BadRequest::Target => "bad_target",
            BadRequest::Path(_) => "bad_path",
            BadRequest::HostMissing | BadRequest::HostTwice | BadRequest::Host => "bad_host",
            BadRequest::HostDiffers => "host_differs",
            BadRequest::Method => "method_not_allowed",
            BadRequest::Expectation => "expectation_failed",
            BadRequest::Original => "unclear_request",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_say_nothing_that_only_a_head_may_say() {
        let rules = Rules::new(IdentityNames::default(), &[], ResponseHeaders::default(), Vec::new());
        let mut trailers = Fields::new();
        let refused = [
            "X_Auth_User",
            "x-forwarded-for",
            "Session-Set",
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Cookie",
            "Set-Cookie",
            "Authorization",
            "Connection",
        ];
        refused.iter().for_each(|name| trailers.append(name, "x-named"));
        trailers.append("X-Named", "1");
        trailers.append("grpc-status", "0");
        rules.clean_trailers(&mut trailers);
        assert_eq!(trailers.iter().collect::<Vec<_>>(), [("grpc-status", &b"0"[..])]);
    }
}
