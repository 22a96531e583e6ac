//! OpenID Connect: who comes back from a provider is let in, and nobody else is.

use std::time::Duration;

use crate::support::provider::{Manner, Signing, query};
use crate::support::{Browser, EchoUpstream, Message, Provider, TestGateway, log};

/// What the log says of it, the status of the page, and how it is told.
type Lie = (&'static str, u16, Box<dyn FnOnce(&mut Manner)>);

/// Changes what a provider says.
type Change = fn(&mut serde_json::Value);

/// A provider with a gateway before it, of which only this test knows the name.
fn scene(name: &str, settings: &str) -> (Provider, EchoUpstream, TestGateway) {
    log::keep();
    let (provider, upstream) = (Provider::start(), EchoUpstream::start());
    let gateway = TestGateway::before(&upstream, &yaml(name, &provider, settings));
    (provider, upstream, gateway)
}

fn yaml(name: &str, provider: &Provider, settings: &str) -> String {
    format!("login: {{ oidc: [{}] }}", provider.entry(name, settings))
}

/// Where the gateway sends a browser that wants to see this page.
#[track_caller]
fn sent(browser: &mut Browser, page: &str) -> String {
    let response = browser.get(page);
    assert_eq!(response.status, 302, "{}", response.text());
    let entrance = response.header("location").expect("somewhere").to_owned();
    let response = browser.get(&entrance);
    assert_eq!(response.status, 303, "{}", response.text());
    response.header("location").expect("somewhere").to_owned()
}

/// Signs in there, and comes back.
#[track_caller]
fn sign_in(browser: &mut Browser, provider: &Provider) -> Message {
    let location = sent(browser, "/");
    let back = provider.authorize(&location);
    browser.get(&back)
}

/// Nobody is signed in, and the log says why.
#[track_caller]
fn assert_turned_away(response: &Message, browser: &mut Browser, status: u16, name: &str, why: &str) {
    assert_eq!(response.status, status, "{why}: {}", response.text());
    let text = response.text().replace("&#x2f;", "/");
    assert!(text.contains("href=\"/_cloakroom/login"), "with a way to begin again");
    assert!(browser.get("/_cloakroom/session").json()["user"].is_null(), "{why}");
    let lines = log::with(&format!("provider=\"{name}\""));
    assert!(lines.iter().any(|line| line.contains(why)), "{why}: {lines:?}");
}

#[test]
fn somebody_signs_in_there_and_arrives_where_they_wanted_to_go() {
    let (provider, upstream, gateway) = scene("whole", "claims: { keep: [department] }");
    provider.change(|manner| manner.person["department"] = "finance".into());
    let mut browser = Browser::of(&gateway);
    let location = sent(&mut browser, "/reports?a=%ED%95%9C");
    assert!(!location.contains("reports"), "where they want to go is nobody else's business");
    let back = provider.authorize(&location);
    let response = browser.get(&back);
    assert_eq!((response.status, response.header("location")), (303, Some("/reports?a=%ED%95%9C")));
    assert_eq!(browser.cookies.len(), 1, "nothing of the login is left: {:?}", browser.cookies);
    let shown = browser.get("/reports?a=%ED%95%9C").text();
    for field in [
        "X-Auth-User: alice",
        "X-Auth-Email: alice@example.com",
        "X-Auth-Groups: staff",
        "X-Auth-Name: Alice",
    ] {
        assert!(shown.contains(field), "{field}: {shown}");
    }
    assert_eq!(upstream.requests().len(), 1, "nothing was fetched before");
    assert!(provider.asked("/userinfo").is_empty() || provider.asked("/userinfo").len() == 1);
    let lines = log::with("provider=\"whole\"");
    assert!(
        lines.iter().any(|line| line.contains("signed in") && line.contains("user=\"alice\"")),
        "{lines:?}"
    );
}

#[test]
fn every_lie_is_found_and_named_in_the_log() {
    let (provider, _upstream, gateway) = scene("lies", "");
    let issuer = provider.issuer();
    let truth: Change = |_| {};
    let mut lies: Vec<Lie> = vec![];
    let mut lie = |why, change: Change| {
        lies.push((why, 502, Box::new(move |manner| manner.lie = change)));
    };
    lie("it comes from another issuer", |claims| claims["iss"] = "https://evil.example".into());
    lie("it has no `iss`", |claims| claims["iss"] = serde_json::Value::Null);
    lie("it is meant for another audience", |claims| claims["aud"] = "somebody".into());
    lie("it is meant for another audience", |claims| claims["aud"] = serde_json::json!(["a", "b"]));
    lie("it has several audiences and no `azp`", |claims| {
        claims["aud"] = serde_json::json!(["cloakroom", "b"])
    });
    lie("its `azp` is another client", |claims| claims["azp"] = "b".into());
    lie("it has expired", |claims| claims["exp"] = (1_800_000_000 - 61).into());
    lie("it has no `exp`", |claims| claims["exp"] = serde_json::Value::Null);
    lie("it is not valid yet", |claims| claims["iat"] = (1_800_000_000 + 61).into());
    lie("it has no `iat`", |claims| claims["iat"] = serde_json::Value::Null);
    lie("its `nonce` is that of another login", |claims| claims["nonce"] = "x".into());
    lie("its `nonce` is that of another login", |claims| claims["nonce"] = serde_json::Value::Null);
    lie("it has no `sub`", |claims| claims["sub"] = "".into());
    for (signing, why) in [
        (Signing::Not, "its algorithm is not accepted"),
        (Signing::WithThePublicKey, "its algorithm is not accepted"),
        (Signing::ByAnotherKey, "its signature is wrong"),
        (Signing::UnderAnotherId, "it was signed with an unknown key"),
    ] {
        lies.push((why, 502, Box::new(move |manner| manner.signing = signing)));
    }
    let other = Some("https://evil.example".to_owned());
    lies.push(("`iss` of the answer is not the issuer", 403, Box::new(move |manner| manner.iss = other)));
    lies.push(("`iss` of the answer is not the issuer", 403, Box::new(|manner| manner.iss = None)));
    lies.push(("500 Internal Server Error", 503, Box::new(|manner| manner.token_status = 500)));
    lies.push(("not to be understood", 502, Box::new(|manner| manner.token_status = 200)));
    for (why, status, change) in lies {
        provider.change(change);
        let mut browser = Browser::of(&gateway);
        let response = sign_in(&mut browser, &provider);
        assert_turned_away(&response, &mut browser, status, "lies", why);
        let issuer = Some(issuer.clone());
        provider.change(|manner| {
            (manner.lie, manner.signing, manner.iss, manner.token_status) =
                (truth, Signing::Honest, issuer, 0);
        });
    }
    assert_eq!(sign_in(&mut Browser::of(&gateway), &provider).status, 303, "and the truth is believed");
    let secrets = ["eyJ", "code-", "access-0", "a secret"];
    let lines = log::with("provider=\"lies\"");
    assert!(lines.iter().all(|line| secrets.iter().all(|secret| !line.contains(secret))), "{lines:?}");
}

#[test]
fn ten_tabs_arrive_where_each_wanted_to_go() {
    let (provider, _upstream, gateway) = scene("tabs", "");
    // All of them ask before any cookie has come: none of their cookies may take another's away.
    let pages: Vec<_> = (0..10).map(|tab| format!("/page/{tab}?x={tab}")).collect();
    let mut all = Browser::of(&gateway);
    let tabs: Vec<_> = pages
        .iter()
        .map(|page| {
            let mut tab = Browser::of(&gateway);
            let location = sent(&mut tab, page);
            for (name, value) in &tab.cookies {
                all.set_cookie(name, value);
            }
            provider.authorize(&location)
        })
        .collect();
    let (length, longest) = (all.cookies.len(), all.cookie_header().len());
    assert!(length <= 10 && longest < 1024, "{length} cookies, {longest} bytes");
    for (back, page) in tabs.iter().zip(&pages).rev() {
        let response = all.get(back);
        assert_eq!((response.status, response.header("location")), (303, Some(page.as_str())));
    }
    assert_eq!(all.cookies.len(), 1, "only the ticket is left");
    for page in 0..40 {
        sent(&mut Browser::of(&gateway), &format!("/{page}"));
        all.get("/_cloakroom/login/tabs");
    }
    assert!(all.cookies.len() <= 17, "they do not pile up: {}", all.cookies.len());
}

#[test]
fn an_answer_counts_once_in_the_browser_that_asked_and_not_for_long() {
    let (provider, _upstream, gateway) = scene("once", "");
    let mut browser = Browser::of(&gateway);
    let location = sent(&mut browser, "/");
    let back = provider.authorize(&location);
    let cookies = browser.cookies.clone();

    let mut other = Browser::of(&gateway);
    let response = other.get(&back);
    assert_turned_away(&response, &mut other, 403, "once", "not begun in this browser");
    sent(&mut other, "/");
    let response = other.get(&back);
    assert_turned_away(&response, &mut other, 403, "once", "not begun in this browser");
    assert!(provider.asked("/token").is_empty(), "the code was not even shown");

    assert_eq!(browser.get(&back).status, 303);
    let response = browser.get(&back);
    assert_eq!(response.status, 403, "its cookie is gone");
    let mut thief = Browser::of(&gateway);
    thief.cookies = cookies;
    let response = thief.get(&back);
    assert_turned_away(&response, &mut thief, 403, "once", "the state was used already");
    assert_eq!(provider.asked("/token").len(), 1);

    let mut slow = Browser::of(&gateway);
    let back = provider.authorize(&sent(&mut slow, "/"));
    gateway.advance(Duration::from_secs(601));
    let response = slow.get(&back);
    assert_turned_away(&response, &mut slow, 400, "once", "longer than ten minutes");
}

#[test]
fn a_state_of_somebody_elses_making_is_refused() {
    let (provider, _upstream, gateway) = scene("forged", "");
    let mut browser = Browser::of(&gateway);
    let back = provider.authorize(&sent(&mut browser, "/"));
    let state = query(&back, "state").expect("a state");
    for forged in ["", "x", &state[1..], &format!("{state}AAAA")] {
        let response = browser.get(&format!("/_cloakroom/callback/forged?code=code-0&state={forged}"));
        assert_turned_away(&response, &mut browser, 400, "forged", "not one of ours");
    }
    let response = browser.get("/_cloakroom/callback/forged");
    assert_eq!(response.status, 400);
    assert_eq!(browser.get("/_cloakroom/callback/other?code=a&state=b").status, 404);
    assert_eq!(browser.post("/_cloakroom/callback/forged", &[]).status, 405);
    assert_eq!(browser.get(&back).status, 303, "the right one still counts");
}

#[test]
fn a_code_that_was_used_elsewhere_is_refused() {
    let (provider, _upstream, gateway) = scene("code", "");
    let (mut victim, mut attacker) = (Browser::of(&gateway), Browser::of(&gateway));
    let theirs = provider.authorize(&sent(&mut victim, "/"));
    let mine = provider.authorize(&sent(&mut attacker, "/mine"));
    let injected = mine.replace("code=code-1", "code=code-0");
    assert_ne!(mine, injected);
    let response = attacker.get(&injected);
    assert_turned_away(&response, &mut attacker, 502, "code", "invalid_grant");
    assert!(response.text().contains("login?return=%2Fmine"), "and leads to where they wanted to go");
    assert_eq!(victim.get(&theirs).status, 303, "nobody has taken it away from them");
}

#[test]
fn a_refusal_there_is_a_page_here_in_both_languages() {
    let (provider, _upstream, gateway) = scene("refusal", "");
    for (language, error, status, sentence) in [
        ("en", "access_denied", 403, "it was cancelled or refused there"),
        ("ko", "access_denied", 403, "취소되었거나 거부되었습니다"),
        ("en", "temporarily_unavailable", 503, "does not answer at the moment"),
        ("ko", "invalid_scope", 502, "받아들여지지 않았습니다"),
    ] {
        let mut browser = Browser::of(&gateway);
        browser.set_field("Accept-Language", language);
        let back = provider.refuse(&sent(&mut browser, "/"), error);
        let response = browser.get(&back);
        assert!(response.text().contains(sentence), "{}", response.text());
        assert!(!response.text().contains("because"), "what others write is not shown");
        assert_turned_away(&response, &mut browser, status, "refusal", error);
        assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    }
}

#[test]
fn a_provider_that_is_away_holds_up_nobody_who_is_signed_in() {
    let (provider, _upstream, gateway) = scene("away", "");
    let mut alice = Browser::of(&gateway);
    assert_eq!(sign_in(&mut alice, &provider).status, 303);
    let mut late = Browser::of(&gateway);
    let back = provider.authorize(&sent(&mut late, "/"));
    provider.change(|manner| manner.status = 503);
    assert_eq!(alice.get("/").status, 200);
    let response = late.get(&back);
    assert_turned_away(&response, &mut late, 503, "away", "503 Service Unavailable");
    assert_eq!(response.header("retry-after"), Some("10"));

    // One that has never answered: the gateway starts all the same.
    let upstream = EchoUpstream::start();
    let gone = TestGateway::before(
        &upstream,
        "login: { oidc: [{ name: gone, issuer: 'http://127.0.0.1:1', client_id: c }] }",
    );
    let mut browser = Browser::of(&gone);
    let response = browser.get("/_cloakroom/login");
    assert_turned_away(&response, &mut browser, 503, "gone", "cannot be asked for its metadata");
    assert!(browser.cookies.is_empty());
}

#[test]
fn keys_that_were_changed_are_asked_for() {
    let (provider, _upstream, gateway) = scene("rotation", "");
    assert_eq!(sign_in(&mut Browser::of(&gateway), &provider).status, 303);
    provider.rotate("k2");
    assert_eq!(sign_in(&mut Browser::of(&gateway), &provider).status, 303);
    let asked = provider.asked("/keys").len();
    assert_eq!(asked, 2);
    provider.change(|manner| manner.signing = Signing::UnderAnotherId);
    for _ in 0..5 {
        assert_eq!(sign_in(&mut Browser::of(&gateway), &provider).status, 502);
    }
    assert_eq!(provider.asked("/keys").len(), asked, "not for every key that somebody makes up");
}

#[test]
fn one_name_at_two_providers_is_two_users() {
    log::keep();
    let (one, two, upstream) = (Provider::start(), Provider::start(), EchoUpstream::start());
    let (first, second) = (one.entry("one", "title: First & only"), two.entry("two", ""));
    let users = "local: { users: { alice: { password: '$HASH' } } }";
    let gateway = TestGateway::before(&upstream, &format!("login: {{ oidc: [{first}, {second}], {users} }}"));
    let mut browser = Browser::of(&gateway);
    let page = browser.get("/_cloakroom/login?return=%2Freports");
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("type=\"password\"") && text.contains("Sign in with First &amp; only"), "{text}");
    let mut names = vec![];
    for (name, provider) in [("one", &one), ("two", &two)] {
        let mut browser = Browser::of(&gateway);
        let link = format!("/_cloakroom/login/{name}?return=%2Freports");
        assert!(text.replace("&#x2f;", "/").contains(&link), "{text}");
        let location = browser.get(&link).header("location").expect("there").to_owned();
        assert_eq!(browser.get(&provider.authorize(&location)).header("location"), Some("/reports"));
        names.push(browser.get("/_cloakroom/session").json()["user"].as_str().expect("a user").to_owned());
    }
    assert_eq!(names, ["one:alice", "two:alice"]);

    // What one provider says does not count for a login at the other.
    let mut mixed = Browser::of(&gateway);
    let location = mixed.get("/_cloakroom/login/one").header("location").expect("there").to_owned();
    let back = one.authorize(&location).replace("/callback/one?", "/callback/two?");
    let response = mixed.get(&back);
    assert_turned_away(&response, &mut mixed, 400, "two", "a login at another provider");
    let mut local = Browser::of(&gateway);
    local.sign_in("alice");
    assert_eq!(local.get("/_cloakroom/session").json()["user"], "alice");
}

