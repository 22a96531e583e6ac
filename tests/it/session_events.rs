//! Session events: what a page hears of its session.

use std::time::Duration;

use http_body_util::BodyExt as _;

use crate::support::http2::{request, whole};
use crate::support::{Browser, EchoUpstream, Http2, Raw, TestGateway, wait_until};

const MINUTE: Duration = Duration::from_secs(60);
const EVENTS: &str = "/_cloakroom/session/events";

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

/// A page that listens.
struct Listener {
    client: Raw,
    heard: String,
}

impl Listener {
    #[track_caller]
    fn of(browser: &Browser, gateway: &TestGateway) -> Self {
        Self::coming_back(browser, gateway, &[])
    }

    #[track_caller]
    fn coming_back(browser: &Browser, gateway: &TestGateway, fields: &[(&str, &str)]) -> Self {
        let mut client = Raw::connect(gateway.address());
        client.send(browser.head("GET", EVENTS, fields) + "\r\n");
        let head = client.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(head.headers("set-cookie"), [""; 0]);
        Self { client, heard: String::new() }
    }

    /// The next event's name and data.
    #[track_caller]
    fn event(&mut self) -> (String, serde_json::Value) {
        loop {
            if let Some((event, rest)) = self.heard.split_once("\n\n") {
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = line("event: ").map(str::to_owned).zip(line("data: ").map(str::to_owned));
                self.heard = rest.to_owned();
                let Some((name, data)) = found else { continue };
                return (name, serde_json::from_str(&data).expect("JSON"));
            }
            let piece = self.piece().expect("another event");
            self.heard.push_str(&piece);
        }
    }

    /// The next piece of the stream; none at its end.
    #[track_caller]
    fn piece(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.client.bytes(1));
        }
        let size = std::str::from_utf8(&line).expect("text").trim();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let piece = self.client.bytes(size);
        self.client.bytes(2);
        (size > 0).then(|| String::from_utf8(piece).expect("UTF-8"))
    }

    #[track_caller]
    fn expect_end(mut self) {
        let last = self.piece();
        assert_eq!((self.heard.as_str(), last), ("", None));
    }
}

#[test]
fn a_page_hears_of_its_session_at_once_is_warned_and_told_the_end() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut page = Listener::of(&browser, &gateway);
    let (name, facts) = page.event();
    assert_eq!((name.as_str(), &facts), ("session", &browser.get("/_cloakroom/session").json()));
    assert_eq!((&facts["user"], &facts["expires"]), (&"alice".into(), &1_800_001_800.into()));

    gateway.advance(29 * MINUTE + Duration::from_millis(17_500));
    assert_eq!(page.event(), ("ending".to_owned(), serde_json::json!({ "seconds": 43 })));
    assert_eq!(browser.get("/").status, 200);
    let (name, facts) = page.event();
    assert_eq!((name.as_str(), &facts["expires"]), ("session", &(1_800_001_800 + 29 * 60 + 17).into()));

    gateway.advance(29 * MINUTE);
    assert_eq!(page.event().0, "ending");
    gateway.advance(2 * MINUTE);
    assert_eq!(page.event(), ("ended".to_owned(), serde_json::json!({ "reason": "idle" })));
    page.expect_end();
    assert_eq!(browser.get("/").status, 302, "listening extends nothing");
}

#[test]
fn a_page_hears_when_somebody_signs_out_and_comes_back_when_they_sign_in_again() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut page = Listener::of(&browser, &gateway);
    page.event();
    browser.sign_in("alice");
    page.expect_end();
    let mut page = Listener::of(&browser, &gateway);
    page.event();
    browser.sign_out();
    assert_eq!(page.event(), ("ended".to_owned(), serde_json::json!({ "reason": "logout" })));
    page.expect_end();
}

