//! Session data, exchanged: what passes between the gateway and an application, and what never gets by on either side.
//!
//! The application says the lines that stand behind `?say=` in the target (`|` between them, percent-encoded), under the
//! status of `X-Status`, and answers with what it saw.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::support::http2::{pieces, request};
use crate::support::{Browser, EchoUpstream, Http2, Message, Raw, TestGateway};

const OPTIONAL: &str = "routes: [{ path: /, access: optional, session: { login: true } }]";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn upstream() -> EchoUpstream {
    EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            let said = request.target().split_once("?say=").map(|(_, said)| said).unwrap_or_default();
            let said = percent_decode_str(said).decode_utf8_lossy().into_owned();
            let lines: String =
                said.split('|').filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
            let status = request.header("x-status").unwrap_or("200").to_owned();
            let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\n\r\n", request.raw.len());
            if conversation.try_send([head.as_bytes(), &request.raw[..]].concat()).is_err() {
                return;
            }
        }
    })
}

fn target(path: &str, lines: &str) -> String {
    format!("{path}?say={}", utf8_percent_encode(lines, NON_ALPHANUMERIC))
}

/// A request whose response says these lines; none of them reaches the client.
#[track_caller]
fn say(browser: &mut Browser, path: &str, lines: &str) -> Message {
    let answer = browser.get(&target(path, lines));
    assert_keeps_to_itself(&answer);
    answer
}

#[track_caller]
fn assert_keeps_to_itself(answer: &Message) {
    let names = answer.fields().into_iter().map(|(name, _)| name.to_lowercase());
    let leaked: Vec<_> = names.filter(|name| name.starts_with("session")).collect();
    assert!(leaked.is_empty(), "{leaked:?} reached the client");
}

#[track_caller]
fn told(browser: &mut Browser, path: &str, header: &str) -> Option<String> {
    heard(&browser.get(path), header)
}

#[track_caller]
fn data(browser: &mut Browser) -> Option<String> {
    told(browser, "/", "Session-Data")
}

#[track_caller]
fn user(browser: &mut Browser) -> Option<String> {
    told(browser, "/", "X-Auth-User")
}

/// A header that the application was told: once, and as the gateway spells it.
#[track_caller]
fn heard(answer: &Message, header: &str) -> Option<String> {
    assert_eq!(answer.status, 200, "{}", answer.head);
    let text = answer.text();
    let start = format!("{header}: ");
    let values: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    assert!(values.len() < 2, "{header} was told {} times", values.len());
    values.first().map(|value| (*value).to_owned())
}

fn ticket(browser: &Browser) -> String {
    browser.ticket().expect("a ticket").to_owned()
}

/// Another browser that shows this cookie.
fn showing(gateway: &TestGateway, ticket: &str) -> Browser {
    let mut browser = Browser::of(gateway);
    browser.set_cookie("cloakroom", ticket);
    browser
}

#[test]
fn no_spelling_of_a_client_gets_by_on_any_route_and_no_connection_header_takes_ours_away() {
    let upstream = upstream();
    let yaml = "
        routes:
          - { path: /public, access: public, session_headers: { X-Theme: theme } }
          - { path: /, access: optional, session_headers: { X-Theme: theme } }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: theme=\"dark\"");
    for name in
        ["Session-Data", "session-data", "SESSION_DATA", "Session.Id", "session~meta", "Session-Conflict"]
            .into_iter()
            .chain(["Session-Set", "session_login", "Session-Anything", "X_Theme", "x-theme", "X.Theme"])
    {
        for path in ["/", "/public"] {
            let answer = browser.request("GET", path, &[(name, "evil")], b"");
            assert!(!answer.text().contains("evil"), "{name} at {path}: {}", answer.text());
        }
    }
    let all = "Session-Data, Session-Id, Session-Meta, X-Theme, close";
    let answer = browser.request("GET", "/", &[("Connection", all)], b"");
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("theme=\"dark\""));
    assert_eq!(heard(&answer, "X-Theme").as_deref(), Some("dark"));
    assert!(heard(&answer, "Session-Id").is_some() && heard(&answer, "Session-Meta").is_some());
}

