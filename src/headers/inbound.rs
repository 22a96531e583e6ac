//! Inbound: a request that may be looked at.
//!
//! Comes in: a head as received, and the peer it came from. Goes out: an [`Inbound`] in normal form without anything
//! only the gateway may say, or the reason to turn it down. Never asks who is asking.

use std::rc::Rc;

use http::{Method, Version};

use super::hop::HopByHop;
use super::target::Target;
use super::{BadRequest, Client, Host, NormalPath, Original, Outer, REQUEST_ID, Rules};
use crate::message::{Fields, RequestHead};
use crate::peer::{Certificate, Peer};

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
    pub request_id: Rc<str>,
    /// The client waits for 100 (Continue) before it sends its body.
    pub expects_continue: bool,
    /// The client wants to go on in another protocol.
    pub upgrade: Option<Upgrade>,
    /// The client takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
    /// Who is asking, as a trusted proxy says, where one is to be heard.
    pub outer: Option<Box<Outer>>,
    /// The certificate of the client's connection.
    pub certificate: Option<Certificate>,
    /// The request that a trusted proxy asks about.
    pub original: Option<Box<Original>>,
}

/// A protocol to go on in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

/// Checks a request and brings it into normal form. `fresh_id` makes an id for a request that brings none that can be
/// believed.
pub fn inbound(
    head: RequestHead,
    peer: &Peer,
    rules: &Rules,
    fresh_id: impl FnOnce() -> Rc<str>,
) -> Result<Inbound, BadRequest> {
    let RequestHead { method, target: mut raw, version, mut fields } = head;
    if matches!(method, Method::CONNECT | Method::TRACE) || has_two_readings(&method) {
        return Err(BadRequest::Method);
    }
    let target = Target::parse(&method, &raw)?;
    let host = find_host(&target, version, &fields)?;
    let asterisk = target.path == "*";
    let query = target.query.map(str::to_owned);
    let path = match target.authority {
        _ if asterisk => NormalPath::parse("/"),
        Some(_) => NormalPath::parse(target.path),
        // The target begins with the path: its text becomes the path's.
        None => {
            raw.truncate(target.path.len());
            NormalPath::parse(raw)
        }
    }?;
    let expects_continue = expects_continue(version, &fields)?;
    let upgrade = find_upgrade(&method, version, &fields);
    let takes_trailers = fields.lists("te", "trailers");
    let client = Client::find(peer, &fields, &rules.trusted_proxies);
    let request_id = request_id(&client, &fields).unwrap_or_else(fresh_id);
    let original = Original::find(&client, &fields);

    let outer = rules.outer.as_ref().and_then(|names| Outer::heard(&client, &fields, names));
    let hop = HopByHop::of(&fields);
    // How the body is framed, and when it is sent, is for the codec to say.
    ["content-length", "expect"].into_iter().for_each(|name| fields.remove(name));
    fields.retain(|name, _| !(hop.covers(name) || rules.guard.covers(name)));
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
        outer,
        certificate: peer.certificate.clone(),
        original,
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
    let is_html = |range: &[u8]| {
        let media_type = range.split(|&byte| byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"text/html")
    };
    let mut ranges = fields.get_all("accept").flat_map(|value| value.split(|&byte| byte == b','));
    !by_script && ranges.any(is_html)
}

