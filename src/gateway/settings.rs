//! Settings of the pipeline: limits, timeouts, and what it is put together from.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::access_log::AccessLog;
use super::watchers::Watchers;
use crate::clock::Clock;
use crate::headers::assertion::Signer;
use crate::headers::{IdentityNames, OurCookies, ResponseHeaders};
use crate::login::Login;
use crate::peer::Scheme;
use crate::route::Route;
use crate::session::Sessions;
use crate::upstream;
use crate::upstream::connect::ServerTls;

/// Everything a worker needs to build its own gateway.
#[derive(Debug)]
pub struct Settings {
    /// Names of the identity headers.
    pub names: IdentityNames,
    /// Who signs assertions, if anybody.
    pub assertion: Option<Arc<Signer>>,
    /// Changes to every response.
    pub response_headers: ResponseHeaders,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Cookies that only the gateway may set.
    pub our_cookies: OurCookies,
    /// Where to, in order.
    pub routes: Vec<Route>,
    /// Who answers, with TLS for each server.
    pub upstreams: Vec<(upstream::Settings, Vec<Option<ServerTls>>)>,
    /// Limits.
    pub limits: Limits,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Prefix of the gateway's own pages, without a slash at its end.
    pub reserved_prefix: String,
    /// What browsers see, where it is configured.
    pub public_url: Option<PublicUrl>,
    /// Who?
    pub sessions: Arc<Sessions>,
    /// How people prove it.
    pub login: Arc<Login>,
    /// How many streams look at which session.
    pub watchers: Arc<Watchers>,
    /// Where requests are noted.
    pub access_log: Arc<AccessLog>,
    /// What time it is.
    pub clock: Clock,
}

/// `public_url:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// How browsers speak.
    pub scheme: Scheme,
    /// Host in lower case, IPv6 in brackets, with its port unless that is the scheme's own.
    pub authority: String,
}

impl PublicUrl {
    /// `scheme://authority`, as browsers write it into `Origin` (RFC 6454, section 6).
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority)
    }
}

/// `limits:`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a header block, request line included (default 32 KiB): more is 431.
    pub header_bytes: usize,
    /// Header fields (default 100): more is 431.
    pub headers: usize,
    /// Bytes of a request line (default 8 KiB): more is 414.
    pub request_line: usize,
    /// Bytes of a request body (default 100 MiB, 0: none): more is 413.
    pub body: u64,
    /// Client connections at the same time, over all listeners (default 10,000): more get 503.
    pub connections: usize,
    /// Client connections at the same time from one address (default 0: no limit).
    pub connections_per_ip: usize,
}

/// `timeouts:`; zero means none.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first byte of a head to its last, and for a TLS handshake (default 10 s).
    pub header: Duration,
    /// Without a request on a client's connection (default 75 s).
    pub idle: Duration,
    /// Between two pieces of a body, either way (default 30 s).
    pub body: Duration,
    /// For a request, until its response begins (default none).
    pub request: Duration,
    /// For requests under way when told to stop (default 30 s).
    pub drain: Duration,
}