#[test]
fn over_http2_neither_fields_nor_trailers_of_a_client_speak_of_sessions() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut http2 = Http2::connect(gateway.address());
    let url = format!("http://{}{}", gateway.address(), target("/", "Session-Set: a=1|session_add: n=1"));
    let trailers = [("session-data", "evil"), ("session_set", "evil=1"), ("x-plain", "1")];
    let fields = [("te", "trailers"), ("session-meta", "evil"), ("session_id", "evil")];
    let answer = http2.ask(request("POST", &url, &fields, pieces(&["ok"], &trailers)));
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("session")), "{answer:?}");
    assert!(answer.headers().contains_key("set-cookie"));
    let seen = String::from_utf8_lossy(&upstream.bytes()).to_lowercase();
    assert!(!seen.contains("evil"), "{seen}");
}

#[test]
fn whatever_kind_of_response_says_it_the_client_does_not_hear_it() {
    let said = "Session-Set: a=1\r\nsession_add: n=2\r\nSESSION.DELETE: x\r\nSession-Unknown: 1\r\n\
                Connection: Session-Set, Session-Unknown\r\n";
    for (method, status, rest) in [
        ("GET", "200 OK", "Content-Length: 2\r\n\r\nok"),
        ("HEAD", "200 OK", "Content-Length: 2\r\n\r\n"),
        ("POST", "204 No Content", "\r\n"),
        ("GET", "304 Not Modified", "\r\n"),
        ("POST", "303 See Other", "Location: /\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "404 Not Found", "Content-Length: 0\r\n\r\n"),
        ("GET", "200 OK", "Transfer-Encoding: chunked\r\n\r\n0\r\nSession-Set: b=1\r\nsession_id: 1\r\n\r\n"),
    ] {
        let upstream = EchoUpstream::answering(format!(
            "HTTP/1.1 103 Early Hints\r\n{said}Link: </a>\r\n\r\nHTTP/1.1 {status}\r\n{said}{rest}"
        ));
        let gateway = TestGateway::before(&upstream, OPTIONAL);
        let mut client = Raw::connect(gateway.address());
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n{length}Connection: close, TE\r\n\r\n"
        ));
        let raw = String::from_utf8_lossy(&client.rest()).to_lowercase();
        assert!(!raw.contains("session"), "{method} {status}: {raw}");
        assert!(raw.contains(&format!("http/1.1 {}", &status[..3])), "{raw}");
        assert_eq!(gateway.sessions(), (0, 1), "{method} {status} is obeyed, once");
    }
}

#[test]
fn korean_texts_travel_whole_in_both_forms() {
    let upstream = upstream();
    let yaml =
        "routes: [{ path: /, access: optional, session_headers: { X-Greeting: greeting, X-Yes: yes } }]";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    let encoded = "%ea%b9%80 %ec%b2%a0%ec%88%98 %22100%25%22";
    say(
        &mut browser,
        "/",
        &format!("Session-Set: greeting=%\"{encoded}\", quote=\"a\\\"b\\\\c\", yes, d=2.5, i=-3"),
    );
    let answer = browser.get("/");
    let expected = format!("d=2.5, greeting=%\"{encoded}\", i=-3, quote=\"a\\\"b\\\\c\", yes");
    assert_eq!(heard(&answer, "Session-Data"), Some(expected));
    let greeting = heard(&answer, "X-Greeting").expect("told");
    let decoded = percent_decode_str(&greeting).decode_utf8().expect("UTF-8");
    assert_eq!(decoded, "김 철수 \"100%\"", "{greeting}");
    assert_eq!(heard(&answer, "X-Yes").as_deref(), Some("true"));
}

#[test]
fn of_many_pages_at_once_exactly_one_is_told_what_is_delivered_once() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, &format!("{OPTIONAL}\nworkers: 2"));
    let mut browser = Browser::of(&gateway);
    for round in 0..10 {
        say(&mut browser, "/", &format!("Session-Set: saved={round};flash, a=1"));
        for part in ["image", "style", "script", "font"] {
            let answer = browser.request("GET", "/", &[("Sec-Fetch-Dest", part)], b"");
            assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("a=1"), "{part}");
        }
        let ask = browser.head("GET", "/", &[("Sec-Fetch-Dest", "document")]) + "\r\n";
        let told = std::thread::scope(|scope| {
            let ask = || Raw::ask(gateway.address(), &ask).text().contains(&format!("saved={round}"));
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|one| one.join().expect("no panic")).filter(|told| *told).count()
        });
        assert_eq!(told, 1, "round {round}");
    }
}

