//! Outer proxy: one that says who is asking is believed, and nobody else.

use crate::support::{Browser, EchoUpstream, Message, Raw, TestGateway, assert_refused};

const BELIEVED: &str = "
trusted_proxies: [127.0.0.1]
routes:
  - { path: /public, access: public }
  - { path: /staff, access: { groups: [staff] } }
  - { path: /fresh, access: { within: 15m } }
  - { path: / }
login:
  local: { users: { alice: '$HASH' } }
  trusted_header:
    user: Remote-User
    email: Remote-Email
    groups: Remote-Groups
    logout_url: https://sso.example.com/logout
";

fn ask(gateway: &TestGateway, path: &str, lines: &[&str]) -> Message {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    Raw::ask(gateway.address(), format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n"))
}

#[test]
fn a_trusted_proxy_says_who_is_asking() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    let said = [
        "remote-user: chulsoo",
        "Remote-Email: c@example.com",
        "Remote-Groups: staff, finance",
        "Remote-Name: x",
    ];
    let response = ask(&gateway, "/staff", &said);
    assert_eq!((response.status, response.header("set-cookie")), (200, None));
    let seen = upstream.only_request();
    assert_eq!(seen.header("x-auth-user"), Some("chulsoo"));
    assert_eq!(seen.header("x-auth-email"), Some("c@example.com"));
    assert_eq!(seen.header("x-auth-groups"), Some("staff,finance"));
    assert_eq!(seen.header("x-auth-name"), None, "nobody is to be heard about that");
    assert!(seen.headers("remote-user").is_empty() && seen.headers("remote-groups").is_empty());
    assert_eq!(gateway.sessions(), (0, 0));
    let who = ask(&gateway, "/_cloakroom/session", &said).json();
    assert_eq!(who["user"], "chulsoo");
}

#[test]
fn what_a_proxy_says_is_never_a_fresh_login() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    assert_refused(&ask(&gateway, "/fresh", &["Remote-User: alice"]), 401, "login_too_old");
    let mut browser = Browser::of(&gateway);
    browser.set_field("Remote-User", "bob");
    assert_eq!(browser.get("/fresh").status, 302);
    browser.sign_in("alice");
    assert_eq!(browser.get("/fresh").status, 200, "a login here is one");
    let seen = upstream.only_request();
    assert_eq!(seen.header("x-auth-user"), Some("alice"), "a session counts before what a proxy says");
}

#[test]
fn said_twice_or_not_at_all_it_is_nobody() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    for lines in [
        &["Remote-User:"][..],
        &["Remote-User: alice", "Remote-User: root"],
        &["Remote-User: alice", "REMOTE-USER: alice"],
        &["Remote-User: alice", "Remote-Groups: a", "Remote-Groups: staff"],
        &["Remote_User: alice"],
        &["Remote.User: alice"],
        &["X-Auth-User: alice"],
        &["X-Remote-User: alice"],
    ] {
        assert_refused(&ask(&gateway, "/", lines), 401, "login_needed");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn from_anybody_else_the_header_means_nothing_in_any_spelling() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &BELIEVED.replace("[127.0.0.1]", "[10.0.0.0/8]"));
    for name in [
        "Remote-User",
        "remote-user",
        "REMOTE-USER",
        "Remote_User",
        "remote.user",
        "REMOTE_USER",
        "Remote!User",
    ] {
        for further in [
            &[][..],
            &["X-Forwarded-For: 10.0.0.1"],
            &["Forwarded: for=10.0.0.1"],
            &["Connection: remote-user"],
        ] {
            let line = format!("{name}: root");
            let lines = [&[line.as_str(), "Remote-Groups: staff"], further].concat();
            assert_refused(&ask(&gateway, "/", &lines), 401, "login_needed");
            assert_eq!(ask(&gateway, "/public", &lines).status, 200);
            let head = upstream.requests().pop().expect("it came").head.to_lowercase();
            assert!(!head.contains("root") && !head.contains("staff"), "{head}");
        }
    }
}

#[test]
fn in_trailers_it_means_nothing_either() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    let request = "POST /public HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: Remote-User\r\n\r\n\
                   1\r\na\r\n0\r\nRemote-User: root\r\nremote_groups: staff\r\nX-Other: 1\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address(), request).status, 200);
    let seen = upstream.only_request();
    assert!(!seen.trailers.to_lowercase().contains("remote"), "{}", seen.trailers);
}

#[test]
fn public_pages_name_nobody_whom_a_proxy_names() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    assert_eq!(ask(&gateway, "/public", &["Remote-User: alice"]).status, 200);
    let head = upstream.only_request().head;
    assert!(!head.contains("alice"), "{head}");
}

#[test]
fn people_sign_out_where_they_signed_in() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, BELIEVED);
    let mut browser = Browser::of(&gateway);
    browser.set_field("Remote-User", "bob");
    let page = browser.get("/_cloakroom/logout");
    assert_eq!((page.status, page.header("location")), (303, Some("https://sso.example.com/logout")));
    browser.sign_in("alice");
    assert_eq!(browser.sign_out().header("location"), Some("/_cloakroom/logout"), "first out of the session");
    browser.set_field("Accept-Language", "ko");
    let mut plain = TestGateway::before(
        &upstream,
        &BELIEVED.replace("    logout_url: https://sso.example.com/logout\n", ""),
    );
    let mut browser = Browser::of(&plain);
    browser.set_field("Remote-User", "bob");
    browser.set_field("Accept-Language", "ko");
    assert!(browser.get("/_cloakroom/logout").text().contains("여기에서 로그인하지 않았습니다."));
    plain.reload("trusted_proxies: []");
    assert_eq!(browser.get("/").status, 302, "after a reload nobody is heard");
}

#[test]
fn a_name_that_fits_into_no_header_is_nobody() {
    let upstream = EchoUpstream::start();
    let yaml = BELIEVED.replace("user: Remote-User", "user: Remote-User\n    percent_encoded: true");
    let gateway = TestGateway::before(&upstream, &yaml);
    for bad in ["a%0d%0aX-Admin: 1", "a%00b", "%0a"] {
        assert_eq!(ask(&gateway, "/", &[&format!("Remote-User: {bad}")]).status, 401, "{bad}");
    }
    assert_eq!(ask(&gateway, "/", &["Remote-User: %EA%B9%80"]).status, 200);
    assert_eq!(upstream.only_request().header("x-auth-user"), Some("%EA%B9%80"));
}

#[test]
fn where_nobody_can_sign_in_people_are_told_so() {
    let upstream = EchoUpstream::start();
    let yaml = BELIEVED.replace("  local: { users: { alice: '$HASH' } }\n", "");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    let page = browser.get("/");
    assert_eq!(page.status, 401);
    assert!(page.text().contains("nobody can sign in here"), "{}", page.text());
    assert!(page.header("www-authenticate").is_some());
    assert_eq!(ask(&gateway, "/", &["Remote-User: alice"]).status, 200);
}
