//! Incoming: how a response returns.
//!
//! Comes in: the upstream's head. Goes out: the head for the client, without what was meant for us alone. Never
//! touches a field that is not ours: other cookies return byte for byte, one line each. Content-Length stays, for the
//! codec to judge.

use http::StatusCode;

use super::guard::is_instruction;
use super::hop::HopByHop;
use super::{REQUEST_ID, Rules, date};
use crate::clock::Timestamp;
use crate::message::{Fields, ResponseHead};

/// What a response needs to know of its request.
#[derive(Clone, Copy, Debug)]
pub struct Returning<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The client speaks https, to us or to a trusted proxy.
    pub secure: bool,
    /// For `Date`, where the upstream sent none (RFC 9110, section 6.6.1).
    pub now: Timestamp,
    /// Fields that the operator's changes leave alone, in lower case.
    pub keeps: &'a [&'a str],
}

/// Turns the upstream's head into the client's, interim ones too; what is meant for us alone comes back.
/// `our_cookies` are those that only the gateway may set.
pub fn incoming(response: &mut ResponseHead, our_cookies: &OurCookies) -> Option<Box<Fields>> {
    let switched = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.fields.get("upgrade").filter(|_| switched).map(<[u8]>::to_vec);
    let hop = HopByHop::of(&response.fields);
    let fields = &mut response.fields;
    let mut instructions: Option<Box<Fields>> = None;
    fields.retain(|name, value| {
        let our_cookie = name.eq_ignore_ascii_case(b"set-cookie") && our_cookies.are_set_by(value);
        let instruction = is_instruction(name);
        let goes = our_cookie || instruction || hop.covers(name);
        if instruction {
            instructions.get_or_insert_with(|| Box::new(Fields::new())).append(name, value);
        }
        !goes
    });
    if let Some(protocol) = protocol {
        fields.append("Connection", "upgrade");
        fields.append("Upgrade", protocol);
    }
    instructions
}

/// Names of cookies that only the gateway may set.
#[derive(Clone, Debug, Default)]
pub struct OurCookies {
    /// Each of these, and these with a dot and more behind them.
    names: Vec<String>,
}

impl OurCookies {
    /// The session's cookie, whose pieces are numbered, and others.
    pub fn new(session: &str, others: &[&str]) -> Self {
        let names = std::iter::once(session).chain(others.iter().copied());
        Self { names: names.map(str::to_owned).collect() }
    }

    /// Whether a `Set-Cookie` value sets one of them. A cookie without a name counts by its value, since browsers send
    /// `=name=value` back as `name=value`.
    fn are_set_by(&self, set_cookie: &[u8]) -> bool {
        let pair = set_cookie.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let pair = pair.strip_prefix(b"=").unwrap_or(pair).trim_ascii_start();
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii_end();
        self.names.iter().any(|ours| {
            let (start, rest) = name.split_at(name.len().min(ours.len()));
            start.eq_ignore_ascii_case(ours.as_bytes()) && (rest.is_empty() || rest.starts_with(b"."))
        })
    }
}

