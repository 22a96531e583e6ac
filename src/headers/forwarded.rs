//! Forwarded: whom a request comes from, and how the upstream is told.
//!
//! Comes in: the socket's peer and, if it is a trusted proxy, what it says of the client (`X-Forwarded-*`, or
//! `Forwarded` as in RFC 7239). Goes out: a [`Client`], and the `X-Forwarded-*` fields rebuilt from it. Never believes
//! anybody beyond the first address that is not a trusted proxy.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::host::{Host, parse_port};
use crate::message::Fields;
use crate::peer::{Peer, Scheme};

/// A node that does not say who it is (RFC 7239, section 6.2).
const UNKNOWN: &str = "unknown";

/// Where a request comes from, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address; `None` over a Unix socket.
    pub ip: Option<IpAddr>,
    /// How the client spoke to the outermost trusted proxy, or to us.
    pub scheme: Scheme,
    /// The host the client asked the outermost proxy for, if a trusted one says so; otherwise it is the request's own.
    pub host: Option<Host>,
    /// The port the client connected to.
    pub port: u16,
    /// Trusted proxies between client and us, the nearest last.
    proxies: Vec<IpAddr>,
    behind_proxy: bool,
}

impl Client {
    /// Finds the client behind a peer.
    pub(super) fn find(peer: &Peer, fields: &Fields, trusted: &[IpNet]) -> Self {
        let port = peer.local_port.unwrap_or(peer.scheme.default_port());
        let own = Self {
            ip: peer.ip(),
            scheme: peer.scheme,
            host: None,
            port,
            proxies: Vec::new(),
            behind_proxy: false,
        };
        match own.ip {
            Some(proxy) if is_trusted(proxy, trusted) => own.behind(proxy, fields, trusted),
            _ => own,
        }
    }

    /// Whether it reached us through a trusted proxy.
    pub fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Writes what the upstream is told of the client. `host` is the request's own.
    pub(super) fn append(&self, fields: &mut Fields, host: &Host) {
        if let Some(client) = self.ip {
            fields.append_with("X-Forwarded-For", |text| {
                push_address(text, client);
                for &proxy in &self.proxies {
                    text.extend_from_slice(b", ");
                    push_address(text, proxy);
                }
            });
        }
        fields.append("X-Forwarded-Proto", self.scheme.as_str());
        fields.append("X-Forwarded-Host", self.host.as_ref().unwrap_or(host).authority());
        fields.append("X-Forwarded-Port", itoa::Buffer::new().format(self.port));
    }

    /// The same client, seen through a trusted proxy.
    fn behind(mut self, proxy: IpAddr, fields: &Fields, trusted: &[IpNet]) -> Self {
        let said = Said::by_proxy(fields);
        let mut hop = proxy;
        for node in said.nodes.iter().rev() {
            let Some(before) = node_address(node) else { break };
            self.proxies.push(hop);
            hop = before;
            if !is_trusted(hop, trusted) {
                break;
            }
        }
        self.behind_proxy = true;
        self.proxies.reverse();
        self.ip = Some(hop);
        self.host = said.host.and_then(Host::parse);
        if let Some(scheme) = said.proto.and_then(scheme) {
            self.scheme = scheme;
            self.port = scheme.default_port();
        }
        let named = self.host.as_ref().and_then(Host::port);
        self.port = said.port.and_then(parse_port).or(named).unwrap_or(self.port);
        self
    }
}

/// Writes an address as text; the formatting machinery is left to IPv6.
fn push_address(text: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                text.extend_from_slice(if at == 0 { b"" } else { b"." });
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => write!(text, "{address}").expect("a Vec takes everything"),
    }
}

/// What a trusted proxy says, unread.
#[derive(Default)]
struct Said<'a> {
    /// Nodes on the way, the nearest last.
    nodes: Vec<&'a str>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// From `X-Forwarded-*`, or from `Forwarded` where there is no `X-Forwarded-For`. Of lists, the nearest proxy's
    /// word counts.
    fn by_proxy(fields: &'a Fields) -> Self {
        let mut said = Self::default();
        if !fields.contains("X-Forwarded-For") {
            fields.get_all("Forwarded").for_each(|line| said.add_elements(readable(line)));
        }
        let nodes = fields.get_all("X-Forwarded-For").flat_map(|line| line.split(|&byte| byte == b','));
        said.nodes.extend(nodes.map(|node| readable(node.trim_ascii())).filter(|node| !node.is_empty()));
        said.proto = fields.tokens("X-Forwarded-Proto").last().or(said.proto);
        said.host = fields.tokens("X-Forwarded-Host").last().or(said.host);
        said.port = fields.tokens("X-Forwarded-Port").last();
        said
    }

    /// Adds the elements of one `Forwarded` line (RFC 7239, section 4).
    fn add_elements(&mut self, value: &'a str) {
        for element in split_unquoted(value, b',').filter(|element| !element.trim().is_empty()) {
            let (mut node, mut proto, mut host) = (UNKNOWN, None, None);
            for pair in split_unquoted(element, b';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = value.trim().trim_matches('"');
                match name.trim() {
                    name if name.eq_ignore_ascii_case("for") => node = value,
                    name if name.eq_ignore_ascii_case("proto") => proto = Some(value),
                    name if name.eq_ignore_ascii_case("host") => host = Some(value),
                    _ => {}
                }
            }
            self.nodes.push(node);
            (self.proto, self.host) = (proto, host);
        }
    }
}

