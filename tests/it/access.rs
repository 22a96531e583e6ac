//! Access: what decides who may pass, and what does not.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Raw, TestGateway};

const ROUTES: &str = "
    routes:
      - { path: /public/, access: public }
      - { path: /staff/, access: { groups: [staff] } }
      - { path: /fresh/, access: { groups: [staff], within: 15m } }
      - { path: /methods/, methods: [GET], access: public }
      - { path: /, access: login }
    ";

#[test]
fn no_spelling_of_a_path_gets_past_the_route_it_leads_to() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut refused = 0;
    for target in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/public/./../admin",
        "/public//../../admin",
        "/public/a/../../admin",
        "/public%2f..%2fadmin",
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "/public/..\\admin",
        "/public/%00/../admin",
        "/public/..;/admin",
        "/public/..;a=b/admin",
        "/public/%252e%252e/admin",
        "/public",
        "/publicly/x",
        "/PUBLIC/x",
        "/Public/x",
        "//public/../admin",
        "//admin",
        "/./admin",
        "/admin?/public/",
        "/admin?x=/public/x",
        "/admin/?a=..%2fpublic%2f",
        "/admin;/public/",
        "/admin%3f/public/",
        "/admin%23/public/",
        "/admin#/public/",
        "/public/#/../admin",
        "/public/%zz",
        "/public/%",
        "http://a.example/public/../admin",
        "http://a.example/admin?/public/",
        "http://other.example/admin",
        "http://a.example@b.example/public/",
        "*",
        "public/x",
        "",
    ] {
        let before = upstream.requests().len();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let response = Raw::ask(gateway.address(), request);
        let passed = upstream.requests().len() > before;
        assert_eq!(passed, response.status == 200, "{target}: {}", response.status);
        if passed {
            let seen = upstream.requests().pop().expect("just came").target().to_owned();
            assert!(seen == "/public" || seen.starts_with("/public/"), "{target} came as {seen}");
            assert!(
                !seen.contains("admin") || seen.contains("%252e") || seen.contains(";"),
                "{target}: {seen}"
            );
        } else {
            assert!(matches!(response.status, 400 | 401 | 404), "{target}: {}", response.status);
            refused += 1;
        }
    }
    assert!(refused > 25, "{refused}");
}

#[test]
fn what_a_client_says_about_the_request_changes_no_decision() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    for field in [
        "X-Forwarded-Uri: /public/x",
        "X-Original-URL: /public/x",
        "X-Original-URI: /public/x",
        "X-Rewrite-URL: /public/x",
        "X-Forwarded-Prefix: /public",
        "X-Forwarded-Host: other.example",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Method: OPTIONS",
        "X-HTTP-Method-Override: OPTIONS",
        "X-HTTP-Method: OPTIONS",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;proto=https",
        "Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==",
        "Authorization: Bearer x",
        "X-Auth-User: alice",
        "X-Auth-Request-User: alice",
        "Remote-User: alice",
        "User-Agent: GoogleHC/1.0",
        "User-Agent: kube-probe/1.30",
        "User-Agent: ELB-HealthChecker/2.0",
        "User-Agent: ",
        "Purpose: prefetch",
        "Access-Control-Request-Method: POST",
    ] {
        for line in ["GET /admin", "OPTIONS /admin", "GET /healthz", "GET /admin?healthcheck=1"] {
            let request = format!("{line} HTTP/1.1\r\nHost: a.example\r\n{field}\r\n\r\n");
            assert_eq!(Raw::ask(gateway.address(), request).status, 401, "{line} with {field}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn groups_methods_and_the_age_of_a_login_decide() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let (mut alice, mut bob) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    assert_eq!((alice.get("/staff/").status, bob.get("/staff/").status), (200, 403));
    assert_eq!(bob.get("/staff/../").status, 200);
    let refused = bob.request("GET", "/staff/x", &[("Sec-Fetch-Mode", "cors")], b"");
    assert_eq!(refused.json()["error"], "not_allowed");

    assert_eq!(alice.get("/fresh/").status, 200);
    gateway.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!((alice.get("/fresh/").status, alice.get("/staff/").status), (302, 200));
    let stale = alice.request("GET", "/fresh/", &[("Sec-Fetch-Mode", "cors")], b"");
    assert_eq!((stale.status, &stale.json()["error"]), (401, &"login_too_old".into()));
    alice.sign_in("alice");
    assert_eq!(alice.get("/fresh/").status, 200);

    let mut nobody = Browser::of(&gateway);
    assert_eq!(nobody.get("/methods/").status, 200);
    assert_eq!(nobody.request("HEAD", "/methods/", &[], b"").status, 200, "HEAD is part of GET");
    assert_eq!(
        nobody.post("/methods/", &[]).status,
        303,
        "this route is not for POST, the next one needs a login"
    );
}

#[test]
fn public_pages_name_nobody_whoever_asks_and_whatever_they_claim() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, ROUTES);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    for name in ["X-Auth-User", "x_auth_user", "X.Auth.User", "X-AUTH-GROUPS", "x-auth-name", "Session-Id"] {
        browser.set_field(name, "root");
    }
    assert_eq!(browser.get("/public/").status, 200);
    let head = upstream.only_request().head.to_lowercase();
    assert!(!head.contains("root") && !head.contains("alice"), "{head}");
    assert_eq!(browser.get("/").status, 200);
    let seen = upstream.requests().pop().expect("two came");
    assert_eq!(seen.header("x-auth-user"), Some("alice"));
    assert!(!seen.head.contains("root"), "{}", seen.head);
}

#[test]
fn a_path_without_a_route_is_answered_by_nobody() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ host: app.example, path: /a, access: public }]");
    for (host, path, status) in [
        ("app.example", "/a", 200),
        ("app.example", "/ab", 404),
        ("APP.example", "/a", 200),
        ("b.example", "/a", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Raw::ask(gateway.address(), request).status, status, "{host}{path}");
    }
}

#[test]
fn whoever_is_refused_reads_why_in_their_language() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /only, access: public }]");
    let asked = |fields: &str| {
        Raw::ask(gateway.address(), format!("GET /other HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"))
    };
    let korean = asked("Accept: text/html\r\nAccept-Language: ko-KR\r\n");
    assert_eq!((korean.status, korean.header("content-language")), (404, Some("ko")));
    assert!(korean.text().contains("페이지를 찾을 수 없습니다."), "{}", korean.text());
    let english = asked("Accept: text/html\r\n");
    let id = english.header("x-request-id").expect("every answer has one");
    assert!(english.text().contains("There is no such page.") && english.text().contains(id));
    assert!(english.header("content-security-policy").is_some());
    assert_eq!(asked("").json()["error"], "no_route");
}