#[test]
fn only_those_who_are_allowed_get_in() {
    let (provider, _upstream, gateway) =
        scene("allow", "allow: { email_domains: [Example.com], groups: [staff], users: [bob] }");
    for (change, admitted) in [
        ((|person| person["email"] = "a@EXAMPLE.com".into()) as Change, true),
        (|person| person["groups"] = "staff".into(), true),
        (|person| (person["groups"], person["sub"]) = (serde_json::Value::Null, "bob".into()), true),
        (|person| person["email"] = "a@evil.com@example.com".into(), false),
        (|person| person["email"] = "a@sub.example.com".into(), false),
        (|person| person["email_verified"] = false.into(), false),
        (|person| person["groups"] = serde_json::json!(["staff2"]), false),
    ] {
        let before = serde_json::json!({ "sub": "alice", "email": "alice@example.com", "groups": ["staff"], "name": "A" });
        provider.change(|manner| {
            manner.person = before;
            change(&mut manner.person);
            manner.userinfo = serde_json::json!({ "sub": manner.person["sub"] });
        });
        let mut browser = Browser::of(&gateway);
        let response = sign_in(&mut browser, &provider);
        match admitted {
            true => assert_eq!(response.status, 303),
            false => {
                assert!(response.text().contains("not admitted"), "{}", response.text());
                assert_turned_away(&response, &mut browser, 403, "allow", "`allow` does not admit");
            }
        }
    }
}