/// What is not text is an unknown node; to pass over it would promote what stands before it.
fn readable(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or(UNKNOWN)
}

/// The parts of a text between separators that are not inside quotes.
fn split_unquoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character: char| {
        quoted ^= character == '"';
        !quoted && character == char::from(separator)
    })
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().or_else(|_| node.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn scheme(name: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
}

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        let remote = Some(SocketAddr::new(ip.parse().expect("an address"), 5555));
        Peer { remote, local_port: Some(8443), scheme: Scheme::Http, certificate: None }
    }

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        fields
    }

    fn find(ip: &str, said: &[(&str, &str)]) -> Client {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        Client::find(&peer(ip), &fields(said), &trusted)
    }

    fn told(client: &Client) -> Vec<String> {
        let mut fields = Fields::new();
        client.append(&mut fields, &Host::parse("own.example").expect("valid"));
        fields.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    const LIES: [(&str, &str); 5] = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Port", "1"),
        ("Forwarded", "for=1.2.3.4;proto=https;host=evil.example"),
    ];

    #[test]
    fn a_stranger_is_not_believed() {
        let client = find("192.0.2.9", &LIES);
        assert!(!client.is_behind_proxy());
        assert_eq!(told(&client), ["192.0.2.9", "http", "own.example", "8443"]);
    }

    #[test]
    fn nobody_is_believed_over_a_unix_socket() {
        let peer = Peer { remote: None, local_port: None, scheme: Scheme::Http, certificate: None };
        let client = Client::find(&peer, &fields(&LIES), &["0.0.0.0/0".parse().expect("a network")]);
        assert_eq!(told(&client), ["http", "own.example", "80"]);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let client = find("10.0.0.1", &LIES);
        assert!(client.is_behind_proxy());
        assert_eq!(told(&client), ["1.2.3.4, 10.0.0.1", "https", "evil.example", "1"]);
        assert_eq!(find("::ffff:10.0.0.1", &LIES), client, "IPv4-mapped addresses are IPv4");
    }

    #[test]
    fn what_stands_before_the_first_stranger_is_not_believed() {
        let lines = [("X-Forwarded-For", "127.0.0.1, 6.6.6.6"), ("x-forwarded-for", "[fd00::2]:99")];
        let client = find("10.0.0.1", &lines);
        assert_eq!(client.ip, Some([6, 6, 6, 6].into()));
        assert_eq!(told(&client)[0], "6.6.6.6, fd00::2, 10.0.0.1");
    }

    #[test]
    fn an_unreadable_hop_ends_the_chain() {
        for nonsense in [&b"1.2.3.4, unknown"[..], b"1.2.3.4, \xff", b"1.2.3.4, 10.0.0.300", b" , "] {
            let mut fields = fields(&[("X-Forwarded-For", "5.6.7.8, _hidden")]);
            fields.append("X-Forwarded-For", nonsense);
            let client =
                Client::find(&peer("10.0.0.1"), &fields, &["10.0.0.0/8".parse().expect("a network")]);
            assert_eq!(client.ip, Some([10, 0, 0, 1].into()));
        }
    }

    #[test]
    fn forwarded_is_read_where_there_is_no_x_forwarded_for() {
        let line = "for=\"[2001:db8::1]:99\"; Proto=https;host=\"a.example:8443\", For=10.0.0.2;proto=http;by=\"x,y\"";
        let client = find("10.0.0.1", &[("Forwarded", line)]);
        assert_eq!(told(&client), ["2001:db8::1, 10.0.0.2, 10.0.0.1", "http", "own.example", "80"]);
        let client = find("10.0.0.1", &[("Forwarded", "for=192.0.2.1;proto=https;host=\"a.example:8443\"")]);
        assert_eq!(told(&client), ["192.0.2.1, 10.0.0.1", "https", "a.example:8443", "8443"]);
    }

    #[test]
    fn nonsense_of_a_trusted_proxy_changes_nothing() {
        let said =
            [("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a b/@"), ("X-Forwarded-Port", "+1")];
        assert_eq!(told(&find("10.0.0.1", &said)), ["10.0.0.1", "http", "own.example", "8443"]);
    }
}
