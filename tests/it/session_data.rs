//! Session data: what applications have remembered, and what they are told of it.
//!
//! The application answers with what it saw, and says what a request's `X-Say` tells it to: lines with `|` between them.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Http2, Message, Raw, TestGateway};

const OPTIONAL: &str = "routes: [{ path: /, access: optional, session: { login: true } }]";
const MINUTE: Duration = Duration::from_secs(60);

fn upstream() -> EchoUpstream {
    EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            let says = request.header("x-say").unwrap_or_default().to_owned();
            let lines: String =
                says.split('|').filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
            let status = request.header("x-status").unwrap_or("200").to_owned();
            let length = request.raw.len();
            let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: {length}\r\n\r\n");
            if conversation.try_send([head.as_bytes(), &request.raw[..]].concat()).is_err() {
                return;
            }
        }
    })
}

/// A request whose response says these lines.
#[track_caller]
fn say(browser: &mut Browser, target: &str, lines: &str) -> Message {
    let answer = browser.request("GET", target, &[("X-Say", lines)], b"");
    let leaked: Vec<_> =
        answer.head.lines().filter(|line| line.to_lowercase().starts_with("session")).collect();
    assert!(leaked.is_empty(), "{leaked:?} reached the client");
    answer
}

/// A header that the application was told.
#[track_caller]
fn told(browser: &mut Browser, target: &str, header: &str) -> Option<String> {
    heard(&browser.get(target), header)
}

fn heard(answer: &Message, header: &str) -> Option<String> {
    let text = answer.text();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{header}: ")));
    value.map(str::to_owned)
}

#[test]
fn what_a_response_says_the_next_request_is_told() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    assert!(say(&mut browser, "/", "").headers("set-cookie").is_empty(), "nothing to keep, no session");
    let lines =
        "Session-Set: theme=\"dark\", name=%\"%ea%b9%80\", shared.language=\"ko\"|Session-Add: visits=2";
    let answer = say(&mut browser, "/", lines);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = "name=%\"%ea%b9%80\", theme=\"dark\", visits=2, shared.language=\"ko\"";
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some(expected));
    assert!(
        told(&mut browser, "/", "Session-Meta").expect("told").starts_with("new=?0, version=1, expires-in=6")
    );
    say(&mut browser, "/", "Session-Delete: name, shared.language|Session-Set: theme=\"light\";max-age=60");
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("theme=\"light\", visits=2"));
    gateway.advance(2 * MINUTE);
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("visits=2"));
}

#[test]
fn clients_never_say_what_only_the_gateway_and_applications_say_to_each_other() {
    let upstream = upstream();
    let yaml = "routes: [{ path: /, access: optional, session_headers: { X-Theme: theme } }]";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: theme=\"dark\"");
    let spoofed = [
        ("Session-Data", "theme=\"evil\""),
        ("session_id", "evil"),
        ("x.theme", "evil"),
        ("SESSION-META", "evil"),
    ];
    let answer = browser.request("GET", "/", &spoofed, b"");
    assert!(!answer.text().contains("evil"), "{}", answer.text());
    assert_eq!(heard(&answer, "X-Theme").as_deref(), Some("dark"));
    let cookie = format!("cloakroom={}", browser.ticket().expect("a ticket"));
    let mut http2 = Http2::connect(gateway.address());
    let url = format!("http://{}/", gateway.address());
    let answer =
        http2.get(&url, &[("cookie", &cookie), ("session-data", "evil"), ("x_theme", "evil")]).into_body();
    let text = String::from_utf8_lossy(&answer.to_bytes()).into_owned();
    assert!(!text.contains("evil") && text.contains("X-Theme: dark"), "{text}");
}

#[test]
fn trailers_of_neither_side_speak_of_sessions() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        while conversation.request().is_some() {
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
                          Session-Set: a=1\r\nX-Plain: 1\r\n\r\n";
            if conversation.try_send(answer).is_err() {
                return;
            }
        }
    });
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut client = Raw::connect(gateway.address());
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nSession-Data: a=1\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert!(!String::from_utf8_lossy(&answer.raw).to_lowercase().contains("session"), "{answer:?}");
    assert!(!String::from_utf8_lossy(&upstream.bytes()).to_lowercase().contains("session-data"));
    assert_eq!(gateway.sessions(), (0, 0), "a trailer comes too late to ask for anything");
}