#[test]
fn what_the_token_leaves_out_is_asked_for_and_only_of_the_same_person() {
    let (provider, _upstream, gateway) = scene("userinfo", "claims: { groups: realm_access.roles }");
    provider.change(|manner| {
        manner.person = serde_json::json!({ "sub": "alice" });
        manner.userinfo = serde_json::json!({
            "sub": "alice", "name": "Alice", "email": "alice@example.com", "realm_access": { "roles": ["finance"] },
        });
    });
    let mut browser = Browser::of(&gateway);
    assert_eq!(sign_in(&mut browser, &provider).status, 303);
    let session = browser.get("/_cloakroom/session").json();
    assert_eq!((&session["email"], &session["groups"][0]), (&"alice@example.com".into(), &"finance".into()));
    provider.change(|manner| manner.userinfo["sub"] = "mallory".into());
    let mut browser = Browser::of(&gateway);
    let response = sign_in(&mut browser, &provider);
    assert_turned_away(&response, &mut browser, 502, "userinfo", "about somebody else");
}

#[test]
fn addresses_of_ours_come_from_the_configuration_and_never_from_a_host() {
    let (provider, upstream) = (Provider::start(), EchoUpstream::start());
    log::keep();
    let public = format!("public_url: https://app.example.com\n{}", yaml("public", &provider, ""));
    let gateway = TestGateway::before(&upstream, &public);
    let mut browser = Browser::of(&gateway);
    browser.set_field("Host", "evil.example");
    let location = sent(&mut browser, "/");
    let expected = "https://app.example.com/_cloakroom/callback/public";
    assert_eq!(query(&location, "redirect_uri").as_deref(), Some(expected));
    assert!(
        browser.cookies.iter().all(|(name, _)| name.starts_with("__Host-cloakroom-oidc.")),
        "{:?}",
        browser.cookies
    );

    let here = TestGateway::before(&upstream, &yaml("here", &provider, ""));
    let mut browser = Browser::of(&here);
    browser.set_field("Host", "evil.example");
    let response = browser.get("/_cloakroom/login");
    assert_turned_away(&response, &mut browser, 400, "here", "without `public_url`");
    browser.set_field("Host", "localhost:1234");
    let location = sent(&mut browser, "/");
    let expected = "http://localhost:1234/_cloakroom/callback/here";
    assert_eq!(query(&location, "redirect_uri").as_deref(), Some(expected));
}

