//! Forward auth: other proxies ask, and carry the request themselves.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Message, TestGateway};

const AUTH: &str = "/_cloakroom/auth";

/// Everybody on this machine is a trusted proxy.
const BEHIND: &str = "
    trusted_proxies: [127.0.0.1]
    session: { rotate_every: 15m, idle_timeout: 30m }
    routes:
      - { path: /open/, access: public }
      - { path: /hello, access: optional }
      - { path: /poll, activity: false }
      - { path: /admin/, access: { groups: [staff] } }
      - { host: other.example, path: /, access: { users: [bob] } }
      - { path: /read/, methods: [GET] }
      - { path: /app/ }
";

fn start(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

/// As Caddy and Traefik ask.
#[track_caller]
fn ask(browser: &mut Browser, method: &str, target: &str) -> Message {
    let said =
        [("X-Forwarded-Method", method), ("X-Forwarded-Uri", target), ("X-Forwarded-Host", "app.example")];
    browser.request("GET", AUTH, &said, b"")
}

/// As nginx asks.
#[track_caller]
fn ask_as_nginx(browser: &mut Browser, method: &str, target: &str) -> Message {
    browser.request("GET", AUTH, &[("X-Original-Method", method), ("X-Original-URI", target)], b"")
}

#[test]
fn a_proxy_is_told_who_is_asking() {
    let (upstream, gateway) = start(BEHIND);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let answer = ask(&mut alice, "GET", "/app/report?x=1");
    assert_eq!(answer.status, 200, "{}", answer.head);
    for (name, value) in [
        ("x-auth-user", "alice"),
        ("x-auth-email", "alice@example.com"),
        ("x-auth-groups", "staff,finance"),
        ("x-auth-name", "Alice Example"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{}", answer.head);
    }
    // What the application behind this gateway is told, the one behind the other proxy is told too.
    alice.get("/app/report");
    assert_eq!(answer.header("session-id"), upstream.only_request().header("session-id"));
    assert!(answer.header("session-id").is_some() && answer.header("session-meta").is_some());
    assert_eq!(answer.text(), "");
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn the_rules_of_the_request_in_question_decide() {
    let (upstream, gateway) = start(BEHIND);
    let (mut alice, mut bob, mut nobody) =
        (Browser::of(&gateway), Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    nobody.set_field("Sec-Fetch-Mode", "cors");
    for (method, target, expected) in [
        ("GET", "/open/x", [200, 200, 200]),
        ("GET", "/hello", [200, 200, 200]),
        ("GET", "/app/", [200, 200, 401]),
        ("GET", "/admin/x", [200, 403, 401]),
        ("DELETE", "/admin/x", [200, 403, 401]),
        ("GET", "/open/../admin/x", [200, 403, 401]),
        ("GET", "/open/%2e%2e/admin/x", [200, 403, 401]),
        ("GET", "//admin/x", [200, 403, 401]),
        ("GET", "/%61dmin/x", [200, 403, 401]),
        ("GET", "/read/x", [200, 200, 401]),
        ("POST", "/read/x", [403, 403, 403]),
        ("GET", "/elsewhere", [403, 403, 403]),
        ("GET", "/open/..%2Fadmin/x", [403, 403, 403]),
        ("GET", "/open;/../admin", [200, 403, 401]),
        ("GET", "/_cloakroom/login", [403, 403, 403]),
        ("GET", "/../app/", [403, 403, 403]),
        ("get", "/app/", [403, 403, 403]),
        ("TRACE", "/app/", [403, 403, 403]),
        ("GET", "http://app.example/app/", [403, 403, 403]),
    ] {
        let people = [&mut alice, &mut bob, &mut nobody];
        let found = people.map(|browser| ask(browser, method, target).status);
        assert_eq!(found, expected, "{method} {target}");
    }
    let said =
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Forwarded-Host", "other.example")];
    assert_eq!(alice.request("GET", AUTH, &said, b"").status, 403);
    assert_eq!(bob.request("GET", AUTH, &said, b"").status, 200);
    assert!(upstream.requests().is_empty(), "nothing is passed on");
}

#[test]
fn nobody_is_introduced_where_nobody_is_looked_for() {
    let (_upstream, gateway) = start(BEHIND);
    let (mut alice, mut nobody) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    for (is_alice, target, user) in
        [(true, "/open/", ""), (true, "/hello", "alice"), (false, "/hello", ""), (false, "/open/", "")]
    {
        let browser = if is_alice { &mut alice } else { &mut nobody };
        let spoofed = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Uri", target),
            ("X-Auth-User", "root"),
            ("Session-Id", "root"),
        ];
        let answer = browser.request("GET", AUTH, &spoofed, b"");
        // There in any case, so that the proxy replaces what the client said.
        assert_eq!((answer.status, answer.header("x-auth-user")), (200, Some(user)), "{target}");
        assert_eq!(answer.header("session-id").is_some_and(str::is_empty), user.is_empty());
        assert_eq!(answer.header("x-auth-assertion"), Some(""));
        assert!(!answer.head.contains("root"));
    }
}

#[test]
fn somebody_without_a_login_is_sent_there_by_a_proxy_that_can() {
    let (_upstream, gateway) = start(BEHIND);
    let mut nobody = Browser::of(&gateway);
    let entrance = Some("/_cloakroom/login?return=%2Fapp%2Fa%3Fb%3D1");
    let answer = ask(&mut nobody, "GET", "/app/a?b=1");
    assert_eq!((answer.status, answer.header("location")), (302, entrance));
    let answer = ask(&mut nobody, "POST", "/app/a?b=1");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/_cloakroom/login")));
    let answer = ask_as_nginx(&mut nobody, "GET", "/app/a?b=1");
    assert_eq!((answer.status, answer.header("location")), (401, entrance));
    assert!(answer.header("www-authenticate").is_some());
    nobody.set_field("Sec-Fetch-Mode", "cors");
    let answer = ask(&mut nobody, "GET", "/app/a");
    assert_eq!((answer.status, answer.header("location")), (401, None));
    assert_eq!(answer.json()["error"], "login_needed");
}

#[test]
fn a_stranger_says_nothing_about_other_requests() {
    let yaml = BEHIND.replace("[127.0.0.1]", "[10.0.0.0/8]");
    let (_upstream, gateway) = start(&yaml);
    let (mut bob, mut nobody) = (Browser::of(&gateway), Browser::of(&gateway));
    bob.sign_in("bob");
    for target in ["/open/", "/admin/", "/elsewhere"] {
        let answer = ask(&mut bob, "GET", target);
        assert_eq!(
            (answer.status, answer.header("x-auth-user")),
            (200, Some("bob")),
            "only a login is asked for"
        );
        assert_eq!(ask(&mut nobody, "GET", target).status, 401);
        assert_eq!(ask_as_nginx(&mut nobody, "GET", target).status, 401);
    }
}

#[test]
fn what_a_client_adds_decides_nothing() {
    let (_upstream, gateway) = start(BEHIND);
    let mut bob = Browser::of(&gateway);
    bob.sign_in("bob");
    let asked = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/admin/")];
    for added in [
        ("X-Original-URI", "/open/"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Forwarded-Uri", "/open/"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X_Forwarded_Uri", "/open/"),
        ("X-Auth-Request-Redirect", "/open/"),
        ("X-Original-URL", "/open/"),
        ("X-Rewrite-URL", "/open/"),
        ("X-Forwarded-Prefix", "/open"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-Auth-Groups", "staff"),
    ] {
        let fields = [asked[0], asked[1], added];
        // The browser of the tests would drop what it is given twice.
        let mut head = bob.head("GET", AUTH, &fields[..2]);
        head.push_str(&format!("{}: {}\r\n\r\n", added.0, added.1));
        let mut client = crate::support::Raw::connect(gateway.address());
        client.send(head);
        assert_eq!(client.response_to("GET").status, 403, "{added:?}");
    }
}

#[test]
fn without_a_request_in_question_only_the_login_counts() {
    let (_upstream, gateway) = start(BEHIND);
    let (mut bob, mut nobody) = (Browser::of(&gateway), Browser::of(&gateway));
    bob.sign_in("bob");
    let answer = bob.get(AUTH);
    assert_eq!((answer.status, answer.header("x-auth-user")), (200, Some("bob")));
    let answer = nobody.get(AUTH);
    assert_eq!((answer.status, answer.header("location")), (401, Some("/_cloakroom/login")));
    assert_eq!(bob.post(AUTH, &[]).status, 405);
    bob.sign_out();
    assert_eq!(bob.get(AUTH).status, 401);
}

#[test]
fn a_new_id_is_handed_out_and_use_counts() {
    let (_upstream, gateway) = start(BEHIND);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let first = alice.ticket().expect("signed in").to_owned();
    gateway.advance(Duration::from_secs(16 * 60));
    let answer = ask(&mut alice, "GET", "/app/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("set-cookie").is_some(), "{}", answer.head);
    assert_ne!(alice.ticket(), Some(first.as_str()));
    // 32 minutes after the login, 16 after the last use.
    gateway.advance(Duration::from_secs(16 * 60));
    assert_eq!(ask(&mut alice, "GET", "/poll").status, 200);
    gateway.advance(Duration::from_secs(16 * 60));
    assert_eq!(ask(&mut alice, "GET", "/app/").status, 302, "polling is no use");
}
