//! Fresh logins: `within` on a route, from the refusal over the login page back to the page asked for.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Http2, Message, PASSWORD, TestGateway};

const ROUTES: &str = "
    routes:
      - { path: /admin/, access: { groups: [staff], within: 15m } }
      - { path: /bank/, access: { any: [{ within: 5m }, { users: [bob], within: 90s }] } }
      - { path: /, access: login, session: { write: ['*'] } }
    ";

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// An application that stores what a request's `X-Store` says, and answers with what it was told.
fn application() -> EchoUpstream {
    EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            let store = request.header("x-store").map(|what| format!("Session-Set: {what}\r\n"));
            let length = request.raw.len();
            let head =
                format!("HTTP/1.1 200 OK\r\n{}Content-Length: {length}\r\n\r\n", store.unwrap_or_default());
            if conversation.try_send([head.as_bytes(), &request.raw[..]].concat()).is_err() {
                return;
            }
        }
    })
}

fn start() -> (EchoUpstream, TestGateway) {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, ROUTES);
    (upstream, gateway)
}

/// Where somebody is sent to log in again, and nowhere else.
#[track_caller]
fn entrance(refused: &Message) -> String {
    assert_eq!(refused.status, 302, "{}", refused.head);
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let location = refused.header("location").expect("it leads somewhere").to_owned();
    assert!(location.starts_with("/_cloakroom/login?"), "{location}");
    location
}

#[track_caller]
fn confirm(browser: &mut Browser, entrance: &str, user: &str, more: &[(&str, &str)]) -> Message {
    let form = [&[("username", user), ("password", PASSWORD)], more].concat();
    let answer = browser.submit(entrance, &form);
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer
}

#[test]
fn a_login_that_is_too_old_is_confirmed_and_leads_back() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    browser.request("GET", "/", &[("X-Store", "cart=3")], b"");
    gateway.advance(minutes(15));
    assert_eq!(browser.get("/admin/users?page=2").status, 200, "fifteen minutes are not too old");
    gateway.advance(Duration::from_millis(1));
    let entrance = entrance(&browser.get("/admin/users?page=2"));
    let page = browser.get(&entrance);
    assert!(page.status == 200 && page.text().contains("confirm that it is you"), "{}", page.text());
    assert!(page.text().contains("name=\"username\" value=\"alice\""), "the name is known");
    assert_eq!(browser.get("/").status, 200, "everything else goes on");

    let before = browser.ticket().expect("signed in").to_owned();
    let done = confirm(&mut browser, &entrance, "alice", &[]);
    assert_eq!(done.header("location"), Some("/admin/users?page=2"));
    let after = browser.ticket().expect("signed in").to_owned();
    assert_ne!(before, after, "a new id");
    assert_eq!(browser.get("/admin/users?page=2").status, 200);
    assert!(
        browser.get("/").text().contains("Session-Data: cart=3"),
        "the same person finds the same things"
    );
    assert_eq!(gateway.sessions(), (1, 0), "the session before is no more");

    browser.set_cookie("cloakroom", &before);
    assert_eq!(browser.get("/").status, 302, "and its id is dead");
}

#[test]
fn the_note_is_in_korean_too_and_for_nobody_who_is_not_signed_in() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.advance(minutes(16));
    let entrance = entrance(&browser.get("/admin/"));
    browser.set_field("Accept-Language", "ko");
    assert!(browser.get(&entrance).text().contains("다시 로그인해 주세요"));
    let mut nobody = Browser::of(&gateway);
    let page = nobody.get(&entrance).text();
    assert!(!page.contains("confirm that it is you") && !page.contains("role=\"status\""), "{page}");
}

#[test]
fn a_wrong_password_confirms_nothing_and_ends_nothing() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.advance(minutes(16));
    let entrance = entrance(&browser.get("/admin/"));
    let wrong = browser.submit(&entrance, &[("username", "alice"), ("password", "wrong")]);
    assert_eq!(wrong.status, 401);
    assert_eq!((browser.get("/admin/").status, browser.get("/").status), (302, 200));
}