#[test]
fn nobody_is_sent_to_another_site_after_a_login() {
    let (provider, _upstream, gateway) = scene("target", "");
    for target in ["//evil.example", "https:evil.example", "/%5Cevil.example", "/_cloakroom/logout"] {
        let mut browser = Browser::of(&gateway);
        let location = browser.get(&format!("/_cloakroom/login/target?return={target}"));
        let back = provider.authorize(location.header("location").expect("there"));
        assert_eq!(browser.get(&back).header("location"), Some("/"), "{target}");
    }
}

#[test]
fn whoever_must_prove_it_anew_does_so_there() {
    let upstream = EchoUpstream::start();
    let provider = Provider::start();
    log::keep();
    let routes = "routes: [{ path: /admin/, access: { within: 15m } }, { path: / }]";
    let gateway = TestGateway::before(&upstream, &format!("{routes}\n{}", yaml("anew", &provider, "")));
    let mut browser = Browser::of(&gateway);
    let location = sent(&mut browser, "/");
    assert_eq!(query(&location, "prompt"), None);
    assert_eq!(browser.get(&provider.authorize(&location)).status, 303);
    gateway.advance(Duration::from_secs(16 * 60));
    provider.change(|manner| manner.now += 16 * 60);
    let location = sent(&mut browser, "/admin/");
    assert_eq!(query(&location, "prompt").as_deref(), Some("login"));
    provider.change(|manner| manner.person["auth_time"] = 1_800_000_000.into());
    let response = browser.get(&provider.authorize(&location));
    assert_eq!(response.status, 502, "{}", response.text());
    let location = sent(&mut browser, "/admin/");
    provider.change(|manner| manner.person["auth_time"] = (manner.now).into());
    assert_eq!(browser.get(&provider.authorize(&location)).header("location"), Some("/admin/"));
    assert_eq!(browser.get("/admin/").status, 200);
}

