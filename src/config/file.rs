//! File: the mirror of the YAML, key by key, with defaults.
//!
//! The comments of the fields are the descriptions in the JSON Schema. Comes in: YAML. Goes out: plain structs, which
//! `resolve` turns into settings. Never checks what needs more than one key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::brief::{Brief, OneOrMany};
use super::units::{Count, Duration, Size, Switch};

pub use access::{Access, Condition, OnlyMap, Words};
pub use bearer::{Bearer, BearerIssuer};
pub use claims::ClaimNames;
pub use credentials::{BasicCredentials, BearerWord, Credentials, OwnCredentials};
pub use django::{Django, DjangoBackend, DjangoColumns};
pub use identity::{
    Assertion, AssertionAlgorithm, AssertionKey, Identity, IdentityEncoding, IdentityHeaders,
};
pub use ldap::{Ldap, LdapAttributes};
pub use login::{
    ApplicationLogin, ApplicationLogout, FailureAnswer, GroupsFrom, Local, Login, LoginLanguage, Logo,
    Secret, SuccessAnswer, Throttle, User, UserFrom,
};
pub use oidc::{ClientAuthWord, Oidc, OidcAllow};
pub use operation::{AccessLog, AccessLogFormat, Admin, AdminMap, Log, LogFormat};
pub use redis::{Redis, RedisMode};
pub use route::{EncodedSlash, Route, RouteSession};
pub use session::{
    Cookie, CreateSession, Key, Memory, SameSiteWord, Secure, Session, Sql, SqlTls, StoreWord,
};
pub use totp::Totp;
pub use upstream::{BalanceWord, Protocol, Upstream, UpstreamTimeouts, UpstreamTls};
pub use vouching::{Basic, CertificatePlace, ClientAuth, ClientCertificate, TrustedHeader};

mod access;
mod bearer;
mod claims;
mod credentials;
mod django;
mod identity;
mod ldap;
mod login;
mod oidc;
mod operation;
mod redis;
mod route;
mod session;
mod totp;
mod upstream;
mod vouching;

/// Configuration of Cloakroom. Paths of files are relative to the configuration file. Every string may contain
/// `${VAR}`, `${VAR:-default}` or `${file:/path}`; keys starting with `x-` are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
#[schemars(title = "Cloakroom")]
pub struct File {
    /// What browsers see, such as `https://app.example.com`: decides about Secure cookies and absolute URLs.
    pub public_url: Option<String>,
    /// A directory for what must survive a restart; keys are made here when `keys` is not given.
    pub state_dir: Option<String>,
    /// Threads that serve requests: a number from 1 to 1024, or `auto` for one per core.
    pub workers: Brief<Workers>,
    /// Where to listen: one address, or a list.
    pub listen: Option<OneOrMany<Listener>>,
    /// Allow plain http beyond this machine without TLS in front. Cookies and passwords can be read on the way.
    pub allow_insecure: Switch,
    /// Networks whose `X-Forwarded-*` headers are believed, such as `10.0.0.0/8`. Empty: nobody's.
    pub trusted_proxies: Vec<String>,
    /// The most a client may send.
    pub limits: Limits,
    /// The longest a client may take; `0s`: no limit.
    pub timeouts: Timeouts,
    /// Short form: everything goes to this server.
    pub upstream: Option<Brief<Upstream>>,
    /// The applications behind the gateway, by name.
    pub upstreams: BTreeMap<String, Brief<Upstream>>,
    /// What goes where, and who may; the first match wins. Without routes everything goes to the only upstream, and
    /// login is needed.
    pub routes: Vec<Route>,
    /// How long visitors are remembered, and the cookie.
    pub session: Session,
    /// Secrets that sign session ids: the first signs, all verify. Without keys one is made in `state_dir`.
    pub keys: Vec<Key>,
    /// How people log in.
    pub login: Login,
    /// How the application is told who is asking.
    pub identity: Identity,
    /// Changes to the headers of every response.
    pub headers: Headers,
    /// The program's own log, on standard error.
    pub log: Log,
    /// A line for every request.
    pub access_log: Brief<AccessLog>,
    /// The listener for operators: `/healthz` and `/readyz`.
    pub admin: Brief<Admin>,
    /// Where the gateway's own pages are.
    #[serde(default = "reserved_prefix")]
    pub reserved_prefix: Option<String>,
}

fn reserved_prefix() -> Option<String> {
    Some("/_cloakroom/".to_owned())
}

/// How many threads serve requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One per core.
    #[default]
    Auto,
    /// So many.
    Number(u64),
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `address`")]
pub struct Listener {
    /// `host:port`, `[::1]:port` or `unix:/run/cloakroom.sock`.
    pub address: Option<String>,
    /// Serve https with these certificates.
    pub tls: Option<ListenerTls>,
    /// Answer every request with a redirect to https.
    pub redirect_to_https: Switch,
}

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `certificates`")]
pub struct ListenerTls {
    /// Certificates, chosen by the name the client asks for; the first serves clients that ask for none.
    pub certificates: Vec<Certificate>,
    /// The oldest version of TLS that is spoken: `"1.2"` or `"1.3"`.
    pub min_version: Brief<TlsVersion>,
    /// PEM file with the authorities that clients' certificates must come from; without it, nobody is asked for one.
    pub client_ca: Option<String>,
    /// Whether clients need a certificate: `required` or `optional`.
    pub client_auth: ClientAuth,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 only.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `cert` and `key`")]
pub struct Certificate {
    /// PEM file with the certificate, followed by the intermediate ones.
    pub cert: Option<String>,
    /// PEM file with the private key.
    pub key: Option<String>,
}

/// The most a client may send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of limits")]
pub struct Limits {
    /// A header block with its request line; more is answered 431.
    pub header_bytes: Size,
    /// Header fields; more is answered 431.
    pub headers: Count,
    /// A request line; more is answered 414.
    pub request_line: Size,
    /// A request body; more is answered 413. 0: no limit.
    pub body: Size,
    /// Connections at the same time over all listeners; more are answered 503.
    pub connections: Count,
    /// Connections at the same time from one address; 0: no limit.
    pub connections_per_ip: Count,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: Size(32 << 10),
            headers: Count(100),
            request_line: Size(8 << 10),
            body: Size(100 << 20),
            connections: Count(10_000),
            connections_per_ip: Count(0),
        }
    }
}

/// The longest a client may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of timeouts")]
pub struct Timeouts {
    /// For a whole header block, and for a TLS handshake.
    pub header: Duration,
    /// Without a request on an open connection.
    pub idle: Duration,
    /// Between two pieces of a body, either way.
    pub body: Duration,
    /// For a request, until its response begins.
    pub request: Duration,
    /// For requests under way when the program is told to stop.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::seconds(10),
            idle: Duration::seconds(75),
            body: Duration::seconds(30),
            request: Duration::seconds(0),
            drain: Duration::seconds(30),
        }
    }
}

/// Changes to the headers of every response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct Headers {
    /// Headers to set or remove.
    pub response: ResponseChanges,
    /// Send `Strict-Transport-Security` with this age on https, such as `365d`.
    pub hsts: Option<Duration>,
    /// Send `Via` to both sides. Some servers stop compressing when they see it.
    pub via: Switch,
}

/// Headers to set or remove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `set` and `remove`")]
pub struct ResponseChanges {
    /// Headers to set, by name, in place of what the application said.
    pub set: BTreeMap<String, String>,
    /// Names of headers to remove.
    pub remove: Vec<String>,
}