#[test]
fn somebody_else_who_confirms_starts_with_nothing() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    browser.request("GET", "/", &[("X-Store", "cart=3")], b"");
    let before = browser.ticket().expect("signed in").to_owned();
    gateway.advance(minutes(16));
    let entrance = entrance(&browser.get("/admin/"));
    let done = confirm(&mut browser, &entrance, "bob", &[]);
    assert_eq!(done.header("location"), Some("/admin/"));
    assert_eq!(browser.get("/admin/").status, 403, "bob is not staff, however fresh");
    let seen = browser.get("/").text();
    assert!(seen.contains("X-Auth-User: bob") && !seen.contains("cart"), "{seen}");
    browser.set_cookie("cloakroom", &before);
    assert_eq!(browser.get("/").status, 302, "alice's session has ended");
}

#[test]
fn who_is_remembered_is_asked_too_and_stays_remembered() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    confirm(&mut browser, "/_cloakroom/login", "alice", &[("remember", "yes")]);
    gateway.advance(minutes(3 * 24 * 60));
    assert_eq!(browser.get("/").status, 200, "remembered for days");
    let entrance = entrance(&browser.get("/admin/"));
    let page = browser.get(&entrance).text();
    assert!(page.contains("name=\"remember\" value=\"yes\" checked"), "{page}");
    let done = confirm(&mut browser, &entrance, "alice", &[("remember", "yes")]);
    let cookie = done.headers("set-cookie").join("\n");
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    assert_eq!(browser.get("/admin/").status, 200);
}

#[test]
fn programs_are_told_how_fresh_a_login_must_be() {
    let (upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("bob");
    gateway.advance(minutes(16));
    let api = [("Sec-Fetch-Mode", "cors"), ("Accept", "application/json")];
    let refused = browser.request("GET", "/bank/x?a=1", &api, b"");
    assert_eq!((refused.status, upstream.connections()), (401, 0));
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Cookie realm=\"cloakroom\", error=\"insufficient_user_authentication\", max_age=\"300\"")
    );
    let said = refused.json();
    assert_eq!((&said["error"], &said["max_age"]), (&"login_too_old".into(), &300.into()));
    let login = said["login"].as_str().expect("where to go");
    let page = browser.get(login).text();
    assert!(page.contains("confirm that it is you"), "{page}");
    let posted = browser.request("POST", "/bank/x", &api, b"");
    assert_eq!((posted.status, &posted.json()["error"]), (401, &"login_too_old".into()));
    assert_eq!(browser.request("GET", "/admin/", &api, b"").status, 403, "no login would help bob there");

    let mut nobody = Browser::of(&gateway);
    let refused = nobody.request("GET", "/bank/x", &api, b"");
    assert_eq!(refused.header("www-authenticate"), Some("Cookie realm=\"cloakroom\""), "any login will do");
    assert!(refused.json()["max_age"].is_null());
}

#[test]
fn a_form_that_comes_too_late_leads_to_the_login_page_and_is_not_sent_on() {
    let (upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.advance(minutes(16));
    let refused = browser.post("/admin/delete", &[("id", "7")]);
    assert_eq!((refused.status, upstream.connections()), (303, 0));
    let location = refused.header("location").expect("the login page");
    assert!(location.contains("reason=login_too_old"), "{location}");
}

#[test]
fn http_2_is_asked_alike_and_websockets_are_not_opened() {
    let (upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.advance(minutes(16));
    let cookie = format!("cloakroom={}", browser.ticket().expect("signed in"));
    let mut client = Http2::connect(gateway.address());
    let url = format!("http://{}/admin/", gateway.address());
    let refused = client.get(&url, &[("cookie", &cookie)]);
    let challenge = refused.headers()["www-authenticate"].to_str().expect("text");
    assert!(refused.status() == 401 && challenge.contains("max_age=\"900\""), "{challenge}");
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-Fetch-Mode", "websocket"),
        ("Accept", "*/*"),
    ];
    assert_eq!(browser.request("GET", "/admin/live", &upgrade, b"").status, 401);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_clock_that_was_set_back_makes_no_login_too_old() {
    let (_upstream, gateway) = start();
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.set_back(minutes(60));
    assert_eq!(browser.get("/admin/").status, 200);
}