#[test]
fn an_error_of_the_application_leaves_everything_as_it_was() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: a=1, n=1");
    let before = ticket(&browser);
    let lines =
        "Session-Set: a=2|Session-Add: n=1|Session-Delete: a|Session-Expires: 5|Session-Login: \"bob\"";
    for status in ["500", "502", "503", "599"] {
        let answer = browser.request("GET", &target("/", lines), &[("X-Status", status)], b"");
        assert_keeps_to_itself(&answer);
        assert_eq!((answer.status.to_string().as_str(), answer.headers("set-cookie").len()), (status, 0));
    }
    gateway.advance(MINUTE);
    assert_eq!((data(&mut browser).as_deref(), ticket(&browser)), (Some("a=1, n=1"), before));
    assert_eq!(user(&mut browser), None);
}

#[test]
fn a_conflict_is_told_to_the_upstream_that_had_it_and_the_right_version_goes_through() {
    let upstream = upstream();
    let yaml = "
        upstreams: { one: 'http://$UPSTREAM', two: 'http://$UPSTREAM' }
        routes:
          - { path: /one, access: optional, upstream: one }
          - { path: /two, access: optional, upstream: two }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/one", "Session-Set: cart=\"a\"");
    for _ in 0..3 {
        say(
            &mut browser,
            "/one",
            "Session-If-Version: 0|Session-Set: cart=\"b\", saved;flash|Session-Add: n=1",
        );
    }
    say(&mut browser, "/one", "Session-If-Version: nonsense|Session-Set: cart=\"c\"");
    assert_eq!(told(&mut browser, "/two", "Session-Conflict"), None);
    let version = |browser: &mut Browser| {
        let meta = told(browser, "/one", "Session-Meta").expect("told");
        let (_, rest) = meta.split_once("version=").expect("a version");
        rest.split(',').next().expect("never empty").to_owned()
    };
    // The three requests told the first and the second conflict; the last one waits for this.
    let answer = browser.get("/one");
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("cart=\"a\""));
    assert_eq!(told(&mut browser, "/one", "Session-Conflict"), None);
    let present = version(&mut browser);
    say(&mut browser, "/one", &format!("Session-If-Version: {present}|Session-Set: cart=\"d\""));
    let answer = browser.get("/one");
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("cart=\"d\""));
    assert_eq!(heard(&answer, "Session-Conflict"), None);
}

#[test]
fn a_logout_and_a_message_in_one_response_both_count() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let old = ticket(&browser);
    let answer =
        say(&mut browser, "/", "Session-Set: bye=\"You are signed out.\";flash|Session-Logout: this");
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
    assert_ne!(ticket(&browser), old);
    assert_eq!(data(&mut browser).as_deref(), Some("bye=\"You are signed out.\""));
    assert_eq!((data(&mut browser), user(&mut browser)), (None, None));
    assert_eq!(user(&mut showing(&gateway, &old)), None);
}

#[test]
fn logout_of_others_spares_this_browser_and_other_people() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut all = [(); 4].map(|()| Browser::of(&gateway));
    for (browser, user) in all.iter_mut().zip(["alice", "alice", "alice", "bob"]) {
        browser.sign_in(user);
    }
    let answer = say(&mut all[0], "/", "Session-Logout: others");
    assert_eq!((answer.header("clear-site-data"), answer.headers("set-cookie").len()), (None, 0));
    let users = all.each_mut().map(user);
    assert_eq!(users.each_ref().map(Option::as_deref), [Some("alice"), None, None, Some("bob")]);
    all[1].sign_in("alice");
    let answer = say(&mut all[1], "/", "Session-Logout: all");
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
    let users = all.each_mut().map(user);
    assert_eq!(users.each_ref().map(Option::as_deref), [None, None, None, Some("bob")]);
}