#[test]
fn without_a_session_there_is_no_stream_but_who_comes_back_is_told_why() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let answer = browser.request("GET", EVENTS, &[("Accept", "text/event-stream")], b"");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("login_needed")));
    assert_eq!(answer.json()["login"], "/_cloakroom/login");
    assert!(answer.header("www-authenticate").is_some());
    browser.sign_in("alice");
    assert_eq!(browser.request("HEAD", EVENTS, &[], b"").status, 200);
    assert_eq!(browser.request("POST", EVENTS, &[], b"").status, 405);
    gateway.advance(31 * MINUTE);
    let answer = browser.get(EVENTS);
    assert_eq!((answer.status, answer.json()["session_ended"].as_str()), (401, Some("idle")));
    let answer = browser.request("GET", EVENTS, &[("Last-Event-ID", "1")], b"");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "id\nevent: ended\ndata: {\"reason\":\"idle\"}\n\n")
    );
}

#[test]
fn a_session_has_four_streams_at_most() {
    let (_upstream, gateway) = gateway("workers: 2");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut pages: Vec<_> = (0..4).map(|_| Listener::of(&browser, &gateway)).collect();
    let answer = browser.get(EVENTS);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (429, Some("too_many_event_streams")));
    assert!(answer.header("retry-after").is_some());
    let mut other = Browser::of(&gateway);
    other.sign_in("alice");
    Listener::of(&other, &gateway).event();
    pages.pop().expect("four").client.reset();
    let free = || {
        let mut client = Raw::connect(gateway.address());
        client.send(browser.head("GET", EVENTS, &[]) + "\r\n");
        client.head().status == 200
    };
    wait_until("a stream that is gone makes room", free);
}

#[test]
fn http2_has_the_same_stream() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let url = format!("http://{}{EVENTS}", gateway.address());
    let cookies = browser.cookie_header();
    let mut client = Http2::connect(gateway.address());
    let (runtime, sender) = client.parts();
    let asked = sender.send_request(request("GET", &url, &[("cookie", &cookies)], whole("")));
    let response = runtime.block_on(asked).expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    gateway.advance(31 * MINUTE);
    let heard = runtime.block_on(response.into_body().collect()).expect("it ends well").to_bytes();
    let heard = String::from_utf8(heard.to_vec()).expect("UTF-8");
    assert!(heard.ends_with("id\nevent: ended\ndata: {\"reason\":\"idle\"}\n\n"), "{heard}");
}

#[test]
fn streams_end_when_the_gateway_stops() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut page = Listener::of(&browser, &gateway);
    page.event();
    gateway.stop();
    page.expect_end();
}

#[test]
fn the_browser_shows_a_sealed_session_anew_before_anything_is_said_of_its_end() {
    let (_upstream, gateway) = gateway("session: { store: cookie }");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut page = Listener::of(&browser, &gateway);
    assert_eq!(page.event().0, "session");
    gateway.advance(10 * MINUTE);
    assert_eq!(browser.get("/").status, 200);
    gateway.advance(19 * MINUTE + Duration::from_secs(30));
    page.expect_end();
    let mut page = Listener::coming_back(&browser, &gateway, &[("Last-Event-ID", "1")]);
    let (name, facts) = page.event();
    assert_eq!((name.as_str(), &facts["expires"]), ("session", &(1_800_000_000 + 40 * 60).into()));
    gateway.advance(10 * MINUTE);
    page.expect_end();
    let mut page = Listener::coming_back(&browser, &gateway, &[("Last-Event-ID", "1")]);
    assert_eq!(
        (page.event().0.as_str(), page.event()),
        ("session", ("ending".to_owned(), serde_json::json!({ "seconds": 30 })))
    );
    gateway.advance(MINUTE);
    page.expect_end();
    let answer = browser.request("GET", EVENTS, &[("Last-Event-ID", "1")], b"");
    assert_eq!(answer.text(), "id\nevent: ended\ndata: {\"reason\":\"idle\"}\n\n");
}