#[test]
fn what_is_delivered_once_goes_to_a_page_and_to_one_only() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: saved=\"yes\";flash, a=1");
    let picture = browser.request("GET", "/", &[("Sec-Fetch-Dest", "image")], b"");
    assert_eq!(heard(&picture, "Session-Data").as_deref(), Some("a=1"));
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("saved=\"yes\", a=1"));
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("a=1"));
}

#[test]
fn an_error_of_the_application_changes_nothing_but_may_log_out() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let failing = |lines: &'static str| [("X-Say", lines), ("X-Status", "500")];
    assert_eq!(browser.request("GET", "/", &failing("Session-Set: a=1"), b"").status, 500);
    assert_eq!(told(&mut browser, "/", "Session-Data"), None);
    let answer = browser.request("GET", "/", &failing("Session-Logout: this"), b"");
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
    assert_eq!((browser.ticket(), gateway.sessions()), (None, (0, 0)));
}

#[test]
fn a_conflict_is_told_once() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: a=1");
    say(&mut browser, "/", "Session-Set: a=2|Session-If-Version: 7");
    let answer = browser.get("/");
    assert_eq!(heard(&answer, "Session-Conflict").as_deref(), Some("?1"));
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("a=1"));
    assert_eq!(told(&mut browser, "/", "Session-Conflict"), None);
}

#[test]
fn each_upstream_has_its_own_keys_and_those_it_is_given() {
    let upstream = upstream();
    let yaml = "
        upstreams: { one: 'http://$UPSTREAM', two: 'http://$UPSTREAM' }
        routes:
          - { path: /one, access: optional, upstream: one }
          - { path: /two, access: optional, upstream: two }
          - { path: /guest, access: optional, upstream: two, session: { read: [one.cart], write: [] } }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/one", "Session-Set: cart=1, shared.theme=\"dark\"");
    say(&mut browser, "/two", "Session-Set: cart=2, one.cart=9");
    assert_eq!(told(&mut browser, "/one", "Session-Data").as_deref(), Some("cart=1, shared.theme=\"dark\""));
    assert_eq!(told(&mut browser, "/two", "Session-Data").as_deref(), Some("shared.theme=\"dark\", cart=2"));
    say(&mut browser, "/guest", "Session-Set: cart=5, shared.theme=\"light\"");
    assert_eq!(told(&mut browser, "/guest", "Session-Data").as_deref(), Some("one.cart=1"));
    let name = |browser: &mut Browser, path| told(browser, path, "Session-Id").expect("told");
    assert_ne!(name(&mut browser, "/one"), name(&mut browser, "/two"));
}

#[test]
fn an_application_that_may_logs_people_in_and_out() {
    let upstream = upstream();
    let yaml = "
        routes: [{ path: /no, access: optional }, { path: /, access: optional, session: { login: true } }]
        session: { preferences: [shared.theme] }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/no", "Session-Login: \"mallory\"");
    assert_eq!(told(&mut browser, "/", "X-Auth-User"), None);
    say(&mut browser, "/", "Session-Set: cart=1, shared.theme=\"dark\"");
    let before = browser.ticket().expect("a ticket").to_owned();
    say(&mut browser, "/", "Session-Login: \"alice\";groups=\"staff finance\"");
    assert_ne!(browser.ticket(), Some(before.as_str()));
    let answer = browser.get("/");
    assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("alice"));
    assert_eq!(heard(&answer, "X-Auth-Groups").as_deref(), Some("staff,finance"));
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("cart=1, shared.theme=\"dark\""));
    let mut old = Browser::of(&gateway);
    old.set_cookie("cloakroom", &before);
    assert_eq!(told(&mut old, "/", "Session-Data"), None, "the old id is dead");
    let mut other = Browser::of(&gateway);
    say(&mut other, "/", "Session-Login: \"alice\"");
    say(&mut other, "/", "Session-Logout: others");
    assert_eq!(told(&mut browser, "/", "X-Auth-User"), None);
    assert_eq!(told(&mut other, "/", "X-Auth-User").as_deref(), Some("alice"));
    say(&mut other, "/", "Session-Set: shared.theme=\"dark\", cart=7");
    say(&mut other, "/", "Session-Logout: all");
    let answer = other.get("/");
    assert_eq!(
        (heard(&answer, "X-Auth-User"), heard(&answer, "Session-Data").as_deref()),
        (None, Some("shared.theme=\"dark\""))
    );
}