#[test]
fn a_strict_cookie_is_handed_out_on_a_page_that_leads_on() {
    let (provider, upstream) = (Provider::start(), EchoUpstream::start());
    log::keep();
    let strict = format!("session: {{ cookie: {{ same_site: strict }} }}\n{}", yaml("strict", &provider, ""));
    let gateway = TestGateway::before(&upstream, &strict);
    let mut browser = Browser::of(&gateway);
    let back = provider.authorize(&sent(&mut browser, "/reports?a=1"));
    let response = browser.get(&back);
    assert_eq!((response.status, response.header("refresh")), (200, Some("0; url=/reports?a=1")));
    assert!(browser.ticket().is_some() && response.text().contains("Continue to the application"));
}

#[test]
fn cookies_of_logins_under_way_reach_no_application_and_none_sets_them() {
    let (provider, upstream) = (
        Provider::start(),
        EchoUpstream::answering(
            "HTTP/1.1 200 OK\r\nSet-Cookie: cloakroom-oidc.AAAAAAAA=planted\r\nSet-Cookie: cloakroom-oidcs=theirs\r\nContent-Length: 0\r\n\r\n",
        ),
    );
    let public = format!("routes: [{{ path: /, access: public }}]\n{}", yaml("private", &provider, ""));
    let gateway = TestGateway::before(&upstream, &public);
    let mut browser = Browser::of(&gateway);
    browser.get("/_cloakroom/login/private");
    assert_eq!(browser.cookies.len(), 1);
    browser.set_cookie("mine", "1");
    let response = browser.get("/");
    assert_eq!(response.headers("set-cookie"), ["cloakroom-oidcs=theirs"]);
    assert_eq!(upstream.only_request().header("cookie"), Some("mine=1"));
}
