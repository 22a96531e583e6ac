//! Headers that speak for the user: nobody but the gateway says who is asking, where a request came from, or what a
//! session holds, over HTTP/1 and HTTP/2, on every route.

use crate::support::http2::{request, whole};
use crate::support::{Browser, EchoUpstream, Http2, Message, Raw, TestGateway};

const ROUTES: &str = "
    routes:
      - { path: /public, access: public }
      - { path: /optional, access: optional }
      - { path: / }
";

/// Everything a client might say of itself.
const SPOOFED: [(&str, &str); 36] = [
    ("X-Auth-User", "mallory"),
    ("x-auth-user", "mallory"),
    ("X-AUTH-USER", ""),
    ("X_Auth_User", "mallory"),
    ("x_auth-user", "mallory"),
    ("X.Auth.User", "mallory"),
    ("X-Auth_User", "mallory"),
    ("X!Auth~User", "mallory"),
    ("X-Auth-Email", "mallory@example.com"),
    ("X_Auth_Email", "mallory@example.com"),
    ("X-Auth-Groups", "admins"),
    ("X_AUTH_GROUPS", "admins"),
    ("X-Auth-Name", "Mallory"),
    ("X-Auth-Assertion", "jwt"),
    ("Session-Id", "mallory"),
    ("Session-Data", "admin=?1"),
    ("Session_Data", "admin=?1"),
    ("Session-Meta", "new=?0"),
    ("Session-Login", "\"mallory\""),
    ("Session-Whatever", "1"),
    ("X-Forwarded-For", "203.0.113.66"),
    ("X_Forwarded_For", "203.0.113.66"),
    ("X-Forwarded-Proto", "https-spoofed"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "31337"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Uri", "/evil"),
    ("X-Forwarded-Method", "EVIL"),
    ("Forwarded", "for=203.0.113.66"),
    ("X-Real-IP", "203.0.113.66"),
    ("X_Real_Ip", "203.0.113.66"),
    ("X-Request-Id", "evil-id"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
    ("X-Original-Method", "EVIL"),
    ("Proxy", "evil.example"),
];

/// As CGI, WSGI and PHP read a name.
fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// The upstream saw nothing of what was spoofed, and of ours each name at most once.
#[track_caller]
fn assert_clean(seen: &Message, user: Option<&str>) {
    for evil in ["mallory", "admins", "203.0.113.66", "evil", "EVIL", "31337", "spoofed", "jwt"] {
        assert!(!seen.head.contains(evil), "{evil} in {}", seen.head);
    }
    let mut names: Vec<_> = seen.fields().iter().map(|(name, _)| folded(name)).collect();
    let of_session = names.iter().filter(|name| name.starts_with("session_"));
    let ours: &[&str] = if user.is_some() { &["session_id", "session_meta"] } else { &[] };
    assert!(of_session.eq(ours), "{}", seen.head);
    let users = names.iter().filter(|name| *name == "x_auth_user").count();
    assert_eq!(users, usize::from(user.is_some()), "{}", seen.head);
    assert_eq!(seen.header("x-auth-user"), user);
    names.retain(|name| name.starts_with("x_"));
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{}", seen.head);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
}

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
fn a_spoofed_header_never_reaches_the_upstream() {
    let (upstream, gateway, mut alice) = scene();
    let mut nobody = Browser::of(&gateway);
    for method in ["GET", "POST", "OPTIONS", "HEAD", "DELETE"] {
        for (is_alice, target) in [
            (true, "/page"),
            (true, "/optional"),
            (true, "/public"),
            (false, "/optional"),
            (false, "/public"),
        ] {
            let browser = if is_alice { &mut alice } else { &mut nobody };
            let user = (is_alice && target != "/public").then_some("alice");
            assert_eq!(browser.request(method, target, &SPOOFED, b"").status, 200, "{method} {target}");
            assert_clean(&last(&upstream), user);
        }
    }
}

#[test]
fn a_spoofed_header_never_reaches_the_upstream_over_http2() {
    let (upstream, gateway, alice) = scene();
    let cookie = alice.cookie_header();
    let lower = SPOOFED.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut fields: Vec<_> = lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut client = Http2::connect(gateway.address());
    let url = |path: &str| format!("http://{}{path}", gateway.address());
    for path in ["/public", "/optional"] {
        assert_eq!(client.get(&url(path), &fields).status(), 200);
        assert_clean(&last(&upstream), None);
    }
    fields.push(("cookie", &cookie));
    assert_eq!(client.get(&url("/page"), &fields).status(), 200);
    assert_clean(&last(&upstream), Some("alice"));
}

#[test]
fn everything_known_of_the_user_is_said_once() {
    let (upstream, _gateway, mut alice) = scene();
    alice.get("/page");
    let seen = last(&upstream);
    assert_eq!(seen.header("x-auth-email"), Some("alice@example.com"));
    assert_eq!(seen.header("x-auth-groups"), Some("staff,finance"));
    assert_eq!(seen.header("x-auth-name"), Some("Alice Example"));
}

#[test]
fn other_names_are_guarded_as_well() {
    let upstream = EchoUpstream::start();
    let yaml = "identity: { headers: { user: Remote-User, groups: Remote-Groups } }";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    alice.request(
        "GET",
        "/",
        &[("remote_user", "mallory"), ("REMOTE-GROUPS", "mallory"), ("X-Auth-User", "app")],
        b"",
    );
    let seen = last(&upstream);
    assert_eq!(
        (seen.header("remote-user"), seen.header("remote-groups")),
        (Some("alice"), Some("staff,finance"))
    );
    assert!(!seen.head.contains("mallory"));
}

#[test]
fn names_beyond_ascii_arrive_as_ascii() {
    let upstream = EchoUpstream::start();
    let yaml = "
        login:
          local:
            users:
              김철수: { password: '$HASH', name: '김 철수', groups: ['직원', 'a,b', '50%'] }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("김철수");
    browser.get("/");
    let seen = last(&upstream);
    assert!(seen.raw.is_ascii(), "{}", seen.head);
    assert_eq!(seen.header("x-auth-user"), Some("%EA%B9%80%EC%B2%A0%EC%88%98"));
    assert_eq!(seen.header("x-auth-name"), Some("%EA%B9%80 %EC%B2%A0%EC%88%98"));
    assert_eq!(seen.header("x-auth-groups"), Some("%EC%A7%81%EC%9B%90,a%2Cb,50%25"));
}

#[test]
fn a_client_cannot_have_our_headers_removed() {
    let (upstream, _gateway, mut alice) = scene();
    let ours = "X-Auth-User, X-Auth-Groups, X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Host";
    for fields in [
        &[("Connection", ours)][..],
        &[("Connection", "keep-alive"), ("Connection", ours)],
        &[
            ("Connection", "close"),
            ("connection", "x-auth-user,x-auth-groups"),
            ("CONNECTION", "x-forwarded-for"),
        ],
        &[("Proxy-Connection", ours), ("Connection", "proxy-connection,x-auth-user")],
    ] {
        assert_eq!(alice.request("GET", "/page", fields, b"").status, 200);
        let seen = last(&upstream);
        assert_clean(&seen, Some("alice"));
        assert_eq!(seen.header("x-auth-groups"), Some("staff,finance"));
        assert!(seen.header("host").is_some() && seen.header("x-request-id").is_some());
    }
}

#[test]
fn forwarding_headers_are_rebuilt_and_believed_from_trusted_proxies_only() {
    let said = [
        ("X-Forwarded-For", "203.0.113.9, 10.0.0.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("X-Forwarded-Port", "8443"),
        ("X-Request-Id", "from-outside"),
    ];
    let lines: String = said.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n");
    let public = "routes: [{ path: /, access: public }]";
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, public);
    let response = Raw::ask(gateway.address(), &request);
    let seen = last(&upstream);
    let port = gateway.address().port().to_string();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.example"));
    assert_eq!(seen.header("x-forwarded-port"), Some(port.as_str()));
    assert_ne!(response.header("x-request-id"), Some("from-outside"));
    assert_eq!(response.header("x-request-id"), seen.header("x-request-id"));

    let trusting = format!("{public}\ntrusted_proxies: [127.0.0.0/8, 10.0.0.0/8]");
    let gateway = TestGateway::before(&upstream, &trusting);
    let response = Raw::ask(gateway.address(), &request);
    let seen = last(&upstream);
    assert!(
        seen.header("x-forwarded-for").is_some_and(|list| list.starts_with("203.0.113.9")),
        "{}",
        seen.head
    );
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(response.header("x-request-id"), Some("from-outside"));
    assert_eq!(seen.header("x-request-id"), Some("from-outside"));
}

#[test]
fn no_header_of_a_client_changes_what_is_decided() {
    let (upstream, gateway, _alice) = scene();
    for (name, value) in [
        ("X-Forwarded-Uri", "/public"),
        ("X-Original-URL", "/public"),
        ("X-Original-URI", "/public"),
        ("X-Rewrite-URL", "/public"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("X-Forwarded-Host", "public.example"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-User", "alice"),
        ("X-Auth-User", "alice"),
        ("Authorization", "Bearer x"),
        ("User-Agent", "GoogleHC/1.0"),
        ("User-Agent", "kube-probe/1.30"),
        ("Referer", "http://127.0.0.1/public"),
    ] {
        let request = format!("GET /page HTTP/1.1\r\nHost: a.example\r\n{name}: {value}\r\n\r\n");
        assert_eq!(Raw::ask(gateway.address(), request).status, 401, "{name}: {value}");
    }
    for target in
        ["/page?/public", "/page?path=/public/", "/page;/public", "http://a.example/page?http://x/public"]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert!(matches!(Raw::ask(gateway.address(), request).status, 400 | 401), "{target}");
    }
    assert!(upstream.bytes().is_empty());
}

#[test]
fn a_websocket_handshake_says_who_is_asking_and_nothing_else_does() {
    let upstream = EchoUpstream::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let mut fields = SPOOFED.to_vec();
    fields.extend([
        ("Connection", "Upgrade, X-Auth-User"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat"),
    ]);
    assert_eq!(alice.request("GET", "/socket", &fields, b"").status, 403);
    let seen = last(&upstream);
    assert_clean(&seen, Some("alice"));
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(seen.header("sec-websocket-protocol"), Some("chat"));
    let mut nobody = Browser::of(&gateway);
    nobody.set_field("Sec-Fetch-Mode", "websocket");
    assert_eq!(nobody.request("GET", "/socket", &fields, b"").status, 401);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn own_pages_and_errors_repeat_nothing_of_what_a_client_says() {
    let (upstream, gateway, mut alice) = scene();
    let mut nobody = Browser::of(&gateway);
    for target in ["/_cloakroom/login", "/_cloakroom/session", "/_cloakroom/nothing", "/page"] {
        let response = nobody.request("GET", target, &SPOOFED, b"");
        for evil in ["mallory", "203.0.113.66", "evil"] {
            assert!(!String::from_utf8_lossy(&response.raw).contains(evil), "{target}: {evil}");
            assert!(!response.text().contains(evil), "{target}: {evil}");
        }
    }
    let session = alice.request("GET", "/_cloakroom/session", &SPOOFED, b"").json();
    assert_eq!(session["user"], "alice");
    assert!(upstream.bytes().is_empty());
}

#[test]
fn a_form_over_http2_is_as_good_as_any() {
    let (upstream, gateway, alice) = scene();
    let mut client = Http2::connect(gateway.address());
    let cookie = alice.cookie_header();
    let fields = [("cookie", cookie.as_str()), ("content-type", "text/plain")];
    let response =
        client.ask(request("POST", &format!("http://{}/page", gateway.address()), &fields, whole("hello")));
    assert_eq!(response.status(), 200);
    let seen = last(&upstream);
    assert_eq!((seen.body.as_slice(), seen.header("content-length")), (&b"hello"[..], Some("5")));
    assert_eq!((seen.header("x-auth-user"), seen.header("cookie")), (Some("alice"), None));
}
