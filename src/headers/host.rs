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
        let position = |wanted: u8| authority.bytes().position(|byte| byte == wanted);
        let name_length = if authority.starts_with('[') {
            position(b']')? + 1
        } else {
            position(b':').unwrap_or(authority.len())
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
    let (mut label, mut differs) = (0, name.len() != written.len());
    for byte in name.bytes() {
        match byte {
            b'.' if label > 0 => label = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label += 1,
            b'A'..=b'Z' if label < 63 => (label, differs) = (label + 1, true),
            _ => return None,
        }
    }
    let valid = label > 0 && name.len() <= 253;
    valid.then(|| differs.then(|| name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_in_lower_case_and_sent_as_it_came() {
        let cases = [
            ("a.example", "a.example", None),
            ("A.Example:8080", "a.example", Some(8080)),
            ("a.example.", "a.example", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("localhost", "localhost", None),
            ("[::1]:443", "[::1]", Some(443)),
            ("[0:0::1]", "[::1]", None),
            ("xn--bj0bj06e.kr", "xn--bj0bj06e.kr", None),
            ("my_app", "my_app", None),
        ];
        for (sent, name, port) in cases {
            let host = Host::parse(sent).expect(sent);
            assert_eq!((host.name(), host.port(), host.authority()), (name, port, sent));
        }
    }

    #[test]
    fn nothing_but_a_name_and_a_port_is_a_host() {
        let long = "a.".repeat(128);
        let refused = [
            "",
            ".",
            "a..b",
            "a b",
            "a,b",
            "u@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\r\nb",
            "a%41",
            "한.kr",
            "a:",
            "a:0",
            "a:+80",
            "a:65536",
            "a:80:80",
            ":80",
            "::1",
            "[::1",
            "[::1]80",
            "[x]",
            "[fe80::1%25eth0]",
            "a'b",
            "a\"b",
            "a<b",
            &long,
        ];
        for authority in refused {
            assert_eq!(Host::parse(authority), None, "{authority}");
        }
    }
}
