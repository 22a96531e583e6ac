//! End reasons: whoever finds themselves signed out is told why, on the page and in JSON.

use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;

use crate::support::{Browser, EchoUpstream, PASSWORD, TestGateway, wait_until};

const MINUTE: Duration = Duration::from_secs(60);

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

fn signed_in(gateway: &TestGateway, user: &str) -> Browser {
    let mut browser = Browser::of(gateway);
    browser.sign_in(user);
    browser
}

/// Everywhere where a reason is told, it is this one; and no longer after the next login.
#[track_caller]
fn assert_told(browser: &mut Browser, reason: &str, words: &str) {
    let answer = browser.request("GET", "/", &[("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")], b"");
    assert_eq!((answer.status, answer.json()["session_ended"].as_str()), (401, Some(reason)));
    let facts = browser.get("/_cloakroom/session").json();
    assert_eq!((facts["reason"].as_str(), facts["user"].as_str()), (Some(reason), None));
    let events = browser.request("GET", "/_cloakroom/session/events", &[("Last-Event-ID", "1")], b"").text();
    assert!(events.contains(&format!("{{\"reason\":\"{reason}\"}}")), "{events}");
    let login = browser.get("/").header("location").expect("the login").to_owned();
    let page = browser.get(&login).text();
    assert_eq!(page.matches(words).count(), 1, "{words}: {page}");
    browser.sign_in("bob");
    assert!(browser.get("/_cloakroom/session").json()["reason"].is_null());
    assert!(!browser.get("/_cloakroom/login").text().contains(words));
}

#[test]
fn a_limit_that_has_passed() {
    let (_upstream, gateway) = gateway("session: { idle_timeout: 30m, absolute_timeout: 1h }");
    let mut browser = signed_in(&gateway, "alice");
    gateway.advance(31 * MINUTE);
    assert_told(&mut browser, "idle", "because you were away for a while");
    let mut busy = signed_in(&gateway, "alice");
    for _ in 0..3 {
        gateway.advance(20 * MINUTE);
        assert_eq!(busy.get("/").status, 200);
    }
    gateway.advance(MINUTE);
    assert_told(&mut busy, "absolute", "because you signed in a long time ago");
}

#[test]
fn somebody_signed_out_elsewhere() {
    let (_upstream, gateway) = gateway("");
    let mut here = signed_in(&gateway, "alice");
    let mut there = signed_in(&gateway, "alice");
    let answer = here.submit("/_cloakroom/logout", &[("everywhere", "yes")]);
    assert_eq!(answer.status, 303);
    assert_told(&mut there, "logout", "You are signed out.");
}

#[test]
fn a_login_too_many() {
    let (_upstream, gateway) = gateway("session: { max_per_user: 2 }");
    let mut first = signed_in(&gateway, "alice");
    gateway.advance(MINUTE);
    let (mut second, mut third) = (signed_in(&gateway, "alice"), signed_in(&gateway, "alice"));
    assert!(second.get("/").status == 200 && third.get("/").status == 200);
    assert_told(&mut first, "limit", "because you signed in on too many devices");
}

#[test]
fn no_room_was_left() {
    let (_upstream, gateway) = gateway("session: { memory: { max_sessions: 16 } }");
    let mut first = signed_in(&gateway, "alice");
    for _ in 0..64 {
        gateway.advance(2 * MINUTE / 64);
        signed_in(&gateway, "alice");
    }
    assert_told(&mut first, "evicted", "because the server ran out of room");
}

#[test]
fn an_id_that_was_replaced_is_shown_again() {
    let (_upstream, gateway) = gateway("session: { rotate_every: 1m }");
    let mut owner = signed_in(&gateway, "alice");
    let stolen = owner.ticket().expect("signed in").to_owned();
    gateway.advance(2 * MINUTE);
    assert_eq!(owner.get("/").status, 200);
    assert_ne!(owner.ticket(), Some(stolen.as_str()), "a new id for the same session");
    assert_eq!(owner.get("/").status, 200, "and it was shown");
    let mut thief = Browser::of(&gateway);
    thief.set_cookie("cloakroom", &stolen);
    assert_eq!(thief.get("/").status, 200, "requests under way may still show the old one");
    gateway.advance(MINUTE);
    assert_eq!(thief.get("/").status, 302);
    assert_told(&mut owner, "theft", "because somebody else may have used your session");
    assert_told(&mut thief, "theft", "because somebody else may have used your session");
}

#[test]
fn an_account_that_is_no_longer_what_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.yaml");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    let line = |user: &str, salt: &str| format!("{user}: {{ password: '{}' }}\n", hash(salt));
    let bob = line("bob", "saltsaltsalt");
    let first: Vec<_> = ["carol", "dave", "erin"].map(|user| line(user, "saltsaltsalt")).into();
    write(&format!("{}{bob}", first.concat()));
    let (_upstream, gateway) = gateway(&format!("login: {{ local: {{ users_file: {} }} }}", path.display()));
    let [mut carol, mut dave, mut erin] = ["carol", "dave", "erin"].map(|user| signed_in(&gateway, user));
    let mut untouched = signed_in(&gateway, "bob");
    write(&format!(
        "{}{}{bob}",
        line("carol", "othersaltsalt"),
        line("dave", "saltsaltsalt").replace(" }", ", disabled: true }")
    ));
    for browser in [&mut carol, &mut dave, &mut erin] {
        wait_until("the changed account is noticed", || browser.get("/").status == 302);
    }
    assert_told(&mut carol, "revoked", "or because your password has changed");
    assert_told(&mut dave, "disabled", "because your account is no longer active");
    assert_told(&mut erin, "disabled", "because your account is no longer active");
    assert_eq!(untouched.get("/").status, 200);
}

/// A hash of [`PASSWORD`] that costs next to nothing to check, another one with each salt.
fn hash(salt: &str) -> String {
    let weak = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("these are allowed"));
    weak.hash_password_with_salt(PASSWORD.as_bytes(), salt.as_bytes()).expect("hashed").to_string()
}