/// Whether applications may take a method for another one: methods are case-sensitive (RFC 9110, section 9.1), but some
/// applications read `post` as POST, and a route for POST does not.
pub(super) fn has_two_readings(method: &Method) -> bool {
    *method != Method::GET && method.as_str().bytes().any(|byte| byte.is_ascii_lowercase())
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
fn request_id(client: &Client, fields: &Fields) -> Option<Rc<str>> {
    let id = fields.text(REQUEST_ID).filter(|_| client.is_behind_proxy())?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:+/=@".contains(&byte);
    ((1..=128).contains(&id.len()) && id.bytes().all(safe)).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::{IdentityNames, InvalidPath, ResponseHeaders};
    use crate::peer::Scheme;

    const GET: Method = Method::GET;
    const V10: Version = Version::HTTP_10;
    const V11: Version = Version::HTTP_11;
    const V2: Version = Version::HTTP_2;
    const HOST: (&str, &str) = ("Host", "a.example");

    /// Sends a head from a peer; `10.0.0.1` is a trusted proxy.
    fn from(
        ip: [u8; 4],
        method: Method,
        target: &str,
        version: Version,
        list: &[(&str, &str)],
    ) -> Result<Inbound, BadRequest> {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        let peer = Peer {
            remote: Some((ip, 5555).into()),
            local_port: Some(80),
            scheme: Scheme::Http,
            certificate: None,
        };
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        let rules = Rules::new(IdentityNames::default(), &[], ResponseHeaders::default(), trusted);
        inbound(RequestHead { method, target: target.to_owned(), version, fields }, &peer, &rules, || {
            "fresh".into()
        })
    }

    fn receive(
        method: Method,
        target: &str,
        version: Version,
        list: &[(&str, &str)],
    ) -> Result<Inbound, BadRequest> {
        from([192, 0, 2, 9], method, target, version, list)
    }

    fn get(list: &[(&str, &str)]) -> Result<Inbound, BadRequest> {
        receive(GET, "/", V11, &[&[HOST], list].concat())
    }

    fn names(inbound: &Inbound) -> Vec<&str> {
        inbound.fields.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_client_cannot_say_what_only_we_may_say() {
        let spoofed = [
            ("X-Auth-User", "admin"),
            ("X_Auth_User", "admin"),
            ("x.auth.user", ""),
            ("X-AUTH-USER", "admin"),
            ("X-Auth-Groups", "staff"),
            ("X_Forwarded_For", "127.0.0.1"),
            ("X-Forwarded-Host", "evil"),
            ("Forwarded", "for=127.0.0.1"),
            ("X-Original-URL", "/admin"),
            ("Session-Data", "admin=?1"),
            ("session_id", "1"),
            ("Proxy", "http://evil"),
            ("X-Request-Id", "mine"),
            ("Accept", "*/*"),
        ];
        let inbound = get(&spoofed).expect("valid");
        assert_eq!(names(&inbound), ["Host", "Accept"]);
        assert_eq!((inbound.client.ip, &*inbound.request_id), (Some([192, 0, 2, 9].into()), "fresh"));
    }

    #[test]
    fn what_is_about_the_connection_ends_here() {
        let fields = [
            ("Connection", "close, X-Private"),
            ("X-Private", "1"),
            ("connection", "keep-alive"),
            ("Keep-Alive", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "5"),
            ("TE", "gzip, trailers"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "x"),
            ("Proxy-Connection", "close"),
            ("Trailer", "X-Sum"),
            ("cookie", "a=1"),
            ("Cookie", "b=2"),
        ];
        let inbound = get(&fields).expect("valid");
        assert_eq!(names(&inbound), ["Host", "Trailer", "cookie", "Cookie"]);
        assert!(inbound.takes_trailers && inbound.upgrade.is_none());
    }

    #[test]
    fn there_is_exactly_one_valid_host() {
        use BadRequest::{Host, HostDiffers, HostMissing, HostTwice};
        let refused = |target, version, list: &[_]| receive(GET, target, version, list).expect_err("refused");
        assert_eq!(refused("/", V11, &[]), HostMissing);
        assert_eq!(refused("http://a.example/", V11, &[]), HostMissing);
        assert_eq!(refused("/", V2, &[]), HostMissing);
        assert_eq!(refused("/", V11, &[HOST, HOST]), HostTwice);
        assert_eq!(refused("http://a.example/", V2, &[HOST, HOST]), HostTwice);
        assert_eq!(refused("http://b.example/", V2, &[HOST]), HostDiffers);
        assert_eq!(refused("http://u@a.example/", V11, &[HOST]), Host);
        for host in ["", "a b", "a,b", "user@a", "a/b", "a:99999", "a\r", "é"] {
            assert_eq!(refused("/", V11, &[("host", host)]), Host, "{host}");
            assert_eq!(refused("http://a.example/", V11, &[("host", host)]), Host, "{host}");
        }
    }

    #[test]
    fn an_absolute_target_replaces_host() {
        let host = |target, version, list: &[_]| {
            receive(GET, target, version, list).expect("valid").host.authority().to_owned()
        };
        assert_eq!(host("http://B.example:81/x", V11, &[HOST]), "B.example:81");
        assert_eq!(host("http://b.example", V10, &[]), "b.example");
        assert_eq!(host("https://a.example/", V2, &[]), "a.example");
        assert_eq!(host("https://A.example/", V2, &[HOST]), "A.example");
        assert_eq!(host("/", V2, &[HOST]), "a.example");
        assert_eq!(host("/", V10, &[]), "localhost");
    }

    #[test]
    fn connect_and_trace_are_refused() {
        for (method, target) in [(Method::CONNECT, "a:80"), (Method::TRACE, "/")] {
            let refused = receive(method, target, V11, &[HOST]).expect_err("refused");
            assert_eq!((refused, refused.status().as_u16()), (BadRequest::Method, 405));
        }
    }

    #[test]
    fn a_method_in_lower_case_does_not_slip_past_a_rule() {
        for name in [&b"post"[..], b"Post", b"pOST"] {
            let method = Method::from_bytes(name).expect("a token");
            assert_eq!(receive(method, "/", V11, &[HOST]).expect_err("refused"), BadRequest::Method);
        }
        let unusual = Method::from_bytes(b"VERSION-CONTROL").expect("a token");
        assert!(receive(unusual, "/", V11, &[HOST]).is_ok());
    }

    #[test]
    fn only_options_may_ask_about_the_whole_server() {
        let inbound = receive(Method::OPTIONS, "*", V11, &[HOST]).expect("valid");
        assert!(inbound.asterisk && inbound.path.as_str() == "/");
        assert_eq!(receive(GET, "*", V11, &[HOST]).expect_err("refused"), BadRequest::Target);
    }

    #[test]
    fn the_path_gets_its_normal_form_and_the_query_stays() {
        let inbound = receive(GET, "/a/%2e%2e//%62?x=%zz&y=/../;", V11, &[HOST]).expect("valid");
        assert_eq!((inbound.path.as_str(), inbound.query.as_deref()), ("/b", Some("x=%zz&y=/../;")));
        let refused = receive(GET, "/a%5cb", V11, &[HOST]).expect_err("refused");
        assert_eq!((refused, refused.status().as_u16()), (BadRequest::Path(InvalidPath::Backslash), 400));
    }

    #[test]
    fn only_one_expectation_can_be_met() {
        assert!(get(&[("Expect", "100-Continue")]).expect("valid").expects_continue);
        assert!(!get(&[]).expect("valid").expects_continue);
        let old = receive(Method::POST, "/", V10, &[("Expect", "100-continue")]).expect("valid");
        assert!(!old.expects_continue && old.fields.is_empty());
        for expectation in ["", "200-ok", "100-continue, x"] {
            let refused = get(&[("Expect", expectation)]).expect_err("refused");
            assert_eq!(refused.status().as_u16(), 417);
        }
    }

    #[test]
    fn only_a_websocket_handshake_is_an_upgrade() {
        let handshake = [HOST, ("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")];
        let upgrade =
            |method, version, list: &[_]| receive(method, "/", version, list).expect("valid").upgrade;
        assert_eq!(upgrade(GET, V11, &handshake), Some(Upgrade::WebSocket));
        assert_eq!(upgrade(GET, V11, &handshake[..2]), None);
        assert_eq!(upgrade(GET, V11, &[HOST, handshake[2]]), None);
        assert_eq!(upgrade(GET, V10, &handshake), None);
        assert_eq!(upgrade(Method::POST, V11, &handshake), None);
    }

    #[test]
    fn a_request_id_is_kept_from_a_trusted_proxy_if_it_is_fit_for_a_log() {
        let long = "x".repeat(129);
        for (ip, id, expected) in [
            ([10, 0, 0, 1], "a-1.b/c=", "a-1.b/c="),
            ([192, 0, 2, 1], "a-1.b/c=", "fresh"),
            ([10, 0, 0, 1], "", "fresh"),
            ([10, 0, 0, 1], "a b", "fresh"),
            ([10, 0, 0, 1], "a\"", "fresh"),
            ([10, 0, 0, 1], &long, "fresh"),
        ] {
            let inbound = from(ip, GET, "/", V11, &[HOST, ("x-request-id", id)]).expect("valid");
            assert_eq!(&*inbound.request_id, expected);
            assert_eq!(names(&inbound), ["Host"]);
        }
    }

    #[test]
    fn a_page_navigation_is_told_from_a_script() {
        let navigation = |list: &[_]| is_navigation(&get(list).expect("valid").fields);
        assert!(navigation(&[("Sec-Fetch-Mode", "navigate")]));
        assert!(navigation(&[("Accept", "application/json;q=0.1, Text/HTML ;q=0.9")]));
        assert!(!navigation(&[("Sec-Fetch-Mode", "cors"), ("Accept", "text/html")]));
        assert!(!navigation(&[("X-Requested-With", "XMLHttpRequest"), ("Accept", "text/html, */*")]));
        assert!(!navigation(&[("Accept", "*/*")]) && !navigation(&[]));
    }
}
