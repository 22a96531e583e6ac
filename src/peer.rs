//! Peer: the other end of a client's connection, as the socket tells it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Which scheme the client's connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// The client's end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address and port; `None` over a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The port of ours it connected to; `None` over a Unix socket.
    pub local_port: Option<u16>,
    /// Plain or TLS.
    pub scheme: Scheme,
    /// The certificate it proved to have the key of, if it was asked for one and showed one that is trusted.
    pub certificate: Option<Certificate>,
}

/// A client's certificate, as DER (X.509).
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Arc<[u8]>);

impl Certificate {
    /// One whose chain has been verified.
    pub fn verified(der: &[u8]) -> Self {
        Self(der.into())
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.0.len())
    }
}

impl Peer {
    /// The client's IP address, IPv4-mapped IPv6 written as IPv4; `None` over a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.remote.map(|address| address.ip().to_canonical())
    }
}
