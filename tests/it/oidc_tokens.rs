//! Applications are told the token of a provider where they are configured to be, and nowhere else.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Provider, TestGateway, log};

const MINUTE: Duration = Duration::from_secs(60);

const ROUTES: &str = "
    upstreams: { api: { servers: ['http://$UPSTREAM'] } }
    routes:
      - { path: /api/, access: optional, upstream: api, credentials: { bearer: access_token } }
      - { path: /id/, upstream: api, credentials: { bearer: id_token } }
      - { path: /, upstream: api }
    session: { idle_timeout: 12h }";

struct Scene {
    provider: Provider,
    upstream: EchoUpstream,
    gateway: TestGateway,
}

impl Scene {
    fn begin(settings: &str) -> Self {
        log::keep();
        let (provider, upstream) = (Provider::start(), EchoUpstream::start());
        let gateway = TestGateway::before(&upstream, &yaml(&provider, settings));
        Self { provider, upstream, gateway }
    }

    fn sign_in(&self) -> Browser {
        let mut browser = Browser::of(&self.gateway);
        self.provider.sign_in(&mut browser, "tokens");
        browser
    }

    /// What the application is told under `Authorization`; the client says something of its own there.
    fn told(&self, browser: &mut Browser, target: &str) -> Option<String> {
        let before = self.upstream.requests().len();
        let response = browser.request("GET", target, &[("Authorization", "Bearer mine")], b"");
        assert_eq!(response.status, 200, "{}", response.text());
        let requests = self.upstream.wait_for(before + 1);
        requests.last().expect("there").header("authorization").map(str::to_owned)
    }
}

fn yaml(provider: &Provider, settings: &str) -> String {
    format!("{ROUTES}\n    login: {{ oidc: [{}] }}", provider.entry("tokens", settings))
}

#[test]
fn an_application_is_told_the_token_it_is_configured_for_and_no_other() {
    let scene = Scene::begin("");
    let mut alice = scene.sign_in();
    assert_eq!(scene.told(&mut alice, "/api/a").as_deref(), Some("Bearer access-0"));
    let id_token = scene.told(&mut alice, "/id/a").expect("told");
    assert!(id_token.starts_with("Bearer eyJ") && id_token.split('.').count() == 3, "{id_token}");
    assert_eq!(scene.told(&mut alice, "/a").as_deref(), Some("Bearer mine"), "no business of ours");
    assert_eq!(scene.told(&mut Browser::of(&scene.gateway), "/api/a"), None, "of nobody nothing is said");
    assert!(log::with("access-0").is_empty() && log::with(&id_token[7..]).is_empty());
    let shown = alice.get("/_cloakroom/session").text();
    assert!(!shown.contains("access-0"), "{shown}");
}

#[test]
fn a_token_that_has_run_out_is_not_told() {
    let scene = Scene::begin("");
    let mut alice = scene.sign_in();
    scene.gateway.advance(4 * MINUTE);
    assert_eq!(scene.told(&mut alice, "/api/a").as_deref(), Some("Bearer access-0"));
    scene.gateway.advance(MINUTE);
    assert_eq!(scene.told(&mut alice, "/api/a"), None, "and the session goes on");
}

#[test]
fn with_refresh_there_is_always_one_that_is_good() {
    let scene = Scene::begin("refresh: true");
    let mut alice = scene.sign_in();
    for round in 0..4 {
        let told = scene.told(&mut alice, "/api/a");
        assert_eq!(told, Some(format!("Bearer access-{round}")));
        scene.gateway.advance(5 * MINUTE);
    }
}

#[test]
fn while_one_request_asks_for_another_token_the_others_are_told_the_one_that_is_good() {
    let scene = Scene::begin("refresh: true");
    let alice = scene.sign_in();
    scene.gateway.advance(4 * MINUTE + MINUTE / 2);
    std::thread::scope(|threads| {
        for _ in 0..6 {
            let mut tab = Browser::of(&scene.gateway);
            tab.cookies = alice.cookies.clone();
            threads.spawn(move || assert_eq!(tab.get("/api/a").status, 200));
        }
    });
    for request in scene.upstream.wait_for(6) {
        let told = request.header("authorization").map(str::to_owned);
        assert!(matches!(told.as_deref(), Some("Bearer access-0" | "Bearer access-1")), "{told:?}");
    }
    let asked = scene.provider.asked("/token");
    assert_eq!(asked.iter().filter(|request| request.text().contains("refresh_token=")).count(), 1);
}

#[test]
fn what_was_shown_once_is_known_after_a_reload() {
    let mut scene = Scene::begin("");
    let mut alice = Browser::of(&scene.gateway);
    let sent = alice.get("/_cloakroom/login/tokens");
    let back = scene.provider.authorize(sent.header("location").expect("there"));
    let cookies = alice.cookies.clone();
    assert_eq!(alice.get(&back).status, 303);
    let token = scene.provider.logout_token(|_| {});
    let form = [("logout_token", token.as_str())];
    let mut there = Browser::of(&scene.gateway);
    assert_eq!(there.post("/_cloakroom/backchannel/tokens", &form).status, 200);
    scene.gateway.reload(&yaml(&scene.provider, ""));
    let mut again = Browser::of(&scene.gateway);
    again.cookies = cookies;
    assert_eq!(again.get(&back).status, 403, "the state was used");
    assert_eq!(there.post("/_cloakroom/backchannel/tokens", &form).status, 400, "and so was the token");
}
