//! Replay: a request that came without the login it needs is sent after it, once, and by the same person.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway};

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

/// The value of an attribute that follows `start`.
#[track_caller]
fn after(page: &Message, start: &str) -> String {
    let text = page.text();
    let rest = text.split_once(start).map(|(_, rest)| rest).unwrap_or_else(|| panic!("no {start} in {text}"));
    let value = rest.split('"').next().unwrap_or_default();
    value.replace("&#x2f;", "/").replace("&quot;", "\"").replace("&amp;", "&").replace("&#x3d;", "=")
}

/// Sends a request without a login; where the login page then leads to.
#[track_caller]
fn interrupted(browser: &mut Browser, method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    let answer = browser.request(method, target, &[("Content-Type", kind)], body);
    assert_eq!(answer.status, 303, "{}", answer.head);
    let login = answer.header("location").expect("a place to go").to_owned();
    assert!(login.starts_with("/_cloakroom/login?return="), "{login}");
    login
}

/// Signs in there; the page that asks.
#[track_caller]
fn signed_in(browser: &mut Browser, login: &str, user: &str) -> Message {
    let answer = browser.submit(login, &[("username", user), ("password", PASSWORD)]);
    assert_eq!(answer.status, 303);
    let page = answer.header("location").expect("a place to go").to_owned();
    assert!(page.starts_with("/_cloakroom/replay?request="), "{page}");
    browser.get(&page)
}

/// Presses the button of the page that asks.
#[track_caller]
fn send(browser: &mut Browser, page: &Message, more: &[(&str, &str)]) -> Message {
    assert_eq!(page.status, 200, "{}", page.text());
    let action = after(page, "action=\"");
    let (name, token) =
        (after(page, "name=\"cloakroom_replay\" value=\""), after(page, "name=\"token\" value=\""));
    let form = [&[("cloakroom_replay", name.as_str()), ("token", &token)], more].concat();
    browser.post(&action, &form)
}

#[test]
fn a_form_that_needed_a_login_is_sent_after_it_once() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.set_field("Referer", &format!("http://{}/notes/new", gateway.address()));
    let kind = "application/x-www-form-urlencoded";
    let login = interrupted(&mut browser, "POST", "/notes?a=%31&b", kind, b"note=hello+there&x=%00");
    assert_eq!(upstream.connections(), 0, "nothing before the login");
    browser.set_field("Referer", "");
    let page = signed_in(&mut browser, &login, "alice");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(upstream.requests().len(), 0, "and nothing before somebody says so");
    let text = page.text();
    assert!(
        text.contains("POST")
            && text.contains("22 B")
            && text.contains(kind.split('/').next_back().expect("two"))
    );
    assert!(!text.contains("hello"), "what is in the body is not shown");
    assert_eq!(after(&page, "name=\"return\" value=\""), "/notes/new");

    let answer = send(&mut browser, &page, &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain")));
    let seen = upstream.only_request();
    assert_eq!((seen.method(), seen.target()), ("POST", "/notes?a=%31&b"));
    assert_eq!(seen.body, b"note=hello+there&x=%00");
    assert_eq!(seen.header("content-type"), Some(kind));
    assert_eq!(seen.header("x-auth-user"), Some("alice"));
    assert!(
        !seen.head.contains("cloakroom-replay") && !seen.head.to_ascii_lowercase().contains("\r\ncookie:")
    );

    for again in [send(&mut browser, &page, &[]), browser.get("/_cloakroom/replay")] {
        assert_eq!(again.status, 410, "{}", again.head);
    }
    assert_eq!(upstream.requests().len(), 1, "neither a double click nor a reload sends it again");
}

#[test]
fn every_method_and_every_byte_arrives() {
    let (upstream, gateway) = gateway("");
    let every_byte: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    let part =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n\x00\xff\r\n--b--\r\n";
    let cases: [(&str, &str, &[u8]); 5] = [
        ("POST", "multipart/form-data; boundary=b", part),
        ("PUT", "application/json", "{\"이름\":\"값\"}".as_bytes()),
        ("PATCH", "application/octet-stream", &every_byte),
        ("DELETE", "text/plain", b""),
        ("POST", "text/plain", b""),
    ];
    for (number, (method, kind, body)) in cases.into_iter().enumerate() {
        let mut browser = Browser::of(&gateway);
        let login = interrupted(&mut browser, method, "/x", kind, body);
        let page = signed_in(&mut browser, &login, "alice");
        assert_eq!(send(&mut browser, &page, &[]).status, 200);
        let seen = upstream.wait_for(number + 1).pop().expect("it came");
        assert_eq!((seen.method(), seen.target()), (method, "/x"));
        assert!(seen.body == body && seen.header("content-type") == Some(kind), "{method} {kind}");
    }
}

