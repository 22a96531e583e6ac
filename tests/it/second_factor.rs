//! The second factor: set up, asked for, used once, lost and taken away.

use std::path::Path;
use std::time::Duration;

use cloakroom::clock::Timestamp;
use cloakroom::login::factor::take_out;
use cloakroom::login::factor::totp::Secret;

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, TestGateway};

const STEP: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// A gateway with second factors, and a clock as its own.
struct Place {
    _upstream: EchoUpstream,
    gateway: TestGateway,
    state: tempfile::TempDir,
    now: Timestamp,
}

impl Place {
    fn with(totp: &str, routes: &str) -> Self {
        let (upstream, state) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
        let yaml = format!(
            "
            state_dir: {}
            {routes}
            login:
              local:
                totp: {{ {totp} }}
                users:
                  alice: {{ password: '$HASH', groups: [staff] }}
                  bob: {{ password: '$HASH' }}
            ",
            state.path().display()
        );
        let gateway = TestGateway::before(&upstream, &yaml);
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        Self { _upstream: upstream, gateway, state, now }
    }

    fn advance(&mut self, by: Duration) {
        self.gateway.advance(by);
        self.now = self.now.plus(by);
    }

    fn code(&self, secret: &Secret) -> String {
        secret.code_at(self.now).to_string()
    }

    fn file(&self) -> std::path::PathBuf {
        self.state.path().join("totp.json")
    }

    /// Signs in and sets up a second factor; the secret and the recovery codes.
    fn enrolled(&mut self, browser: &mut Browser, user: &str) -> (Secret, Vec<String>) {
        browser.sign_in(user);
        let page = browser.get("/_cloakroom/totp");
        assert_eq!(page.status, 200, "{}", page.text());
        let secret = secret_of(&page);
        let page = browser.post(
            "/_cloakroom/totp",
            &filled(&page, &[("do", "confirm"), ("code", &self.code(&secret))]).pairs(),
        );
        assert_eq!(page.status, 200, "{}", page.text());
        let codes = codes_of(&page);
        assert_eq!(codes.len(), 10);
        self.advance(STEP);
        (secret, codes)
    }
}

/// A form with what its page hides in it.
struct Form(Vec<(String, String)>);

impl Form {
    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn filled(page: &Message, values: &[(&str, &str)]) -> Form {
    let text = page.text();
    let hidden = |name: &str| between(&text, &format!("name=\"{name}\" value=\""), "\"");
    let own = [("token", hidden("token")), ("carried", hidden("carried"))];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    Form(own.chain(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect())
}

fn between(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).map(|(_, rest)| rest).unwrap_or_default();
    rest.split(end).next().unwrap_or_default().to_owned()
}

#[track_caller]
fn secret_of(page: &Message) -> Secret {
    let text = between(&page.text(), ": <code>", "</code>").replace(' ', "");
    Secret::from_base32(&text).unwrap_or_else(|| panic!("no secret in {}", page.text()))
}

fn codes_of(page: &Message) -> Vec<String> {
    page.text()
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split('<').next().expect("a code").to_owned())
        .collect()
}

/// Gives the password: the page that comes then.
fn half_way(browser: &mut Browser, user: &str) -> Message {
    let page =
        browser.submit("/_cloakroom/login?return=%2Fpage", &[("username", user), ("password", PASSWORD)]);
    assert!(browser.ticket().is_none(), "nobody is signed in by a password alone");
    page
}

/// Gives a code on the page after the password.
fn give(browser: &mut Browser, page: &Message, code: &str) -> Message {
    browser.post("/_cloakroom/login/code", &filled(page, &[("code", code)]).pairs())
}

#[test]
fn after_the_password_a_code_is_asked_for_and_each_is_right_once() {
    let mut place = Place::with("", "");
    let (secret, _) = place.enrolled(&mut Browser::of(&place.gateway), "alice");
    let mut browser = Browser::of(&place.gateway);
    let page = half_way(&mut browser, "alice");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("autocomplete=\"one-time-code\"") && !page.text().contains("<svg"));
    let refused = give(&mut browser, &page, "000000");
    assert_eq!((refused.status, browser.ticket()), (401, None));
    let code = place.code(&secret);
    let welcome = give(&mut browser, &refused, &code);
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/page")));
    assert_eq!(browser.get("/_cloakroom/session").json()["user"], "alice");

    let mut thief = Browser::of(&place.gateway);
    let page = half_way(&mut thief, "alice");
    assert_eq!(give(&mut thief, &page, &code).status, 401, "it was used");
    assert!(thief.ticket().is_none());
    let mut bob = Browser::of(&place.gateway);
    assert_eq!(bob.sign_in("bob").header("location"), Some("/"), "who has none is not asked");
}