#[test]
fn login_keeps_what_a_visitor_gathered_but_nothing_of_another_person_save_preferences() {
    let upstream = upstream();
    let gateway =
        TestGateway::before(&upstream, &format!("{OPTIONAL}\nsession: {{ preferences: [shared.theme] }}"));
    let mut browser = Browser::of(&gateway);
    let answer = say(&mut browser, "/", "Session-Set: cart=1, shared.theme=\"dark\"");
    let cookie = answer.header("set-cookie").expect("a ticket");
    assert!(cookie.contains("Max-Age=31536000"), "a preference outlives the browser: {cookie}");
    browser.sign_in("alice");
    assert_eq!(data(&mut browser).as_deref(), Some("cart=1, shared.theme=\"dark\""));
    say(&mut browser, "/", "Session-Login: \"bob\"");
    let answer = browser.get("/");
    assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("bob"));
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("shared.theme=\"dark\""));
    let old = ticket(&browser);
    browser.sign_out();
    assert_ne!(ticket(&browser), old);
    assert_eq!((data(&mut browser).as_deref(), user(&mut browser)), (Some("shared.theme=\"dark\""), None));
    gateway.advance(24 * HOUR);
    assert_eq!(data(&mut browser).as_deref(), Some("shared.theme=\"dark\""));
}

#[test]
fn a_new_id_comes_with_no_store_and_the_old_one_goes_on_for_a_while() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    say(&mut browser, "/", "Session-Set: a=1");
    let old = ticket(&browser);
    let id = told(&mut browser, "/", "Session-Id");
    gateway.advance(14 * MINUTE);
    assert!(browser.get("/").headers("set-cookie").is_empty());
    gateway.advance(MINUTE + SECOND);
    let answer = say(&mut browser, "/", "Cache-Control: public, max-age=60");
    assert_eq!((answer.headers("set-cookie").len(), answer.header("cache-control")), (1, Some("no-store")));
    assert_ne!(ticket(&browser), old);
    assert_eq!(user(&mut browser).as_deref(), Some("alice"));
    let mut late = showing(&gateway, &old);
    gateway.advance(29 * SECOND);
    assert_eq!(user(&mut late).as_deref(), Some("alice"));
    assert_eq!(told(&mut browser, "/", "Session-Id"), id, "it is the same session");
    gateway.advance(2 * SECOND);
    assert_eq!(user(&mut late), None);
    assert_eq!(user(&mut browser), None, "somebody else holds it");
}

#[test]
fn an_applications_limit_never_goes_beyond_the_configured_one() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    say(&mut browser, "/", "Session-Expires: 999999");
    gateway.advance(31 * MINUTE);
    assert_eq!(user(&mut browser), None);
    browser.sign_in("alice");
    say(&mut browser, "/", "Session-Expires: 60");
    gateway.advance(61 * SECOND);
    assert_eq!(user(&mut browser), None);
}

#[test]
fn a_value_ends_at_midnight_where_the_visitor_is() {
    let upstream = upstream();
    let yaml = format!("{OPTIONAL}\nsession: {{ anonymous_timeout: 30h, timezone: Asia/Seoul }}");
    // The clock stands at 2027-01-15 08:00 UTC: 17:00 in Seoul.
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    let lines = "Session-Set: here;until=\"midnight\", there;until=\"midnight\";timezone=\"UTC\"";
    say(&mut browser, "/", lines);
    gateway.advance(7 * HOUR - SECOND);
    assert_eq!(data(&mut browser).as_deref(), Some("here, there"));
    gateway.advance(SECOND);
    assert_eq!(data(&mut browser).as_deref(), Some("there"));
    gateway.advance(9 * HOUR);
    assert_eq!(data(&mut browser), None);
}

#[test]
fn too_many_changes_or_bytes_are_ignored_and_the_response_arrives() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    let many: Vec<_> = (0..257).map(|n| format!("k{n}=1")).collect();
    assert_eq!(say(&mut browser, "/", &format!("Session-Set: {}", many.join(", "))).status, 200);
    say(
        &mut browser,
        "/",
        "Session-Set: a=1|Session-Set: b=2|session_set: c=3|Session-Add: n=999999999999999",
    );
    say(&mut browser, "/", "Session-Add: n=1, m=1, a=-3");
    let expected = "a=-2, b=2, c=3, m=1, n=999999999999999";
    assert_eq!(data(&mut browser).as_deref(), Some(expected));
}