#[test]
fn the_pipeline_decides_where_it_goes() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(
        &upstream,
        "routes: [{ path: /app/, strip_prefix: /app, access: { groups: [staff] } }, { path: /, methods: [GET] }]",
    );
    let mut browser = Browser::of(&gateway);
    let login = interrupted(&mut browser, "POST", "/app/x", "text/plain", b"a");
    let page = signed_in(&mut browser, &login, "alice");
    assert_eq!(send(&mut browser, &page, &[]).status, 200);
    assert_eq!(upstream.only_request().target(), "/x");

    let mut bob = Browser::of(&gateway);
    let login = interrupted(&mut bob, "POST", "/app/x", "text/plain", b"a");
    let page = signed_in(&mut bob, &login, "bob");
    assert_eq!(send(&mut bob, &page, &[]).status, 403, "the rule names others");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn neither_another_browser_nor_another_user_sends_it() {
    let (upstream, gateway) = gateway("");
    let mut alice = Browser::of(&gateway);
    let login = interrupted(&mut alice, "POST", "/x", "text/plain", b"secret");
    let page = signed_in(&mut alice, &login, "alice");
    let name = after(&page, "name=\"cloakroom_replay\" value=\"");

    let mut mallory = Browser::of(&gateway);
    mallory.sign_in("bob");
    assert_eq!(mallory.get(&format!("/_cloakroom/replay?request={name}")).status, 410);
    let token = after(&page, "name=\"token\" value=\"");
    let form = [("cloakroom_replay", name.as_str()), ("token", &token)];
    assert_eq!(mallory.post("/_cloakroom/replay", &form).status, 410);

    alice.sign_out();
    assert_eq!(alice.get(&format!("/_cloakroom/replay?request={name}")).status, 303, "to the login");
    alice.sign_in("bob");
    assert_eq!(alice.get(&format!("/_cloakroom/replay?request={name}")).status, 410, "it was alice's");
    alice.sign_in("alice");
    assert_eq!(alice.get(&format!("/_cloakroom/replay?request={name}")).status, 410, "and has gone");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_fresh_login_of_somebody_else_drops_it() {
    let (upstream, gateway) = gateway("routes: [{ path: /, access: { within: 1m } }]");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    gateway.advance(Duration::from_secs(120));
    let login = interrupted(&mut browser, "POST", "/x", "text/plain", b"a");
    let answer = browser.submit(&login, &[("username", "bob"), ("password", PASSWORD)]);
    assert_eq!(browser.get(answer.header("location").expect("a page")).status, 410);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn the_button_works_with_its_token_from_here_only() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let login = interrupted(&mut browser, "POST", "/x", "text/plain", b"a");
    let page = signed_in(&mut browser, &login, "alice");
    let name = after(&page, "name=\"cloakroom_replay\" value=\"");
    for target in ["/x", "/_cloakroom/replay"] {
        for token in ["", "wrong"] {
            let form = [("cloakroom_replay", name.as_str()), ("token", token)];
            assert_eq!(browser.post(target, &form).status, 403, "{target}");
        }
    }
    browser.set_field("Origin", "https://evil.example");
    browser.set_field("Sec-Fetch-Site", "cross-site");
    assert_eq!(send(&mut browser, &page, &[]).status, 403);
    browser.set_field("Origin", &format!("http://{}", gateway.address()));
    browser.set_field("Sec-Fetch-Site", "same-origin");
    assert_eq!(upstream.connections(), 0);
    assert_eq!(send(&mut browser, &page, &[]).status, 200, "and this is how it is done");
}

#[test]
fn who_does_not_want_it_goes_back() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let login = interrupted(&mut browser, "POST", "/x", "text/plain", b"a");
    let page = signed_in(&mut browser, &login, "alice");
    let answer = send(&mut browser, &page, &[("drop", "yes"), ("return", "//evil.example")]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert_eq!(send(&mut browser, &page, &[]).status, 410);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn what_another_site_sends_does_not_wait() {
    let (upstream, gateway) = gateway("");
    for fields in [
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site"), ("X-A", "")],
        [("If-Match", "\"1\""), ("X-A", "")],
        [("Content-Encoding", "gzip"), ("X-A", "")],
        [("Authorization", "Bearer x"), ("X-A", "")],
        [("X-HTTP-Method-Override", "DELETE"), ("X-A", "")],
    ] {
        let mut browser = Browser::of(&gateway);
        let answer = browser.request("POST", "/transfer", &fields, b"to=mallory");
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/_cloakroom/login")),
            "{fields:?}"
        );
        assert_eq!(browser.cookies, []);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_script_is_told_where_its_page_can_send_the_request() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.set_field("Sec-Fetch-Mode", "cors");
    let kind = [("Content-Type", "application/json")];
    let refused = browser.request("PUT", "/api/note", &kind, b"{}");
    assert_eq!(refused.status, 401);
    let login = refused.json()["login"].as_str().expect("a page").to_owned();
    browser.set_field("Sec-Fetch-Mode", "navigate");
    let page = signed_in(&mut browser, &login, "alice");
    assert_eq!(send(&mut browser, &page, &[]).status, 200);
    assert_eq!((upstream.only_request().method(), &upstream.only_request().body[..]), ("PUT", &b"{}"[..]));

    // A client that is no page has nobody who could press a button.
    for fields in [&[][..], &[("Sec-Fetch-Mode", "no-cors")]] {
        let head = format!("POST /x HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n", gateway.address());
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let refused = Raw::ask(gateway.address(), format!("{head}{fields}\r\nx"));
        assert_eq!((refused.status, &refused.json()["login"]), (401, &"/_cloakroom/login".into()));
    }
}

#[test]
fn what_is_too_large_is_neither_read_nor_kept() {
    let (upstream, gateway) = gateway("login: { replay_body: 1KiB, local: { users: { alice: '$HASH' } } }");
    let mut browser = Browser::of(&gateway);
    let answer = browser.request("POST", "/x", &[], &[b'x'; 1025]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/_cloakroom/login")));
    interrupted(&mut browser, "POST", "/x", "text/plain", &[b'x'; 1024]);

    // One that does not say how long it is, is read up to the limit.
    let mut head = browser.head("POST", "/x", &[("Transfer-Encoding", "chunked")]);
    head.push_str("\r\n");
    let mut client = Raw::connect(gateway.address());
    client.send(format!("{head}800\r\n{}\r\n", "x".repeat(2048)));
    assert_eq!(client.response().header("location"), Some("/_cloakroom/login"));
    let whole = Raw::ask(gateway.address(), format!("{head}3\r\nabc\r\n0\r\n\r\n"));
    assert!(whole.header("location").expect("a page").contains("replay"));
    // And one whose client waits to be asked for it is asked only where it may be kept.
    for (length, asked) in [(10, true), (2000, false)] {
        let head = browser.head("POST", "/x", &[("Expect", "100-continue")]);
        let mut client = Raw::connect(gateway.address());
        client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
        assert_eq!(client.head().status == 100, asked, "{length}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn nothing_waits_where_that_is_switched_off() {
    let (_upstream, gateway) = gateway("login: { replay_body: 0, local: { users: { alice: '$HASH' } } }");
    let mut browser = Browser::of(&gateway);
    let answer = browser.request("POST", "/x", &[], b"a");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/_cloakroom/login")));
    assert_eq!(browser.cookies, []);
}

#[test]
fn a_request_waits_for_ten_minutes_and_over_a_reload() {
    let (upstream, mut gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let login = interrupted(&mut browser, "POST", "/x", "text/plain", b"a");
    gateway.reload("login: { title: Other, local: { users: { alice: '$HASH' } } }");
    gateway.advance(Duration::from_secs(599));
    let page = signed_in(&mut browser, &login, "alice");
    assert_eq!(page.status, 200);
    gateway.advance(Duration::from_secs(1));
    assert_eq!(send(&mut browser, &page, &[]).status, 410);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn two_windows_have_a_request_each() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let first = interrupted(&mut browser, "POST", "/first", "text/plain", b"1");
    let second = interrupted(&mut browser, "POST", "/second", "text/plain", b"2");
    for (login, target) in [(first, "/first"), (second, "/second")] {
        let page = signed_in(&mut browser, &login, "alice");
        assert_eq!(send(&mut browser, &page, &[]).status, 200);
        assert_eq!(upstream.requests().last().map(|seen| seen.target().to_owned()).as_deref(), Some(target));
    }
}

#[test]
fn an_applications_own_small_form_is_not_taken_for_the_button() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    interrupted(&mut browser, "POST", "/x", "text/plain", b"a");
    browser.sign_in("alice");
    browser.set_cookie("theirs", "1");
    let answer = browser.post("/search", &[("q", "한글")]);
    assert_eq!(answer.status, 200);
    let seen = upstream.only_request();
    assert_eq!((seen.target(), seen.header("x-auth-user")), ("/search", Some("alice")));
    assert_eq!(&seen.body, b"q=%ED%95%9C%EA%B8%80");
    assert_eq!(seen.header("cookie"), Some("theirs=1"));
}
