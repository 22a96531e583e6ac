//! Login circle: somebody whose browser does not send our cookie is told why, after three times round.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Message, TestGateway};

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

/// Asks for a page, signs in, and loses the session's cookie: what the page is answered with.
#[track_caller]
fn round(browser: &mut Browser) -> Message {
    let answer = browser.get("/reports");
    if answer.status == 302 {
        browser.sign_in("alice");
        browser.cookies.clear();
    }
    answer
}

#[test]
fn three_times_round_end_in_a_page_that_names_the_attribute() {
    for (keys, host, attribute) in [
        ("public_url: https://app.example", "app.example", "__Host-cloakroom"),
        (
            "public_url: https://app.example\nsession: { cookie: { name: cloakroom } }",
            "app.example",
            "Secure",
        ),
        ("session: { cookie: { domain: example.com } }", "other.example", "Domain=example.com"),
        ("session: { cookie: { path: /app } }", "app.example", "Path=&#x2f;app"),
        ("session: { cookie: { same_site: strict } }", "app.example", "allow cookies"),
    ] {
        let (upstream, gateway) = gateway(keys);
        let mut browser = Browser::of(&gateway);
        browser.set_field("Host", host);
        let scheme = if keys.contains("https") { "https" } else { "http" };
        browser.set_field("Origin", &format!("{scheme}://{host}"));
        let statuses: Vec<_> = (0..3).map(|_| round(&mut browser).status).collect();
        assert_eq!(statuses, [302, 302, 302], "{attribute}");
        let page = round(&mut browser);
        assert_eq!(page.status, 403, "{attribute}");
        assert!(page.text().contains(attribute) && page.text().contains("in circles"), "{}", page.text());
        assert!(
            page.text().contains("/_cloakroom/login") || page.text().contains("login"),
            "and how to try again"
        );
        assert_eq!(round(&mut browser).status, 302, "which they may");
        browser.set_field("Accept-Language", "ko");
        assert_eq!(upstream.connections(), 0);
    }
}

#[test]
fn who_comes_back_with_the_cookie_or_slowly_or_anew_is_in_no_circle() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    for _ in 0..6 {
        browser.sign_in("alice");
        assert_eq!(browser.get("/reports").status, 200);
        browser.sign_out();
        browser.set_field("Sec-Fetch-Site", "none");
        assert_eq!(browser.get("/reports").status, 302);
        browser.set_field("Sec-Fetch-Site", "same-origin");
    }
    let mut slow = Browser::of(&gateway);
    slow.set_field("User-Agent", "slow");
    for _ in 0..6 {
        assert_eq!(round(&mut slow).status, 302);
        gateway.advance(Duration::from_secs(16));
    }
    let mut stranger = Browser::of(&gateway);
    stranger.set_field("User-Agent", "stranger");
    assert!((0..10).all(|_| stranger.get("/reports").status == 302), "nor who never signs in");
}

#[test]
fn a_browser_without_any_cookie_is_told_so() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let mut attempt = || {
        browser.cookies.clear();
        let page = browser.get("/_cloakroom/login");
        let text = page.text();
        let token = text.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        browser.cookies.clear();
        let form = [("username", "alice"), ("password", "x"), ("token", token.expect("a token"))];
        browser.post("/_cloakroom/login", &form)
    };
    assert!(attempt().text().contains("Please try again"));
    assert!(attempt().text().contains("name=\"token\""));
    let told = attempt();
    assert_eq!(told.status, 403);
    assert!(told.text().contains("allow cookies"), "{}", told.text());
}