#[test]
fn a_cookie_goes_with_the_browser_when_asked_to_and_lasts_with_a_preference() {
    let upstream = upstream();
    let yaml = format!("{OPTIONAL}\nsession: {{ preferences: [shared.theme] }}");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: a=1");
    let answer = say(&mut browser, "/", "Session-Expires: browser");
    let cookie = answer.header("set-cookie").expect("it is said again");
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    let answer = say(&mut browser, "/", "Session-Set: shared.theme=\"dark\"");
    let cookie = answer.header("set-cookie").expect("it lasts from now on");
    assert!(cookie.contains("Max-Age=") && cookie.contains("Expires="), "{cookie}");
}

#[test]
fn a_list_gives_exactly_what_it_lists() {
    let upstream = upstream();
    let yaml = "
        upstreams: { shop: 'http://$UPSTREAM', wiki: 'http://$UPSTREAM' }
        routes:
          - { path: /shop, access: optional, upstream: shop }
          - { path: /wiki, access: optional, upstream: wiki }
          - path: /some
            access: optional
            upstream: wiki
            session: { read: [draft, shop.*], write: [draft, shop.cart, shared.*] }
            session_headers: { X-Cart: shop.cart }
          - { path: /nothing, access: optional, upstream: wiki, session: { read: [], write: [] } }
    ";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/shop", "Session-Set: cart=1, note=\"n\"");
    say(
        &mut browser,
        "/wiki",
        "Session-Set: draft=2, other=3|Session-Delete: shop.cart|Session-Add: shop.cart=5",
    );
    say(
        &mut browser,
        "/some",
        "Session-Set: draft=4, other=9, shop.cart=5, shop.note=\"x\", shared.theme=\"dark\"",
    );
    let answer = browser.get("/some");
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("shop.cart=5, shop.note=\"n\", draft=4"));
    assert_eq!(heard(&answer, "X-Cart").as_deref(), Some("5"));
    say(&mut browser, "/nothing", "Session-Delete: draft, other, shared.theme|Session-Login: \"bob\"");
    let answer = browser.get("/nothing");
    assert_eq!((heard(&answer, "Session-Data"), heard(&answer, "X-Auth-User")), (None, None));
    let expected = "shared.theme=\"dark\", draft=4, other=3";
    assert_eq!(told(&mut browser, "/wiki", "Session-Data").as_deref(), Some(expected));
}

/// YAML of a gateway that keeps sessions in this folder.
fn in_sqlite(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("sessions.db");
    format!(
        "{OPTIONAL}\nkeys: [{{ id: k, secret: a-secret-of-at-least-thirty-two-bytes }}]\n\
         session: {{ store: sql, sql: {{ url: 'sqlite:{}' }} }}",
        file.display()
    )
}

#[test]
fn in_a_database_logins_data_and_logouts_outlive_the_gateway() {
    let (upstream, folder) = (upstream(), tempfile::tempdir().expect("a folder"));
    let yaml = in_sqlite(&folder);
    let gateway = TestGateway::before(&upstream, &yaml);
    let (mut alice, mut bob) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    say(&mut alice, "/", "Session-Set: name=%\"%ea%b9%80\", saved;flash");
    let gone = ticket(&bob);
    bob.sign_out();
    let kept = ticket(&alice);
    gateway.stop();
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut alice = showing(&gateway, &kept);
    let answer = alice.get("/");
    assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("alice"));
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("saved, name=%\"%ea%b9%80\""));
    assert_eq!(data(&mut alice).as_deref(), Some("name=%\"%ea%b9%80\""));
    assert_eq!(user(&mut showing(&gateway, &gone)), None);
}

#[test]
fn a_logout_and_a_login_in_one_response_change_the_person() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    say(&mut browser, "/", "Session-Set: a=1");
    say(&mut browser, "/", "Session-Login: \"bob\"|Session-Logout: this|Session-Set: b=1");
    let answer = browser.get("/");
    assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("bob"));
    assert_eq!(heard(&answer, "Session-Data").as_deref(), Some("b=1"));
    assert_eq!(gateway.sessions(), (1, 0));
}

