//! Sessions that go on only for as long as they do at their OpenID provider.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Provider, TestGateway, log};

const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    provider: Provider,
    gateway: TestGateway,
    alice: Browser,
    upstream: EchoUpstream,
}

impl Scene {
    /// Somebody has signed in; their access token is good for five minutes.
    fn begin(settings: &str) -> Self {
        log::keep();
        let (provider, upstream) = (Provider::start(), EchoUpstream::start());
        let entry = provider.entry("follows", settings);
        let yaml = format!("session: {{ idle_timeout: 12h }}\nlogin: {{ oidc: [{entry}] }}");
        let gateway = TestGateway::before(&upstream, &yaml);
        let mut alice = Browser::of(&gateway);
        provider.sign_in(&mut alice, "follows");
        Self { provider, gateway, alice, upstream }
    }

    /// How often the provider was asked whether a session goes on.
    fn asked(&self) -> usize {
        let asked = self.provider.asked("/token");
        asked.iter().filter(|request| request.text().contains("grant_type=refresh_token")).count()
    }

    /// What a page answers, and how often the provider was asked by then.
    #[track_caller]
    fn get(&mut self) -> (u16, usize) {
        (self.alice.get("/").status, self.asked())
    }
}

#[test]
fn the_provider_is_asked_when_its_token_has_run_out_and_not_before() {
    let mut scene = Scene::begin("refresh: true");
    assert_eq!(scene.get(), (200, 0));
    for round in 1..=3 {
        scene.gateway.advance(5 * MINUTE);
        assert_eq!(scene.get(), (200, round));
        assert_eq!(scene.get(), (200, round));
    }
    let bytes = String::from_utf8_lossy(&scene.upstream.bytes()).into_owned();
    assert!(!bytes.contains("refresh-"), "no application is told");
    assert!(log::with("refresh-").is_empty());
}

#[test]
fn a_session_that_is_over_there_is_over_here_before_anything_is_passed_on() {
    let mut scene = Scene::begin("refresh: true");
    scene.gateway.advance(5 * MINUTE);
    scene.provider.change(|manner| manner.refresh_status = 400);
    let response = scene.alice.get("/reports");
    assert_eq!(response.status, 302, "{}", response.text());
    assert!(response.header("location").expect("there").starts_with("/_cloakroom/login?return="));
    assert!(scene.upstream.requests().is_empty());
    let session = scene.alice.get("/_cloakroom/session").json();
    assert_eq!((&session["user"], &session["reason"]), (&serde_json::Value::Null, &"revoked".into()));
}

#[test]
fn a_provider_that_does_not_answer_is_given_an_hour() {
    let mut scene = Scene::begin("refresh: true");
    scene.provider.change(|manner| manner.refresh_status = 503);
    scene.gateway.advance(5 * MINUTE);
    for _ in 0..5 {
        assert_eq!(scene.get(), (200, 1), "it is not asked with every request");
    }
    scene.gateway.advance(59 * MINUTE);
    assert_eq!(scene.get(), (200, 2));
    scene.gateway.advance(MINUTE);
    assert_eq!(scene.get(), (302, 3));
}

#[test]
fn its_hour_begins_anew_when_it_has_answered() {
    let mut scene = Scene::begin("refresh: true");
    scene.provider.change(|manner| manner.refresh_status = 503);
    scene.gateway.advance(50 * MINUTE);
    assert_eq!(scene.get(), (200, 1));
    scene.provider.change(|manner| manner.refresh_status = 0);
    scene.gateway.advance(MINUTE);
    assert_eq!(scene.get(), (200, 2));
    scene.provider.change(|manner| manner.refresh_status = 503);
    scene.gateway.advance(59 * MINUTE);
    assert_eq!(scene.get(), (200, 3));
}

#[test]
fn of_many_requests_at_once_one_asks() {
    let scene = Scene::begin("refresh: true");
    scene.gateway.advance(5 * MINUTE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut tab = Browser::of(&scene.gateway);
            tab.cookies = scene.alice.cookies.clone();
            scope.spawn(move || assert_eq!(tab.get("/").status, 200));
        }
    });
    assert_eq!(scene.asked(), 1);
}

#[test]
fn without_being_told_to_nobody_asks() {
    let mut scene = Scene::begin("");
    scene.gateway.advance(60 * MINUTE);
    assert_eq!(scene.get(), (200, 0));
}
