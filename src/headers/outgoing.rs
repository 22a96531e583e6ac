//! Outgoing: how a request leaves.
//!
//! Comes in: an inbound request, and proof that it may pass. Goes out: the head for the upstream, with our own fields
//! last. Never lets the client's word stand beside ours: everything of ours was removed on the way in.

use http::Version;

use super::{Inbound, NormalPath, REQUEST_ID, Rules, Upgrade};
use crate::access::Pass;
use crate::message::{Fields, RequestHead};

/// What the upstream is told as `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostChoice<'a> {
    /// What the client asked for.
    Preserve,
    /// This: a name or address, with its port unless it is the default.
    Name(&'a str),
}

/// The head for the upstream, always HTTP/1.1. `strip_prefix` is taken off the path where it matches whole segments.
/// How the body is framed is left to the codec.
pub fn outgoing(
    inbound: Inbound,
    strip_prefix: Option<&str>,
    pass: &Pass<'_>,
    host: HostChoice<'_>,
    rules: &Rules,
) -> RequestHead {
    let Inbound { method, version, mut fields, path, query, .. } = inbound;
    let target = if inbound.asterisk { "*".to_owned() } else { target(path, query.as_deref(), strip_prefix) };
    let authority = match host {
        HostChoice::Preserve => inbound.host.authority(),
        HostChoice::Name(name) => name,
    };
    // First, as RFC 9110, section 7.2, wants it. Most clients have done so already.
    fields.set_first("Host", authority.as_bytes());
    append_connection(&mut fields, inbound.upgrade, inbound.takes_trailers);
    if inbound.expects_continue {
        fields.append("Expect", "100-continue");
    }
    if rules.response.via {
        fields.append("Via", via(version));
    }
    fields.append(REQUEST_ID, &*inbound.request_id);
    inbound.client.append(&mut fields, &inbound.host);
    introduce(&mut fields, pass, rules);
    RequestHead { method, target, version: Version::HTTP_11, fields }
}

/// Says who is asking, if anybody is known.
pub fn introduce(fields: &mut Fields, pass: &Pass<'_>, rules: &Rules) {
    if let Some(identity) = pass.identity() {
        rules.introduction.append(fields, identity);
    }
}

/// Origin form: the normal path, and the query byte for byte.
fn target(path: NormalPath, query: Option<&str>, strip_prefix: Option<&str>) -> String {
    let mut target = match strip_prefix {
        Some(prefix) => path.without_prefix(prefix).to_owned(),
        None => path.into_string(),
    };
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    target
}

/// Says what is about our own connection to the upstream.
fn append_connection(fields: &mut Fields, upgrade: Option<Upgrade>, takes_trailers: bool) {
    match upgrade {
        Some(Upgrade::WebSocket) => {
            fields.append("Connection", "upgrade");
            fields.append("Upgrade", "websocket");
        }
        None if takes_trailers => {
            fields.append("Connection", "TE");
            fields.append("TE", "trailers");
        }
        None => {}
    }
}

fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 cloakroom",
        Version::HTTP_2 => "2.0 cloakroom",
        _ => "1.1 cloakroom",
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::access::{Access, Asking};
    use crate::clock::Timestamp;
    use crate::headers::{IdentityNames, ResponseHeaders, inbound};
    use crate::peer::{Peer, Scheme};

    /// Sends a request through; as lines of text.
    fn leave(
        target: &str,
        list: &[(&str, &str)],
        strip: Option<&str>,
        host: HostChoice<'_>,
        via: bool,
    ) -> Vec<String> {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        let method = if target == "*" { Method::OPTIONS } else { Method::GET };
        let head = RequestHead { method, target: target.to_owned(), version: Version::HTTP_11, fields };
        let remote = Some(([192, 0, 2, 9], 5555).into());
        let peer = Peer { remote, local_port: Some(8443), scheme: Scheme::Https, certificate: None };
        let response = ResponseHeaders { via, ..ResponseHeaders::default() };
        let rules = Rules::new(IdentityNames::default(), &[], response, Vec::new());
        let inbound = inbound(head, &peer, &rules, || "fresh".into()).expect("valid");
        let pass = Access::Public.admit(Asking::default(), Timestamp::from_unix_millis(0)).expect("public");
        let head = outgoing(inbound, strip, &pass, host, &rules);
        let fields = head.fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        std::iter::once(format!("{} {} {:?}", head.method, head.target, head.version)).chain(fields).collect()
    }

    const OURS: [&str; 5] = [
        "X-Request-Id: fresh",
        "X-Forwarded-For: 192.0.2.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a.example:8443",
        "X-Forwarded-Port: 8443",
    ];

    #[test]
    fn a_request_leaves_with_our_headers_last() {
        let list = [
            ("accept", "*/*"),
            ("HOST", "a.example:8443"),
            ("Connection", "X-Request-Id, X-Forwarded-For, Host"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("x_auth_user", "admin"),
            ("Cookie", "a=1"),
            ("Expect", "100-continue"),
            ("TE", "trailers"),
        ];
        let kept = [
            "GET /b?c=/../ HTTP/1.1",
            "Host: a.example:8443",
            "accept: */*",
            "Cookie: a=1",
            "Connection: TE",
            "TE: trailers",
            "Expect: 100-continue",
        ];
        let expected = [&kept[..], &OURS].concat();
        assert_eq!(leave("/a/%2e%2e/b?c=/../", &list, None, HostChoice::Preserve, false), expected);
    }

    #[test]
    fn the_upstream_may_be_told_another_host_and_path() {
        let list = [("Host", "a.example:8443")];
        let told = leave("/admin/x", &list, Some("/admin/"), HostChoice::Name("app.internal"), true);
        let expected = [&["GET /x HTTP/1.1", "Host: app.internal", "Via: 1.1 cloakroom"], &OURS[..]].concat();
        assert_eq!(told, expected);
        assert_eq!(leave("*", &list, Some("/admin/"), HostChoice::Preserve, false)[0], "OPTIONS * HTTP/1.1");
    }

    #[test]
    fn a_websocket_handshake_is_handed_on() {
        let list = [
            ("Host", "a.example:8443"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "x"),
        ];
        let expected = [
            &["GET / HTTP/1.1", "Host: a.example:8443", "Sec-WebSocket-Key: x", "Connection: upgrade"][..],
            &["Upgrade: websocket"][..],
            &OURS[..],
        ]
        .concat();
        assert_eq!(leave("/", &list, None, HostChoice::Preserve, false), expected);
    }
}