#[test]
fn in_a_database_too_parallel_pages_share_what_is_delivered_once_and_a_logout_ends_it_everywhere() {
    let (upstream, folder) = (upstream(), tempfile::tempdir().expect("a folder"));
    let yaml = in_sqlite(&folder);
    let gateways = [(); 2].map(|()| TestGateway::before(&upstream, &yaml));
    let mut browser = Browser::of(&gateways[0]);
    browser.sign_in("alice");
    let mut there = showing(&gateways[1], &ticket(&browser));
    assert_eq!(user(&mut there).as_deref(), Some("alice"));
    say(&mut browser, "/", "Session-Set: saved;flash");
    let ask = browser.head("GET", "/", &[]) + "\r\n";
    let told = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| Raw::ask(gateways[0].address(), &ask).text().contains("saved")))
            .collect();
        asking.into_iter().map(|one| one.join().expect("no panic")).filter(|told| *told).count()
    });
    assert_eq!(told, 1);
    say(&mut browser, "/", "Session-Logout: this");
    crate::support::wait_until("the logout, heard of", || user(&mut there).is_none());
}

#[test]
fn two_gateways_on_one_database_lose_no_addition() {
    let (upstream, folder) = (upstream(), tempfile::tempdir().expect("a folder"));
    let yaml = in_sqlite(&folder);
    let gateways = [(); 2].map(|()| TestGateway::before(&upstream, &yaml));
    let mut browser = Browser::of(&gateways[0]);
    browser.sign_in("alice");
    let ask = browser.head("GET", &target("/", "Session-Add: n=1"), &[]) + "\r\n";
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (address, ask) = (gateways[n % 2].address(), &ask);
            scope.spawn(move || (0..15).for_each(|_| assert_eq!(Raw::ask(address, ask).status, 200)));
        }
    });
    say(&mut browser, "/", "Session-Add: n=1");
    assert_eq!(data(&mut browser).as_deref(), Some("n=61"));
}

#[test]
fn sealed_in_cookies_a_session_comes_in_pieces_that_no_application_sees() {
    let upstream = upstream();
    let yaml = format!(
        "{OPTIONAL}\nkeys: [{{ id: k, secret: a-secret-of-at-least-thirty-two-bytes }}]\nsession: {{ store: cookie }}"
    );
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    browser.set_cookie("own", "1");
    browser.sign_in("alice");
    // Nothing that compresses.
    let noise: String = (0..5000_u64)
        .scan(1_u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(char::from(b'a' + u8::try_from((*state >> 33) % 26).expect("small")))
        })
        .collect();
    let answer = say(&mut browser, "/", &format!("Session-Set: long=\"{noise}\""));
    let cookies = answer.headers("set-cookie");
    assert!(cookies.len() > 1 && cookies.iter().all(|cookie| cookie.len() <= 4096), "{}", cookies.len());
    let answer = browser.get("/");
    assert_eq!(heard(&answer, "X-Auth-User").as_deref(), Some("alice"));
    assert_eq!(heard(&answer, "Session-Data"), Some(format!("long=\"{noise}\"")));
    assert_eq!(heard(&answer, "cookie").as_deref(), Some("own=1"));
    say(&mut browser, "/", "Session-Delete: long");
    assert_eq!((data(&mut browser), user(&mut browser).as_deref()), (None, Some("alice")));
    say(&mut browser, "/", "Session-Logout: this");
    assert_eq!(browser.cookies, [("own".to_owned(), "1".to_owned())]);
    assert_eq!(user(&mut browser), None);
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("cloakroom"), "no piece was passed on");
}

#[test]
fn a_late_limit_does_not_take_a_new_login_from_the_browser() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        if conversation.request().is_some() {
            let _ = wait.lock().expect("whole").recv();
            let _ = conversation
                .try_send("HTTP/1.1 200 OK\r\nSession-Expires: 600\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut slow = Raw::connect(gateway.address());
    slow.send(browser.head("GET", "/slow", &[]) + "\r\n");
    upstream.wait_for(1);
    browser.sign_in("alice");
    release.send(()).expect("somebody waits");
    let late = slow.response();
    assert_eq!(
        (late.status, late.headers("set-cookie")),
        (200, vec![]),
        "the new cookie would be written over"
    );
}

#[test]
fn a_limit_in_a_response_to_the_old_id_does_not_bring_that_back_to_the_browser() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let old = ticket(&browser);
    gateway.advance(16 * MINUTE);
    browser.get("/");
    assert_ne!(ticket(&browser), old);
    browser.get("/");
    // A request that was on its way with the old id: its response reaches the same browser.
    let answer = say(&mut showing(&gateway, &old), "/", "Session-Expires: 1700");
    if let Some(pair) = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()) {
        browser.set_cookie("cloakroom", pair.strip_prefix("cloakroom=").expect("our cookie"));
    }
    gateway.advance(31 * SECOND);
    assert_eq!(user(&mut browser).as_deref(), Some("alice"), "taken for a thief");
}