/// Adds what every final response says, the upstream's and our own: what is configured, the date, the request's id.
pub fn finish(response: &mut ResponseHead, rules: &Rules, returning: &Returning<'_>) {
    let fields = &mut response.fields;
    date::add(fields, returning.now);
    let changes = |name: &str| !returning.keeps.iter().any(|kept| kept.eq_ignore_ascii_case(name));
    for name in rules.response.remove.iter().filter(|name| changes(name)) {
        fields.remove(name);
    }
    for (name, value) in rules.response.set.iter().filter(|(name, _)| changes(name)) {
        fields.set(name, value);
    }
    if let Some(hsts) = rules.hsts.as_deref().filter(|_| returning.secure) {
        fields.set("Strict-Transport-Security", hsts);
    }
    if rules.response.via {
        fields.append("Via", "1.1 cloakroom");
    }
    fields.set(REQUEST_ID, returning.request_id);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::headers::{IdentityNames, ResponseHeaders};

    const RETURNING: Returning<'_> = Returning {
        request_id: "id",
        secure: true,
        now: Timestamp::from_unix_millis(784_111_777_000),
        keeps: &["cache-control"],
    };

    /// Sends a response back; as lines of text.
    fn arrive(
        status: u16,
        list: &[(&str, &str)],
        changes: ResponseHeaders,
        returning: &Returning<'_>,
    ) -> Vec<String> {
        let mut response = ResponseHead::new(StatusCode::from_u16(status).expect("a status"));
        list.iter().for_each(|(name, value)| response.fields.append(name, value));
        incoming(&mut response, &OurCookies::new("__Host-cloakroom", &["cloakroom"]));
        if status != 103 {
            finish(&mut response, &Rules::new(IdentityNames::default(), &[], changes, Vec::new()), returning);
        }
        response.fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect()
    }

    #[test]
    fn other_cookies_return_byte_for_byte_and_ours_do_not() {
        let list = [
            ("Set-Cookie", "a=1; Path=/"),
            ("set-cookie", "__Host-cloakroom=evil"),
            ("Set-Cookie", "b=2, c=3 ;x;;"),
            ("Set-Cookie", " cloakroom =x"),
            ("Set-Cookie", "=cloakroom=x"),
            ("Set-Cookie", "CLOAKROOM; Path=/"),
            ("Set-Cookie", "cloakroom2=\"a b\""),
            ("Date", "then"),
        ];
        let expected = [
            "Set-Cookie: a=1; Path=/",
            "Set-Cookie: b=2, c=3 ;x;;",
            "Set-Cookie: cloakroom2=\\\"a b\\\"",
            "Date: then",
            "X-Request-Id: id",
        ];
        assert_eq!(arrive(200, &list, ResponseHeaders::default(), &RETURNING), expected);
    }

    #[test]
    fn what_is_meant_for_us_or_the_connection_ends_here() {
        let list = [
            ("Connection", "close, X-Hop, content-length"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Session-Set", "a=1"),
            ("session_logout", "this"),
            ("X-Request-Id", "theirs"),
            ("Content-Length", "3"),
        ];
        let expected = ["Content-Length: 3", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "X-Request-Id: id"];
        assert_eq!(arrive(404, &list, ResponseHeaders::default(), &RETURNING), expected);
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let changes = || ResponseHeaders {
            set: vec![("X-Frame-Options".to_owned(), "DENY".to_owned())],
            remove: vec!["server".to_owned()],
            hsts: Some(Duration::from_secs(60)),
            via: true,
        };
        let list = [("Date", "then"), ("Server", "old/1.0"), ("x-frame-options", "ALLOW")];
        let secure = arrive(200, &list, changes(), &RETURNING);
        let hsts = "Strict-Transport-Security: max-age=60";
        let expected =
            ["Date: then", "X-Frame-Options: DENY", hsts, "Via: 1.1 cloakroom", "X-Request-Id: id"];
        assert_eq!(secure, expected);
        let plain = arrive(200, &list, changes(), &Returning { secure: false, ..RETURNING });
        assert!(!plain.contains(&hsts.to_owned()));
    }

    #[test]
    fn a_switch_of_protocols_keeps_its_protocol() {
        let list =
            [("Connection", "Upgrade, X-Hop"), ("X-Hop", "1"), ("Upgrade", "websocket"), ("Date", "then")];
        let expected = ["Date: then", "Connection: upgrade", "Upgrade: websocket", "X-Request-Id: id"];
        assert_eq!(arrive(101, &list, ResponseHeaders::default(), &RETURNING), expected);
    }

    #[test]
    fn early_hints_pass_with_nothing_added() {
        let list = [("Link", "</a.css>"), ("Session-Set", "a=1"), ("Connection", "close")];
        assert_eq!(arrive(103, &list, ResponseHeaders::default(), &RETURNING), ["Link: </a.css>"]);
    }
}
