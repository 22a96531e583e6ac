//! Signing out, here and at an OpenID provider: what one does, the other hears of.

use serde_json::{Value, json};

use crate::support::provider::{Signing, query};
use crate::support::{Browser, EchoUpstream, Message, Provider, TestGateway, log};

/// What is said of it, and how it is told.
type Lie = (&'static str, fn(&mut Value));

fn gateway(name: &str, provider: &Provider, settings: &str) -> (EchoUpstream, TestGateway) {
    log::keep();
    let upstream = EchoUpstream::start();
    let yaml = format!("login: {{ oidc: [{}] }}", provider.entry(name, settings));
    let gateway = TestGateway::before(&upstream, &yaml);
    (upstream, gateway)
}

/// A browser where this person has signed in, in a session that the provider calls so.
fn signed_in(
    gateway: &TestGateway,
    provider: &Provider,
    name: &str,
    (sub, sid): (&str, Option<&str>),
) -> Browser {
    provider.change(|manner| {
        manner.person = json!({ "sub": sub, "email": "a@b.c", "name": "A", "groups": [] });
        manner.userinfo = json!({ "sub": sub });
        if let Some(sid) = sid {
            manner.person["sid"] = sid.into();
        }
    });
    let mut browser = Browser::of(gateway);
    provider.sign_in(&mut browser, name);
    browser
}

fn is_signed_in(browser: &mut Browser) -> bool {
    !browser.get("/_cloakroom/session").json()["user"].is_null()
}

/// The provider says something, from its own machine.
fn told(gateway: &TestGateway, name: &str, token: &str) -> Message {
    let mut provider = Browser::of(gateway);
    provider.fields.retain(|(field, _)| field == "Host");
    provider.post(&format!("/_cloakroom/backchannel/{name}"), &[("logout_token", token)])
}

#[test]
fn whoever_signs_out_here_signs_out_there_and_stays_out() {
    let provider = Provider::start();
    let (_upstream, gateway) = gateway("out", &provider, "");
    let mut browser = signed_in(&gateway, &provider, "out", ("alice", None));
    let response = browser.submit("/_cloakroom/logout?return=%2Freports", &[]);
    let location = response.header("location").expect("there");
    assert!(location.starts_with(&format!("{}/end?", provider.issuer())), "{location}");
    let token = query(location, "id_token_hint").expect("a hint");
    assert_eq!(token.split('.').count(), 3);
    let back = format!("http://{}/_cloakroom/logout", gateway.address());
    assert_eq!(query(location, "post_logout_redirect_uri"), Some(back));
    assert_eq!(query(location, "client_id").as_deref(), Some("cloakroom"));
    assert!(!is_signed_in(&mut browser));
    let page = browser.get("/_cloakroom/logout");
    let text = page.text().replace("&#x2f;", "/");
    assert!(text.contains("You are signed out") && text.contains("/_cloakroom/login"), "{text}");
    assert!(log::with("provider=\"out\"").iter().all(|line| !line.contains(&token)));
}

#[test]
fn where_the_provider_has_no_page_for_it_nobody_bounces_straight_back_in() {
    let provider = Provider::start();
    provider.change(|manner| manner.metadata["end_session_endpoint"] = Value::Null);
    let (_upstream, gateway) = gateway("bounce", &provider, "");
    let mut browser = signed_in(&gateway, &provider, "bounce", ("alice", None));
    let response = browser.submit("/_cloakroom/logout?return=%2F", &[]);
    assert_eq!(response.header("location"), Some("/_cloakroom/logout"));
    assert_eq!(browser.get("/_cloakroom/logout").status, 200);
}

#[test]
fn whom_the_provider_signs_out_is_out_here_too_and_is_asked_before_the_next_login() {
    let provider = Provider::start();
    let (_upstream, gateway) = gateway("heard", &provider, "");
    let mut one = signed_in(&gateway, &provider, "heard", ("alice", Some("s1")));
    let mut two = signed_in(&gateway, &provider, "heard", ("alice", Some("s2")));
    let mut bob = signed_in(&gateway, &provider, "heard", ("bob", Some("s3")));

    assert_eq!(told(&gateway, "heard", &provider.logout_token(|_| {})).status, 200);
    assert!(!is_signed_in(&mut one) && is_signed_in(&mut two) && is_signed_in(&mut bob));
    let page = one.get("/_cloakroom/login");
    assert_eq!(page.status, 200, "it is a page and does not lead straight back in");
    assert!(page.text().contains("You are signed out.") && page.text().contains("Sign in with heard"));

    let everywhere =
        provider.logout_token(|claims| (claims["sid"], claims["sub"]) = (Value::Null, "alice".into()));
    assert_eq!(told(&gateway, "heard", &everywhere).status, 200);
    assert!(!is_signed_in(&mut two) && is_signed_in(&mut bob));
    let lines = log::with("provider=\"heard\"");
    assert!(lines.iter().any(|line| line.contains("ended=1")), "{lines:?}");
}

#[test]
fn a_session_without_a_name_of_its_own_ends_with_its_person() {
    let provider = Provider::start();
    let (_upstream, gateway) = gateway("nameless", &provider, "");
    let mut alice = signed_in(&gateway, &provider, "nameless", ("alice", None));
    assert_eq!(told(&gateway, "nameless", &provider.logout_token(|_| {})).status, 200);
    assert!(is_signed_in(&mut alice), "a name alone says nothing of it");
    let both = provider.logout_token(|claims| claims["sub"] = "alice".into());
    assert_eq!(told(&gateway, "nameless", &both).status, 200);
    assert!(!is_signed_in(&mut alice));
}

#[test]
fn a_token_that_is_no_logout_token_ends_nothing() {
    let provider = Provider::start();
    let (_upstream, gateway) = gateway("untrue", &provider, "");
    let mut alice = signed_in(&gateway, &provider, "untrue", ("alice", Some("s1")));
    let lies: [Lie; 11] = [
        ("another issuer", |claims| claims["iss"] = "https://evil.example".into()),
        ("another audience", |claims| claims["aud"] = "somebody".into()),
        ("has expired", |claims| claims["exp"] = 1_799_999_000.into()),
        ("no `iat`", |claims| claims["iat"] = Value::Null),
        ("older than five minutes", |claims| claims["iat"] = (1_800_000_000 - 361).into()),
        ("not valid yet", |claims| claims["iat"] = (1_800_000_000 + 61).into()),
        ("no `jti`", |claims| claims["jti"] = Value::Null),
        ("tell of no logout", |claims| claims["events"] = json!({ "else": {} })),
        ("tell of no logout", |claims| claims["events"] = Value::Null),
        ("has a `nonce`", |claims| claims["nonce"] = "x".into()),
        ("neither `sub` nor `sid`", |claims| claims["sid"] = Value::Null),
    ];
    let mut tokens: Vec<_> = lies.iter().map(|(why, lie)| (*why, provider.logout_token(lie))).collect();
    for (signing, why) in [
        (Signing::Not, "algorithm"),
        (Signing::WithThePublicKey, "algorithm"),
        (Signing::ByAnotherKey, "signature"),
    ] {
        provider.change(|manner| manner.signing = signing);
        tokens.push((why, provider.logout_token(|_| {})));
    }
    provider.change(|manner| manner.signing = Signing::Honest);
    tokens.push(("not a signed token", String::new()));
    for (why, token) in tokens {
        let response = told(&gateway, "untrue", &token);
        assert_eq!((response.status, response.header("cache-control")), (400, Some("no-store")), "{why}");
        assert!(
            response.json()["error_description"].as_str().expect("text").contains(why),
            "{}",
            response.text()
        );
        assert!(log::with("provider=\"untrue\"").iter().any(|line| line.contains(why)), "{why}");
    }
    assert!(is_signed_in(&mut alice));
    let mut browser = Browser::of(&gateway);
    assert_eq!(browser.get("/_cloakroom/backchannel/untrue").status, 405);
}

#[test]
fn a_logout_token_counts_once() {
    let provider = Provider::start();
    let (_upstream, gateway) = gateway("again", &provider, "");
    let token = provider.logout_token(|_| {});
    assert_eq!(told(&gateway, "again", &token).status, 200);
    let mut alice = signed_in(&gateway, &provider, "again", ("alice", Some("s1")));
    let response = told(&gateway, "again", &token);
    assert_eq!(
        (response.status, &response.json()["error_description"]),
        (400, &"it was shown before".into())
    );
    assert!(is_signed_in(&mut alice));
}

#[test]
fn whom_one_provider_signs_out_stays_in_at_another() {
    let (one, two, upstream) = (Provider::start(), Provider::start(), EchoUpstream::start());
    log::keep();
    let yaml = format!("login: {{ oidc: [{}, {}] }}", one.entry("left", ""), two.entry("right", ""));
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut left = signed_in(&gateway, &one, "left", ("alice", Some("s1")));
    let mut right = signed_in(&gateway, &two, "right", ("alice", Some("s1")));
    assert_eq!(told(&gateway, "right", &one.logout_token(|_| {})).status, 400, "it is not theirs to say");
    assert_eq!(told(&gateway, "left", &one.logout_token(|_| {})).status, 200);
    assert!(!is_signed_in(&mut left) && is_signed_in(&mut right));
}