#[test]
fn what_cannot_be_carried_out_is_passed_over_and_the_response_arrives() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, &format!("{OPTIONAL}\nsession: {{ max_bytes: 128B }}"));
    let mut browser = Browser::of(&gateway);
    for lines in [
        "Session-Set: \"broken",
        "Session-Add: a=\"x\"",
        "Session-Expires: soon",
        "Session-Login: 7",
        "Session-Nonsense: 1",
    ] {
        assert_eq!(say(&mut browser, "/", lines).status, 200, "{lines}");
    }
    assert_eq!(browser.ticket(), None);
    let long = "x".repeat(200);
    assert_eq!(say(&mut browser, "/", &format!("Session-Set: a=1, long=\"{long}\", b=2")).status, 200);
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("a=1, b=2"));
}

#[test]
fn public_routes_are_neither_told_nor_obeyed_and_never_means_never() {
    let upstream = upstream();
    let yaml = "routes: [{ path: /public, access: public }, { path: /, access: optional }]\nsession: { create: never }";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: a=1");
    assert_eq!(browser.ticket(), None);
    browser.sign_in("alice");
    say(&mut browser, "/public", "Session-Set: a=1|Session-Logout: all");
    let answer = browser.get("/public");
    assert!(!answer.text().contains("Session-"), "{}", answer.text());
    assert_eq!(heard(&browser.get("/"), "X-Auth-User").as_deref(), Some("alice"));
}

#[test]
fn additions_at_the_same_time_all_count_and_a_poll_extends_nothing() {
    let upstream = upstream();
    let yaml = "workers: 2\nroutes: [{ path: /poll, activity: false }, { path: / }]";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let ask = format!("{}X-Say: Session-Add: n=1\r\n\r\n", browser.head("GET", "/", &[]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert_eq!(Raw::ask(gateway.address(), &ask).status, 200);
                }
            });
        }
    });
    assert_eq!(told(&mut browser, "/", "Session-Data").as_deref(), Some("n=200"));
    gateway.advance(20 * MINUTE);
    assert_eq!(browser.get("/poll").status, 200);
    gateway.advance(11 * MINUTE);
    assert_eq!(browser.get("/").status, 302);
}

#[test]
fn sessions_outlive_the_gateway_in_a_database_and_in_cookies() {
    let (upstream, folder) = (upstream(), tempfile::tempdir().expect("a folder"));
    let keys = "keys: [{ id: k, secret: a-secret-of-at-least-thirty-two-bytes }]";
    let url = format!("sqlite:{}", folder.path().join("sessions.db").display());
    for store in [format!("{{ store: sql, sql: {{ url: '{url}' }} }}"), "{ store: cookie }".to_owned()] {
        let yaml = format!("{keys}\nsession: {store}");
        let gateway = TestGateway::before(&upstream, &yaml);
        let mut browser = Browser::of(&gateway);
        browser.sign_in("alice");
        let large = "y".repeat(if store.contains("cookie") { 6000 } else { 10 });
        say(&mut browser, "/", &format!("Session-Set: a=\"{large}\""));
        gateway.stop();
        let gateway = TestGateway::before(&upstream, &yaml);
        let mut again = Browser::of(&gateway);
        again.cookies = browser.cookies.clone();
        let answer = again.get("/");
        assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("alice"), "{store}: {}", answer.text());
        assert_eq!(heard(&answer, "Session-Data"), Some(format!("a=\"{large}\"")));
        assert!(!answer.text().contains("cloakroom="), "the application sees no cookie of ours");
    }
}
