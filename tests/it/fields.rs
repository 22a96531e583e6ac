//! Fields that go through and fields that do not: cookies, hop-by-hop fields, trailers, what only the gateway may read.

use crate::support::http2::{pieces, request};
use crate::support::{Browser, EchoUpstream, Http2, Message, Raw, TestGateway};

const ROUTES: &str = "
    routes:
      - { path: /public, access: public }
      - { path: /optional, access: optional }
      - { path: / }
";

/// A gateway, the application behind it, and a browser of alice's.
fn scene() -> (EchoUpstream, TestGateway, Browser) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    (upstream, gateway, browser)
}

/// What the upstream saw last.
#[track_caller]
fn last(upstream: &EchoUpstream) -> Message {
    upstream.requests().pop().expect("something arrived")
}

#[test]
fn hop_by_hop_fields_end_at_the_gateway_both_ways() {
    let hop = "Connection: X-One, close\r\nConnection: x-two\r\nX-One: 1\r\nX-TWO: 2\r\nKeep-Alive: timeout=5\r\n\
               Proxy-Authenticate: a\r\nProxy-Authorization: b\r\nProxy-Connection: c\r\nTE: gzip\r\nUpgrade: foo\r\nX-Kept: 3\r\n";
    let upstream = EchoUpstream::answering(format!("HTTP/1.1 200 OK\r\n{hop}Content-Length: 0\r\n\r\n"));
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let response = Raw::ask(gateway.address(), format!("GET / HTTP/1.1\r\nHost: a.example\r\n{hop}\r\n"));
    let seen = last(&upstream);
    for name in [
        "x-one",
        "x-two",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(seen.header(name), None, "{name} went up");
        assert_eq!(response.header(name), None, "{name} came down");
    }
    assert_eq!((seen.header("x-kept"), response.header("x-kept")), (Some("3"), Some("3")));
    assert_eq!(seen.header("connection"), None);
    let trailers = "GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers, deflate\r\nConnection: TE\r\n\r\n";
    Raw::ask(gateway.address(), trailers);
    assert_eq!(last(&upstream).header("te"), Some("trailers"));
}

#[test]
fn trailers_of_an_event_stream_are_cleaned_like_any_other() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
         9\r\ndata: 1\n\n\r\n0\r\nX-Checksum: 1\r\nSession-Set: mallory\r\n\r\n",
    );
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let response = Raw::ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\n\r\n");
    assert_eq!((response.text().as_str(), response.trailers.as_str()), ("data: 1\n\n", "x-checksum: 1\r\n"));
}

#[test]
fn trailers_go_both_ways_without_what_only_a_head_may_say() {
    const TRAILERS: &str = "X-Checksum: 1\r\nX-Auth-User: mallory\r\nx_auth_user: mallory\r\nX-Forwarded-For: mallory\r\n\
        Session-Data: mallory\r\nHost: mallory\r\nContent-Length: 77\r\nTransfer-Encoding: mallory\r\nCookie: a=mallory\r\n\
        Set-Cookie: cloakroom=mallory\r\nAuthorization: mallory\r\nConnection: mallory\r\n";
    let upstream = EchoUpstream::answering(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n4\r\nfine\r\n0\r\n{TRAILERS}\r\n"
    ));
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let request_text = format!(
        "POST / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n{TRAILERS}\r\n"
    );
    let response = Raw::ask(gateway.address(), request_text);
    let seen = last(&upstream);
    for (side, message) in [("up", &seen), ("down", &response)] {
        assert_eq!(message.trailers.to_ascii_lowercase(), "x-checksum: 1\r\n", "{side}");
        assert_eq!(message.header("x-checksum"), None, "never merged into the head");
        assert!(!String::from_utf8_lossy(&message.raw).contains("mallory"), "{side}");
    }
    let mut client = Http2::connect(gateway.address());
    let trailers = [
        ("x-checksum", "2"),
        ("x-auth-user", "mallory"),
        ("x_auth_user", "mallory"),
        ("session-set", "mallory"),
    ];
    let url = format!("http://{}/", gateway.address());
    let response =
        client.ask(request("POST", &url, &[("te", "trailers")], pieces(&["hel", "lo"], &trailers)));
    let seen = last(&upstream);
    assert_eq!((seen.body.as_slice(), seen.trailers.as_str()), (&b"hello"[..], "x-checksum: 2\r\n"));
    let trailers = response.body().trailers().expect("they came");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(trailers["x-checksum"], "1");
}

