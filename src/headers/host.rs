//! Host: which site a request is for.
//!
//! Comes in: the text of a Host header, of `:authority`, or of the authority in an absolute target. Goes out: a
//! [`Host`] that is a DNS name or an IP address with an optional port. Never holds user information, and nothing a
//! link could be bent with.

use std::net::Ipv6Addr;

/// A valid host, with its port where one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    authority: String,
    /// Only where it is not simply the first `name_length` bytes of `authority`.
    name: Option<String>,
    name_length: usize,
    port: Option<u16>,
}

impl Host {
    /// Reads `name`, `name:port`, `127.0.0.1:port` or `[::1]:port`; `None` if it is anything else.
    pub fn parse(authority: &str) -> Option<Self> {
        let name_length = if authority.starts_with('[') {
            authority.find(']')? + 1
        } else {
            authority.find(':').unwrap_or(authority.len())
        };
        let (written, rest) = authority.split_at(name_length);
        let port = if rest.is_empty() { None } else { Some(parse_port(rest.strip_prefix(':')?)?) };
        let name = normal_name(written)?;
        Some(Self { authority: authority.to_owned(), name, name_length, port })
    }

    /// For routing: lower case, without port and without the dot that may end a name; IPv6 in brackets.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.authority[..self.name_length])
    }

    /// As it was sent, for the Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The port, where one was named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// A port from 1 to 65535, digits only.
pub(super) fn parse_port(digits: &str) -> Option<u16> {
    let port = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (port != 0).then_some(port)
}

/// Checks a name; `Some(Some(…))` where its normal form differs from what is written.
fn normal_name(written: &str) -> Option<Option<String>> {
    if let Some(address) = written.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        let normal = format!("[{address}]");
        return Some((normal != written).then_some(normal));
    }
    let name = written.strip_suffix('.').unwrap_or(written);
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let valid = name.len() <= 253
        && name.split('.').all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(in_label));
    if !valid {
        return None;
    }
    let differs = name.len() != written.len() || name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(differs.then(|| name.to_ascii_lowercase()))
}