#[test]
fn a_code_may_be_one_step_early_or_late() {
    let mut place = Place::with("", "");
    let (secret, _) = place.enrolled(&mut Browser::of(&place.gateway), "alice");
    place.advance(10 * STEP);
    for (steps, status) in [(-2_i64, 401), (-1, 303), (2, 401), (1, 303)] {
        let millis = place.now.unix_millis().checked_add_signed(steps * 30_000).expect("a time");
        let code = secret.code_at(Timestamp::from_unix_millis(millis));
        let mut browser = Browser::of(&place.gateway);
        let page = half_way(&mut browser, "alice");
        assert_eq!(give(&mut browser, &page, &code).status, status, "{steps}");
    }
}

#[test]
fn a_recovery_code_is_right_once() {
    let mut place = Place::with("", "");
    let (_, codes) = place.enrolled(&mut Browser::of(&place.gateway), "alice");
    for status in [303, 401] {
        let mut browser = Browser::of(&place.gateway);
        let page = half_way(&mut browser, "alice");
        assert_eq!(give(&mut browser, &page, &codes[2].to_lowercase()).status, status);
    }
    let kept = std::fs::read_to_string(place.file()).expect("a file");
    assert!(kept.contains("alice") && codes.iter().all(|code| !kept.contains(code.as_str())));
}

#[test]
fn who_must_have_one_sets_it_up_when_signing_in() {
    let mut place = Place::with("groups: [staff]", "");
    let mut bob = Browser::of(&place.gateway);
    bob.sign_in("bob");
    let mut browser = Browser::of(&place.gateway);
    let page = half_way(&mut browser, "alice");
    assert!(page.text().contains("<svg") && page.text().contains("You need a second step"));
    let secret = secret_of(&page);
    let again = give(&mut browser, &page, "000000");
    assert_eq!((again.status, browser.ticket()), (401, None));
    assert_eq!(secret_of(&again), secret, "the telephone has it already");
    let welcome = give(&mut browser, &again, &place.code(&secret));
    assert_eq!((welcome.status, codes_of(&welcome).len()), (200, 10));
    assert!(welcome.text().contains("href=\"&#x2f;page\""), "{}", welcome.text());
    assert_eq!(browser.get("/_cloakroom/session").json()["user"], "alice");
    // The page from before enrols nobody else.
    place.advance(STEP);
    assert_eq!(give(&mut Browser::of(&place.gateway), &again, &place.code(&secret)).status, 403);
}

#[test]
fn a_route_that_wants_a_fresh_login_wants_the_code_as_well() {
    let routes = "routes: [{ path: /admin, access: { users: [alice], within: 15m } }, { path: / }]";
    let mut place = Place::with("", routes);
    let mut browser = Browser::of(&place.gateway);
    let (secret, _) = place.enrolled(&mut browser, "alice");
    assert_eq!(browser.get("/admin").status, 200);
    place.advance(16 * MINUTE);
    let sent = browser.get("/admin");
    assert_eq!(sent.status, 302);
    let login = sent.header("location").expect("to the login").to_owned();
    let page = browser.submit(&login, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(page.status, 200);
    assert_eq!(browser.get("/admin").status, 302, "the password alone is not enough");
    assert_eq!(give(&mut browser, &page, &place.code(&secret)).header("location"), Some("/admin"));
    assert_eq!(browser.get("/admin").status, 200);
}

#[test]
fn wrong_codes_count_like_wrong_passwords_and_starting_again_forgives_none() {
    let mut place = Place::with("", "");
    let (secret, codes) = place.enrolled(&mut Browser::of(&place.gateway), "alice");
    for n in 0..5 {
        let mut browser = Browser::of(&place.gateway);
        let page = half_way(&mut browser, "alice");
        assert_eq!(give(&mut browser, &page, &format!("00000{n}")).status, 401);
    }
    let mut browser = Browser::of(&place.gateway);
    let form = [("username", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.submit("/_cloakroom/login", &form).status, 429, "not even the password is tried");
    place.advance(16 * MINUTE);
    let page = half_way(&mut browser, "alice");
    for n in 0..5 {
        assert_eq!(give(&mut browser, &page, &format!("00000{n}")).status, 401);
    }
    let refused = give(&mut browser, &page, &place.code(&secret));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("900")));
    assert_eq!(give(&mut browser, &page, &codes[0]).status, 429, "nor a recovery code");
}

