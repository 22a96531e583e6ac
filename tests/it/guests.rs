//! Guests: people whom the request itself proves, and HTTP Basic, by which API clients do so.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::http2::{self, Http2};
use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway, assert_refused};

const CHALLENGE: &str = "Basic realm=\"cloakroom\", charset=\"UTF-8\"";

const LOGIN: &str = "
login:
  basic: {}
  local:
    users:
      alice: { password: '$HASH', email: alice@example.com, groups: [staff] }
      bob: { password: '$HASH' }
";

fn gateway(upstream: &EchoUpstream, yaml: &str) -> TestGateway {
    TestGateway::before(upstream, &format!("{}\n{LOGIN}", yaml.trim_start()))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A request of a program, with these further lines.
fn ask(gateway: &TestGateway, line: &str, fields: &[(&str, &str)]) -> Message {
    let mut request = format!("{line} HTTP/1.1\r\nHost: a.example\r\n");
    fields.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    Raw::ask(gateway.address(), request + "\r\n")
}

fn with_password(gateway: &TestGateway, line: &str, user: &str) -> Message {
    ask(gateway, line, &[("Authorization", &basic(user, PASSWORD))])
}

#[test]
fn a_password_with_the_request_lets_it_pass_and_nothing_is_kept() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "session: { create: always }");
    for _ in 0..100 {
        let response = with_password(&gateway, "GET /api", "alice");
        assert_eq!((response.status, response.header("set-cookie")), (200, None), "{}", response.head);
    }
    assert_eq!(gateway.sessions(), (0, 0));
    let seen = upstream.requests().pop().expect("a hundred came");
    assert_eq!(seen.header("x-auth-user"), Some("alice"));
    assert_eq!(seen.header("x-auth-groups"), Some("staff"));
    assert_eq!(seen.header("authorization"), None, "it was for us");
    assert!(!seen.head.to_lowercase().contains("session-"), "{}", seen.head);
}

#[test]
fn only_programs_are_asked_for_a_password_by_header() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "");
    let refused = ask(&gateway, "GET /", &[]);
    assert_refused(&refused, 401, "login_needed");
    assert_eq!(refused.headers("www-authenticate"), ["Cookie realm=\"cloakroom\"", CHALLENGE]);
    let mut browser = Browser::of(&gateway);
    let page = browser.get("/x");
    assert_eq!((page.status, page.headers("www-authenticate").len()), (302, 0));
    let wrong = browser.request("GET", "/x", &[("Authorization", &basic("alice", "wrong"))], b"");
    assert_eq!((wrong.status, wrong.header("location")), (302, Some("/_cloakroom/login?return=%2Fx")));
    let form =
        browser.request("GET", "/_cloakroom/login", &[("Authorization", &basic("alice", "wrong"))], b"");
    assert_eq!((form.status, form.headers("www-authenticate").len()), (200, 0), "no pop-up, and no circle");
}

#[test]
fn wrong_passwords_wait_and_the_right_one_gets_in_from_elsewhere() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "trusted_proxies: [127.0.0.1]");
    let from = |address: &str, password: &str| {
        let fields = [("X-Forwarded-For", address), ("Authorization", &basic("alice", password))];
        ask(&gateway, "GET /", &fields)
    };
    for _ in 0..5 {
        let refused = from("192.0.2.1", "wrong");
        assert_refused(&refused, 401, "wrong_password");
        assert!(refused.headers("www-authenticate").contains(&CHALLENGE));
    }
    let waits = from("192.0.2.1", "wrong");
    assert_refused(&waits, 429, "too_many_attempts");
    assert_eq!((waits.header("retry-after"), waits.headers("www-authenticate").len()), (Some("900"), 0));
    assert_eq!(from("192.0.2.1", PASSWORD).status, 429, "the right one waits as well");
    assert_eq!(from("198.51.100.7", PASSWORD).status, 200);
    gateway.advance(Duration::from_secs(901));
    assert_eq!(from("192.0.2.1", PASSWORD).status, 200);
}

