//! Server: workers, listeners, connections.
use std::net::SocketAddr;
use std::path::PathBuf;

/// One entry of `listen:`.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Where to listen.
    pub address: ListenAddress,
    /// With TLS, if given.
    pub tls: Option<TlsSettings>,
    /// Answer every request with a redirect to https.
    pub redirect_to_https: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificate chain and key files (PEM), at least one; the first serves clients that name no host.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Only TLS 1.3 (`min_version: "1.3"`); otherwise 1.2 as well.
    pub only_tls13: bool,
}