#[test]
fn half_a_login_is_of_use_in_its_own_browser_and_for_some_minutes_only() {
    let mut place = Place::with("", "");
    let (secret, _) = place.enrolled(&mut Browser::of(&place.gateway), "alice");
    let mut victim = Browser::of(&place.gateway);
    let page = half_way(&mut victim, "alice");
    let mut thief = Browser::of(&place.gateway);
    let own = thief.get("/_cloakroom/login");
    let mut form = filled(&page, &[("code", &place.code(&secret))]);
    form.0[0].1 = between(&own.text(), "name=\"token\" value=\"", "\"");
    assert_eq!(thief.post("/_cloakroom/login/code", &form.pairs()).status, 403, "another browser's");
    place.advance(6 * MINUTE);
    let late = give(&mut victim, &page, &place.code(&secret));
    assert_eq!((late.status, victim.ticket()), (403, None));
    assert!(late.text().contains("name=\"password\""), "from the start");
    assert_eq!(victim.get("/_cloakroom/login/code").header("location"), Some("/_cloakroom/login"));
    victim.set_field("Origin", "https://evil.example");
    assert_eq!(give(&mut victim, &page, &place.code(&secret)).status, 403, "another site's");
}

#[test]
fn taking_it_away_takes_a_code_and_a_fresh_login() {
    let mut place = Place::with("", "");
    let mut browser = Browser::of(&place.gateway);
    let mut elsewhere = Browser::of(&place.gateway);
    elsewhere.sign_in("alice");
    let (secret, codes) = place.enrolled(&mut browser, "alice");
    assert!(elsewhere.get("/_cloakroom/session").json()["user"].is_null(), "sessions from before have ended");
    let page = browser.get("/_cloakroom/totp");
    assert!(
        page.text().contains("Two-step sign-in is on.") && !page.text().contains("<svg"),
        "{}",
        page.text()
    );
    let post = |browser: &mut Browser, page: &Message, deed: &str, code: &str| {
        browser.post("/_cloakroom/totp", &filled(page, &[("do", deed), ("code", code)]).pairs())
    };
    assert_eq!(post(&mut browser, &page, "remove", "000000").status, 401);
    assert_eq!(
        browser.post("/_cloakroom/totp", &[("do", "remove"), ("code", &place.code(&secret))]).status,
        403
    );
    let renewed = post(&mut browser, &page, "renew", &codes[0]);
    assert_eq!(codes_of(&renewed).len(), 10);
    assert_eq!(post(&mut browser, &page, "remove", &codes[1]).status, 401, "the new ones count");
    place.advance(11 * MINUTE);
    assert_eq!(post(&mut browser, &page, "remove", &place.code(&secret)).status, 303, "to sign in again");
    let page = half_way_again(&mut browser);
    give(&mut browser, &page, &place.code(&secret));
    place.advance(STEP);
    let page = browser.get("/_cloakroom/totp");
    assert_eq!(post(&mut browser, &page, "remove", &place.code(&secret)).status, 200);
    Browser::of(&place.gateway).sign_in("alice");
}

/// Signs in again where somebody is signed in already.
fn half_way_again(browser: &mut Browser) -> Message {
    browser.submit(
        "/_cloakroom/login?return=%2F_cloakroom%2Ftotp",
        &[("username", "alice"), ("password", PASSWORD)],
    )
}

#[test]
fn an_operator_can_take_it_away_while_the_gateway_runs() {
    let mut place = Place::with("", "");
    place.enrolled(&mut Browser::of(&place.gateway), "alice");
    assert_eq!(half_way(&mut Browser::of(&place.gateway), "alice").status, 200);
    assert!(take_out(Path::new(&place.file()), "alice", place.now).expect("written"));
    Browser::of(&place.gateway).sign_in("alice");
}

#[test]
fn a_file_that_cannot_be_read_lets_nobody_in() {
    let mut place = Place::with("", "");
    place.enrolled(&mut Browser::of(&place.gateway), "alice");
    std::fs::write(place.file(), "{").expect("written");
    for user in ["alice", "bob"] {
        let mut browser = Browser::of(&place.gateway);
        let form = [("username", user), ("password", PASSWORD)];
        assert_eq!(browser.submit("/_cloakroom/login", &form).status, 503, "{user}");
    }
}

#[test]
fn the_pages_speak_korean_and_are_there_only_where_they_are_wanted() {
    let place = Place::with("required: true", "");
    let mut browser = Browser::of(&place.gateway);
    browser.set_field("Accept-Language", "ko");
    let page = half_way(&mut browser, "alice");
    assert!(
        page.text().contains("2단계 인증이 필요합니다")
            && page.text().contains("<label for=\"code\">앱에 표시된 코드</label>")
    );
    let nobody = browser.get("/_cloakroom/totp");
    assert_eq!(
        (nobody.status, nobody.header("location")),
        (302, Some("/_cloakroom/login?return=%2F%5Fcloakroom%2Ftotp"))
    );
    let upstream = EchoUpstream::start();
    let plain = TestGateway::before(&upstream, "");
    let mut browser = Browser::of(&plain);
    browser.sign_in("alice");
    assert_eq!(browser.get("/_cloakroom/totp").status, 404);
    assert!(!browser.get("/_cloakroom/sessions").text().contains("/totp"));
}