#[test]
fn what_is_no_user_and_password_is_refused_everywhere_but_on_public_routes() {
    let upstream = EchoUpstream::start();
    let routes =
        "routes: [{ path: /public, access: public }, { path: /optional, access: optional }, { path: / }]";
    let gateway = gateway(&upstream, routes);
    let right = basic("alice", PASSWORD);
    for fields in [
        &[("Authorization", "Basic")][..],
        &[("Authorization", "Basic !!!")],
        &[("Authorization", "Basic YWxpY2U=")],
        &[("Authorization", &right), ("authorization", &right)],
        &[("Authorization", "Bearer x"), ("Authorization", &right)],
    ] {
        for line in ["GET /", "GET /optional", "GET /_cloakroom/session"] {
            assert_refused(&ask(&gateway, line, fields), 401, "bad_authorization");
        }
        assert_eq!(ask(&gateway, "GET /public", fields).status, 200);
    }
    assert_eq!(ask(&gateway, "GET /optional", &[("Authorization", &basic("alice", "no"))]).status, 401);
    assert_eq!(ask(&gateway, "GET /optional", &[]).status, 200);
    assert_refused(&ask(&gateway, "GET /", &[("Authorization", "Bearer x")]), 401, "login_needed");
}

#[test]
fn public_pages_name_no_guest_and_keep_what_is_not_for_us() {
    let upstream = EchoUpstream::start();
    let routes =
        "routes: [{ path: /public, access: public }, { path: /optional, access: optional }, { path: / }]";
    let gateway = gateway(&upstream, routes);
    with_password(&gateway, "GET /public", "alice");
    let seen = upstream.only_request();
    assert_eq!(seen.header("x-auth-user"), None);
    assert_eq!(seen.header("authorization"), Some(basic("alice", PASSWORD).as_str()), "nobody looked at it");
    with_password(&gateway, "GET /optional", "alice");
    assert_eq!(upstream.requests().pop().expect("two came").header("x-auth-user"), Some("alice"));
}

#[test]
fn the_field_is_passed_on_where_that_is_wanted() {
    let upstream = EchoUpstream::start();
    let login = LOGIN.replace("basic: {}", "basic: { pass_on: true, realm: Reports }");
    let gateway = TestGateway::before(&upstream, &login);
    let refused = ask(&gateway, "GET /", &[]);
    assert!(refused.headers("www-authenticate").contains(&"Basic realm=\"Reports\", charset=\"UTF-8\""));
    with_password(&gateway, "GET /", "alice");
    let seen = upstream.only_request();
    assert_eq!(seen.header("authorization"), Some(basic("alice", PASSWORD).as_str()));
}

#[test]
fn a_client_that_keeps_cookies_exchanges_its_password_for_a_session() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "");
    let mut client = Browser::of(&gateway);
    client.fields.retain(|(name, _)| name == "Host");
    let right = basic("alice", PASSWORD);
    let given = client.request("POST", "/_cloakroom/login", &[("Authorization", &right)], b"");
    assert_eq!((given.status, given.header("cache-control")), (204, Some("no-store")), "{}", given.head);
    assert_eq!(gateway.sessions(), (1, 0));
    let seen = client.get("/api");
    assert_eq!(seen.status, 200);
    assert!(upstream.only_request().header("session-id").is_some(), "it is a session like any other");

    let first = client.ticket().expect("a session").to_owned();
    client.request("POST", "/_cloakroom/login", &[("Authorization", &right)], b"");
    assert_ne!(client.ticket(), Some(first.as_str()));
    assert_eq!(gateway.sessions(), (1, 0), "the one before has ended");

    let wrong = client.request("POST", "/_cloakroom/login", &[("Authorization", &basic("alice", "no"))], b"");
    assert_refused(&wrong, 401, "wrong_password");
    let foreign = [("Authorization", right.as_str()), ("Origin", "https://evil.example")];
    assert_eq!(client.request("POST", "/_cloakroom/login", &foreign, b"").status, 403);
}

#[test]
fn whoever_names_another_user_than_the_session_means_that_one() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut as_program = |authorization: &str| {
        let fields = [("Authorization", authorization), ("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")];
        let response = browser.request("GET", "/", &fields, b"");
        let user = upstream.requests().pop().map(|seen| seen.header("x-auth-user").map(str::to_owned));
        (response.status, user.flatten())
    };
    assert_eq!(as_program(&basic("bob", PASSWORD)), (200, Some("bob".to_owned())));
    assert_eq!(as_program(&basic("alice", "not looked at")), (200, Some("alice".to_owned())));
    assert_eq!(as_program(&basic("bob", "wrong")).0, 401);
    let by_link = browser.request("GET", "/", &[("Authorization", &basic("bob", PASSWORD))], b"");
    assert_eq!(by_link.status, 200);
    let seen = upstream.requests().pop().expect("it came");
    assert_eq!(seen.header("x-auth-user"), Some("alice"), "a link signs nobody in as somebody else");
    assert_eq!(seen.header("authorization"), None, "and a password goes to nobody");
}

