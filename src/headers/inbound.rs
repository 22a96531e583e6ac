//! Inbound: a request that may be looked at.
//!
//! Comes in: a head as received, and the peer it came from. Goes out: an [`Inbound`] in normal form without anything
//! only the gateway may say, or the reason to turn it down. Never asks who is asking.

use http::{Method, Version};

use super::hop::HopByHop;
use super::target::Target;
use super::{BadRequest, Client, Host, NormalPath, REQUEST_ID, Rules};
use crate::message::{Fields, RequestHead};
use crate::peer::Peer;

/// The host of an HTTP/1.0 request that names none.
const NO_HOST: &str = "localhost";

/// A request in normal form, with the client's copies of our headers gone.
#[derive(Debug)]
pub struct Inbound {
    /// Never CONNECT or TRACE.
    pub method: Method,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// What is meant for the application; nothing about the connection, the framing, or who is asking.
    pub fields: Fields,
    /// Which site.
    pub host: Host,
    /// Which path; `/` for a request about the whole server.
    pub path: NormalPath,
    /// The query byte for byte, without its question mark.
    pub query: Option<String>,
    /// `OPTIONS *`: about the whole server.
    pub asterisk: bool,
    /// Where it comes from.
    pub client: Client,
    /// 1 to 128 bytes; from a trusted proxy, or fresh.
    pub request_id: String,
    /// The client waits for 100 (Continue) before it sends its body.
    pub expects_continue: bool,
    /// The client wants to go on in another protocol.
    pub upgrade: Option<Upgrade>,
    /// The client takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
}

/// A protocol to go on in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

impl Inbound {
    /// Whether a person waits for a page to appear in a browser, and a login page would help.
    pub fn is_navigation(&self) -> bool {
        is_navigation(&self.fields)
    }
}

/// Checks a request and brings it into normal form. `fresh_id` makes an id for a request that brings none that can be
/// believed.
pub fn inbound(
    head: RequestHead,
    peer: &Peer,
    rules: &Rules,
    fresh_id: impl FnOnce() -> String,
) -> Result<Inbound, BadRequest> {
    let RequestHead { method, target, version, mut fields } = head;
    if matches!(method, Method::CONNECT | Method::TRACE) {
        return Err(BadRequest::Method);
    }
    let target = Target::parse(&method, &target)?;
    let host = find_host(&target, version, &fields)?;
    let asterisk = target.path == "*";
    let path = NormalPath::parse(if asterisk { "/" } else { target.path })?;
    let expects_continue = expects_continue(version, &fields)?;
    let upgrade = find_upgrade(&method, version, &fields);
    let takes_trailers = fields.lists("te", "trailers");
    let client = Client::find(peer, &fields, &rules.trusted_proxies);
    let request_id = request_id(&client, &fields).unwrap_or_else(fresh_id);

    let hop = HopByHop::of(&fields);
    fields.retain(|name, _| {
        let codec = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("expect");
        !(codec || hop.covers(name) || rules.guard.covers(name))
    });
    let query = target.query.map(str::to_owned);
    Ok(Inbound {
        method,
        version,
        fields,
        host,
        path,
        query,
        asterisk,
        client,
        request_id,
        expects_continue,
        upgrade,
        takes_trailers,
    })
}

/// Whether a person waits for a page to appear in a browser. A browser says so by `Sec-Fetch-Mode`; of those too old
/// for it, what takes `text/html` and is no XMLHttpRequest counts.
pub fn is_navigation(fields: &Fields) -> bool {
    if let Some(mode) = fields.get("sec-fetch-mode") {
        return mode.eq_ignore_ascii_case(b"navigate");
    }
    let by_script =
        fields.get("x-requested-with").is_some_and(|by| by.eq_ignore_ascii_case(b"XMLHttpRequest"));
    let is_html = |range: &str| {
        let media_type = range.split_once(';').map_or(range, |(media_type, _)| media_type.trim_end());
        media_type.eq_ignore_ascii_case("text/html")
    };
    !by_script && fields.tokens("accept").any(is_html)
}

/// The one host of a request (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
fn find_host(target: &Target<'_>, version: Version, fields: &Fields) -> Result<Host, BadRequest> {
    let mut named = fields.get_all("host");
    let first = named.next();
    if named.next().is_some() {
        return Err(BadRequest::HostTwice);
    }
    let parse = |text: &str| Host::parse(text).ok_or(BadRequest::Host);
    let field = match first {
        Some(value) => Some(parse(std::str::from_utf8(value).map_err(|_| BadRequest::Host)?)?),
        None => None,
    };
    match (target.authority, field) {
        (Some(authority), Some(field)) if version == Version::HTTP_2 => {
            let same = field.authority().eq_ignore_ascii_case(authority);
            if same { parse(authority) } else { Err(BadRequest::HostDiffers) }
        }
        (Some(authority), None) if version != Version::HTTP_11 => parse(authority),
        (Some(authority), Some(_)) => parse(authority),
        (None, Some(field)) => Ok(field),
        (None, None) if version == Version::HTTP_10 => parse(NO_HOST),
        (_, None) => Err(BadRequest::HostMissing),
    }
}

/// Whether the client waits for 100 (Continue); HTTP/1.0 has no such thing (RFC 9110, section 10.1.1).
fn expects_continue(version: Version, fields: &Fields) -> Result<bool, BadRequest> {
    let mut expectations = fields.get_all("expect").peekable();
    let any = expectations.peek().is_some();
    if expectations.all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
        Ok(any && version != Version::HTTP_10)
    } else {
        Err(BadRequest::Expectation)
    }
}

/// The protocol to go on in; offers this gateway does not know are as good as not made (RFC 9110, section 7.8).
fn find_upgrade(method: &Method, version: Version, fields: &Fields) -> Option<Upgrade> {
    let asked = *method == Method::GET
        && version == Version::HTTP_11
        && fields.lists("upgrade", "websocket")
        && fields.lists("connection", "upgrade");
    asked.then_some(Upgrade::WebSocket)
}

/// The id a trusted proxy gave the request, if it fits into logs and headers anywhere.
fn request_id(client: &Client, fields: &Fields) -> Option<String> {
    let id = fields.text(REQUEST_ID).filter(|_| client.is_behind_proxy())?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:+/=@".contains(&byte);
    ((1..=128).contains(&id.len()) && id.bytes().all(safe)).then(|| id.to_owned())
}