#[test]
fn our_cookie_is_cut_out_and_all_others_stay_byte_for_byte() {
    let (upstream, _gateway, mut alice) = scene();
    let ticket = alice.ticket().expect("signed in").to_owned();
    alice.cookies.clear();
    for (sent, arrived) in [
        (format!("cloakroom={ticket}"), None),
        (format!("a=1; cloakroom={ticket}; b=\"2 3\";c=;  d"), Some("a=1; b=\"2 3\";c=;  d")),
        (
            format!("cloakroom={ticket}; a==x==; xcloakroom=1; cloakroomx=2"),
            Some("a==x==; xcloakroom=1; cloakroomx=2"),
        ),
        (format!("a=1; a=2; cloakroom={ticket}; cloakroom-login=x"), Some("a=1; a=2")),
    ] {
        assert_eq!(alice.request("GET", "/page", &[("Cookie", &sent)], b"").status, 200, "{sent}");
        let seen = last(&upstream);
        assert_eq!(seen.header("cookie"), arrived, "{sent}");
        assert!(!seen.head.contains(&ticket));
    }
    // On public routes too, though nobody looks at it there.
    alice.request("GET", "/public", &[("Cookie", &format!("a=1; cloakroom={ticket}"))], b"");
    assert_eq!(last(&upstream).header("cookie"), Some("a=1"));
}

#[test]
fn cookies_in_several_lines_are_looked_through_as_well() {
    let (upstream, gateway, alice) = scene();
    let ticket = alice.ticket().expect("signed in");
    let request = format!(
        "GET /page HTTP/1.1\r\nHost: {}\r\nCookie: a=1\r\nCookie: cloakroom={ticket}\r\ncookie: b=2\r\n\r\n",
        gateway.address()
    );
    assert_eq!(Raw::ask(gateway.address(), request).status, 200);
    let seen = last(&upstream);
    assert!(!seen.head.contains(ticket), "{}", seen.head);
    assert_eq!(seen.headers("cookie").join("; "), "a=1; b=2");
}

#[test]
fn an_upstream_sets_its_cookies_byte_for_byte_and_never_ours() {
    let theirs = [
        "a=1; Path=/; HttpOnly",
        "b=\"x,y\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "c",
        "=d",
        "cloakrooms=1",
    ];
    let ours = [
        "cloakroom=evil",
        "Cloakroom=evil; Path=/",
        " cloakroom = evil",
        "=cloakroom=evil",
        "cloakroom-login=evil",
    ];
    let lines: String =
        theirs.iter().chain(&ours).map(|cookie| format!("Set-Cookie: {cookie}\r\n")).collect();
    let upstream = EchoUpstream::answering(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"));
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let response = Raw::ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(response.headers("set-cookie"), theirs);
}

#[test]
fn session_instructions_of_an_upstream_never_reach_the_client() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nSession-Set: a=1\r\nsession_login: \"mallory\"\r\nSESSION-LOGOUT: all\r\nX-Session: kept\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let response = Raw::ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(!response.head.to_ascii_lowercase().contains("\r\nsession"), "{}", response.head);
    assert_eq!(response.header("x-session"), Some("kept"));
    let mut client = Http2::connect(gateway.address());
    let response = client.get(&format!("http://{}/", gateway.address()), &[]);
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("session")));
}

#[test]
fn own_pages_are_guarded_by_headers_of_their_own() {
    let (_upstream, gateway, _alice) = scene();
    let page = Browser::of(&gateway).get("/_cloakroom/login");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(page.header("content-security-policy").is_some_and(|csp| csp.contains("frame-ancestors 'none'")));
    assert!(page.header("referrer-policy").is_some());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let error = Raw::ask(gateway.address(), "GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!((error.status, error.header("cache-control")), (401, Some("no-store")));
    assert!(error.header("www-authenticate").is_some());
    assert!(error.header("x-request-id").is_some());
}

#[test]
fn via_is_sent_only_if_asked_for() {
    let upstream = EchoUpstream::start();
    let ask = |yaml: &str| {
        let gateway =
            TestGateway::before(&upstream, &format!("routes: [{{ path: /, access: public }}]\n{yaml}"));
        Raw::ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    };
    assert_eq!((ask("").header("via"), last(&upstream).header("via")), (None, None));
    let response = ask("headers: { via: true }");
    assert_eq!(response.header("via"), Some("1.1 cloakroom"));
    assert_eq!(last(&upstream).header("via"), Some("1.1 cloakroom"));
}