#[test]
fn an_application_cannot_give_a_guest_a_session() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSession-Set: a=1\r\nSession-Login: \"root\"\r\n\
                  Session-Logout: all\r\n\r\nok";
    let upstream = EchoUpstream::answering(answer);
    let gateway = gateway(&upstream, "routes: [{ path: /, session: { login: true } }]");
    let response = with_password(&gateway, "GET /", "alice");
    assert_eq!((response.status, response.header("set-cookie")), (200, None));
    assert!(!response.head.to_lowercase().contains("session-"), "{}", response.head);
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn rules_and_our_own_pages_know_a_guest() {
    let upstream = EchoUpstream::start();
    let routes = "routes: [{ path: /staff, access: { groups: [staff] } }, { path: /fresh, access: { within: 1m } }, { path: / }]";
    let gateway = gateway(&upstream, routes);
    assert_eq!(with_password(&gateway, "GET /staff", "alice").status, 200);
    assert_refused(&with_password(&gateway, "GET /staff", "bob"), 403, "not_allowed");
    gateway.advance(Duration::from_secs(3600));
    assert_eq!(with_password(&gateway, "GET /fresh", "alice").status, 200, "proved with this very request");
    let who = with_password(&gateway, "GET /_cloakroom/session", "alice").json();
    assert_eq!((&who["user"], &who["groups"][0]), (&"alice".into(), &"staff".into()));
    assert!(who["created"].is_null() && who["expires"].is_null());
    assert_eq!(with_password(&gateway, "GET /_cloakroom/session/events", "alice").status, 401);
    let page = with_password(&gateway, "GET /_cloakroom/logout", "alice").text();
    assert!(page.contains("You did not sign in here"), "{page}");
    assert_eq!(with_password(&gateway, "GET /_cloakroom/sessions", "alice").status, 302);
}

#[test]
fn a_guest_opens_a_web_socket() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        let request = conversation.request().expect("a handshake");
        assert_eq!(request.header("x-auth-user"), Some("alice"));
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello";
        conversation.try_send(answer).expect("the gateway waits");
        let bytes = conversation.bytes(4).expect("four bytes");
        conversation.try_send(bytes).expect("the gateway waits");
    });
    let gateway = gateway(&upstream, "");
    let mut client = Raw::connect(gateway.address());
    let authorization = basic("alice", PASSWORD);
    client.send(format!(
        "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Authorization: {authorization}\r\n\r\n"
    ));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.bytes(5), b"hello");
    client.send("ping");
    assert_eq!(client.bytes(4), b"ping");
}

#[test]
fn a_guest_speaks_http2() {
    let upstream = EchoUpstream::start();
    let gateway = gateway(&upstream, "");
    let mut client = Http2::connect(gateway.address());
    let url = format!("http://{}/", gateway.address());
    assert_eq!(client.get(&url, &[]).status(), 401);
    let fields = [("authorization", basic("alice", PASSWORD)), ("cookie", "cloakroom=x".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    for _ in 0..3 {
        let response = client.ask(http2::request("GET", &url, &fields, http2::whole("")));
        assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (200, None));
    }
    assert_eq!(upstream.requests().pop().expect("three came").header("x-auth-user"), Some("alice"));
}

#[test]
fn a_user_who_is_taken_out_gets_in_no_more() {
    let upstream = EchoUpstream::start();
    let mut gateway = gateway(&upstream, "");
    assert_eq!(with_password(&gateway, "GET /", "bob").status, 200);
    let without = LOGIN.replace("bob: { password: '$HASH' }", "bob: { password: '$HASH', disabled: true }");
    gateway.reload(&without);
    assert_eq!(with_password(&gateway, "GET /", "bob").status, 401);
}

#[test]
fn the_access_log_names_a_guest() {
    let upstream = EchoUpstream::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("access.log");
    let gateway = gateway(&upstream, &format!("access_log: {{ output: '{}' }}", path.display()));
    with_password(&gateway, "GET /", "alice");
    gateway.stop();
    let log = std::fs::read_to_string(path).expect("written");
    assert!(log.contains("\"user\":\"alice\"") && !log.contains("YWxpY2U"), "{log}");
}
