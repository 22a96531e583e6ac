//! Forwarded: whom a request comes from, and how the upstream is told.
//!
//! Comes in: the socket's peer and, if it is a trusted proxy, what it says of the client (`X-Forwarded-*`, or
//! `Forwarded` as in RFC 7239). Goes out: a [`Client`], and the `X-Forwarded-*` fields rebuilt from it. Never believes
//! anybody beyond the first address that is not a trusted proxy.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::host::{Host, parse_port};
use crate::message::Fields;
use crate::peer::{Peer, Scheme};

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
        let mut text = String::with_capacity(40);
        for hop in self.ip.iter().chain(&self.proxies) {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{hop}");
        }
        if !text.is_empty() {
            fields.append("X-Forwarded-For", &text);
        }
        fields.append("X-Forwarded-Proto", self.scheme.as_str());
        fields.append("X-Forwarded-Host", self.host.as_ref().unwrap_or(host).authority());
        text.clear();
        let _ = write!(text, "{}", self.port);
        fields.append("X-Forwarded-Port", &text);
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
            for value in fields.get_all("Forwarded").filter_map(|value| std::str::from_utf8(value).ok()) {
                said.add_elements(value);
            }
        }
        said.nodes.extend(fields.tokens("X-Forwarded-For"));
        said.proto = fields.tokens("X-Forwarded-Proto").last().or(said.proto);
        said.host = fields.tokens("X-Forwarded-Host").last().or(said.host);
        said.port = fields.tokens("X-Forwarded-Port").last();
        said
    }

    /// Adds the elements of one `Forwarded` line (RFC 7239, section 4).
    fn add_elements(&mut self, value: &'a str) {
        for element in split_unquoted(value, b',') {
            let (mut node, mut proto, mut host) = ("unknown", None, None);
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