#[test]
fn a_login_and_a_limit_in_one_response_both_count() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    for lines in
        ["Session-Login: \"alice\"|Session-Expires: 300", "Session-Login: \"alice\"|Session-Expires: browser"]
    {
        let mut browser = Browser::of(&gateway);
        say(&mut browser, "/", lines);
        assert_eq!(user(&mut browser).as_deref(), Some("alice"), "a stranger, {lines}");
        let mut browser = Browser::of(&gateway);
        say(&mut browser, "/", "Session-Set: a=1");
        say(&mut browser, "/", lines);
        assert_eq!(user(&mut browser).as_deref(), Some("alice"), "a visitor, {lines}");
    }
}

#[test]
fn a_logout_that_keeps_preferences_and_a_limit_in_one_response_both_count() {
    let upstream = upstream();
    let yaml = format!("{OPTIONAL}\nsession: {{ preferences: [shared.theme] }}");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    say(&mut browser, "/", "Session-Set: shared.theme=\"dark\"");
    say(&mut browser, "/", "Session-Logout: this|Session-Expires: browser");
    assert_eq!((data(&mut browser).as_deref(), user(&mut browser)), (Some("shared.theme=\"dark\""), None));
}

#[test]
fn a_response_that_comes_after_the_logout_brings_nothing_back() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        if conversation.request().is_some() {
            let _ = wait.lock().expect("whole").recv();
            let _ = conversation.try_send(
                "HTTP/1.1 200 OK\r\nSession-Set: a=1\r\nSession-Expires: 600\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    });
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut slow = Raw::connect(gateway.address());
    slow.send(browser.head("GET", "/slow", &[]) + "\r\n");
    upstream.wait_for(1);
    let old = ticket(&browser);
    browser.sign_out();
    release.send(()).expect("somebody waits");
    let late = slow.response();
    assert_eq!((late.status, gateway.sessions()), (200, (0, 0)));
    assert!(!late.headers("set-cookie").iter().any(|cookie| cookie.contains(&old)), "{}", late.head);
    assert_eq!(showing(&gateway, &old).get("/").status, 302);
}

#[test]
fn a_session_is_new_with_its_first_request_only_wherever_it_is_kept() {
    let (upstream, folder) = (upstream(), tempfile::tempdir().expect("a folder"));
    let sealed = format!(
        "{OPTIONAL}\nkeys: [{{ id: k, secret: a-secret-of-at-least-thirty-two-bytes }}]\nsession: {{ store: cookie }}"
    );
    let mut wrong = Vec::new();
    for (store, yaml) in [("memory", OPTIONAL.to_owned()), ("sql", in_sqlite(&folder)), ("cookie", sealed)] {
        let gateway = TestGateway::before(&upstream, &yaml);
        let mut browser = Browser::of(&gateway);
        say(&mut browser, "/", "Session-Set: a=1");
        for nth in 1..40 {
            gateway.advance(SECOND);
            let meta = told(&mut browser, "/", "Session-Meta").expect("told");
            if nth > 1 && !meta.starts_with("new=?0, ") {
                wrong.push((store, nth));
            }
        }
    }
    assert_eq!(wrong, [], "stores, and which of the following requests is new still");
}

#[test]
fn a_visitors_first_key_and_a_limit_in_one_response_both_count() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    say(&mut browser, "/", "Session-Set: a=1|Session-Expires: 300");
    assert_eq!(data(&mut browser).as_deref(), Some("a=1"));
    gateway.advance(301 * SECOND);
    assert_eq!(data(&mut browser), None);
}

#[test]
fn an_application_that_limits_every_response_does_not_stop_rotation() {
    let upstream = upstream();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let old = ticket(&browser);
    gateway.advance(16 * MINUTE);
    say(&mut browser, "/", "Session-Expires: 1700");
    gateway.advance(MINUTE);
    say(&mut browser, "/", "Session-Expires: 1700");
    assert_ne!(ticket(&browser), old);
}
