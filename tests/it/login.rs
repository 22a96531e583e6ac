//! Login: who gets in, who is sent away, and where they end up.

use std::time::Duration;

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway, wait_until};

const MINUTE: Duration = Duration::from_secs(60);

/// Everything a return target must not be, as a browser might read it.
const ELSEWHERE: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "////evil.example/..",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    " //evil.example",
    "/ /evil.example",
    "/%09/evil.example",
    "/%0a/evil.example",
    "/%0d%0aSet-Cookie:a=b",
    "/%2fevil.example",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%5c%5cevil.example",
    "%2f%2fevil.example",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example",
    "http://127.0.0.1:1/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1@evil.example/",
    "@evil.example",
    ".evil.example",
    "evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/./evil",
    "/.//evil.example",
    "/..//evil.example",
    "/%2e%2e//evil.example",
    "/a/../..//evil.example",
    "/a//evil.example",
    "/〱evil",
    "/\u{2028}",
    "?//evil.example",
    "#//evil.example",
    "/_cloakroom/logout",
    "/%5fcloakroom/logout",
];

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

#[track_caller]
fn attempt(browser: &mut Browser, user: &str, password: &str) -> Message {
    browser.submit("/_cloakroom/login", &[("username", user), ("password", password)])
}

/// The token of a form.
fn token(page: &Message) -> String {
    let text = page.text();
    let rest = text.split("name=\"token\" value=\"").nth(1).expect("a token");
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn people_are_sent_to_the_login_and_back_to_the_page_they_asked_for() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    for page in ["/reports/2026?month=7&x=%26#", "/%ED%95%9C%EA%B8%80/?q=%ED%95%9C", "/a;b=c/d,e/", "/"] {
        let page = page.trim_end_matches('#');
        let response = browser.get(page);
        assert_eq!(response.status, 302);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let login = response.header("location").expect("a place to go").to_owned();
        assert!(login.starts_with("/_cloakroom/login"), "{login}");
        let back = browser.submit(&login, &[("username", "alice"), ("password", PASSWORD)]);
        assert_eq!((back.status, back.header("location")), (303, Some(page)));
        assert_eq!(back.header("cache-control"), Some("no-store"));
        assert_eq!(browser.get(page).status, 200);
        browser.sign_out();
    }
    assert!(upstream.requests().iter().all(|request| request.header("x-auth-user") == Some("alice")));
}

#[test]
fn pages_redirect_and_programs_get_401_with_the_reason() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    assert_eq!(browser.request("HEAD", "/x", &[], b"").status, 302);
    let posted = browser.post("/x?a=1", &[("a", "b")]);
    assert_eq!(posted.status, 303);
    assert!(posted.header("location").is_some_and(|login| login.starts_with("/_cloakroom/login?return=")));

    for mode in ["cors", "no-cors", "same-origin", "websocket"] {
        browser.set_field("Sec-Fetch-Mode", mode);
        assert_eq!(browser.get("/x").status, 401, "{mode}");
    }
    browser.set_field("Sec-Fetch-Mode", "");
    assert_eq!(browser.get("/x").status, 302, "an old browser says what it accepts");
    assert_eq!(browser.request("GET", "/x", &[("X-Requested-With", "XMLHttpRequest")], b"").status, 401);
    let refused = browser.request("GET", "/x?a=b", &[("Accept", "*/*")], b"");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").is_some(), "RFC 9110, section 11.6.1");
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.json()["error"], "login_needed");
    assert_eq!(refused.json()["login"], "/_cloakroom/login?return=%2Fx%3Fa%3Db");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn nothing_reaches_the_application_before_access_is_granted() {
    let (upstream, gateway) = gateway("routes: [{ path: /, access: { groups: [staff] } }]");
    let body = vec![b'x'; 10_000];
    for user in [None, Some("bob")] {
        let mut browser = Browser::of(&gateway);
        if let Some(user) = user {
            browser.sign_in(user);
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let body = if matches!(method, "GET" | "HEAD" | "OPTIONS") { &[][..] } else { &body };
            let response = browser.request(method, "/secret", &[("Sec-Fetch-Mode", "cors")], body);
            assert_eq!(response.status, if user.is_some() { 403 } else { 401 }, "{method}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let (_upstream, gateway) = gateway("");
    let mut answers = Vec::new();
    for (user, password) in [("alice", "wrong"), ("mallo", "wrong"), ("mallo", PASSWORD)] {
        let mut browser = Browser::of(&gateway);
        let answer = attempt(&mut browser, user, password);
        assert_eq!(browser.ticket(), None);
        assert!(!answer.text().contains(password), "the password is not shown again");
        let text = answer.text().replace(user, "USER").replace(&token(&answer), "TOKEN");
        answers.push((answer.status, text));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn a_login_form_counts_only_when_it_was_filled_in_on_our_page_in_this_browser() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let good = token(&browser.get("/_cloakroom/login"));
    let mut stranger = Browser::of(&gateway);
    let foreign = token(&stranger.get("/_cloakroom/login"));
    let post = |browser: &mut Browser, token: &str, fields: &[(&str, &str)]| {
        let form = format!("username=alice&password=correct+horse&token={token}");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        browser.request("POST", "/_cloakroom/login", &[&kind[..], fields].concat(), form.as_bytes())
    };
    assert_eq!(post(&mut browser, "", &[]).status, 403);
    assert_eq!(post(&mut browser, &foreign, &[]).status, 403, "another browser's token");
    for fields in [
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")],
        [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site"), ("X-A", "")],
        [("Sec-Fetch-Site", "cross-site"), ("X-A", "")],
    ] {
        assert_eq!(post(&mut browser, &good, &fields).status, 403, "{fields:?}");
    }
    let json = br#"{"username":"alice","password":"correct horse"}"#;
    let kind = [("Content-Type", "application/json")];
    assert_eq!(browser.request("POST", "/_cloakroom/login", &kind, json).status, 415);
    assert_eq!(gateway.sessions(), (0, 0));
    let query = format!("/_cloakroom/login?username=alice&password=correct+horse&token={good}");
    assert_eq!((browser.get(&query).status, gateway.sessions()), (200, (0, 0)), "nor by a link");
    assert_eq!(post(&mut browser, &good, &[]).status, 303, "and this is how it is done");
}

#[test]
fn only_our_own_form_signs_out() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut other = Browser::of(&gateway);
    other.sign_in("alice");
    let foreign = token(&other.get("/_cloakroom/logout"));
    let page = browser.get("/_cloakroom/logout");
    let good = token(&page);
    assert_eq!(page.status, 200);
    assert_eq!(browser.request("HEAD", "/_cloakroom/logout", &[], b"").status, 200);
    assert_eq!(browser.get(&format!("/_cloakroom/logout?token={good}")).status, 200);
    assert_eq!(browser.post("/_cloakroom/logout", &[]).status, 403);
    assert_eq!(browser.post("/_cloakroom/logout", &[("token", &foreign)]).status, 403);
    browser.set_field("Origin", "https://evil.example");
    browser.set_field("Sec-Fetch-Site", "cross-site");
    assert_eq!(browser.post("/_cloakroom/logout", &[("token", &good)]).status, 403);
    browser.set_field("Origin", &format!("http://{}", gateway.address()));
    browser.set_field("Sec-Fetch-Site", "same-origin");
    assert_eq!((browser.get("/").status, gateway.sessions().0), (200, 2), "still signed in after all that");
    assert_eq!(browser.request("DELETE", "/_cloakroom/logout", &[], b"").status, 405);
    assert_eq!(browser.post("/_cloakroom/logout", &[("token", &good)]).status, 303);
    assert_eq!((browser.get("/").status, gateway.sessions().0), (302, 1));
    assert!(browser.get("/_cloakroom/logout").text().contains("You are signed out."), "visibly");
}

#[test]
fn nobody_is_sent_to_another_site_after_login() {
    let (_upstream, gateway) = gateway("");
    for bad in ELSEWHERE {
        let mut browser = Browser::of(&gateway);
        let good = token(&browser.get("/_cloakroom/login"));
        let form = [("username", "alice"), ("password", PASSWORD), ("token", &good), ("return", bad)];
        let response = browser.post("/_cloakroom/login", &form);
        assert_eq!((response.status, response.header("location")), (303, Some("/")), "{bad:?}");
    }
}

#[test]
fn nobody_is_sent_to_another_site_by_a_link_to_our_pages() {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    for bad in ELSEWHERE {
        let bad = utf8_percent_encode(bad, NON_ALPHANUMERIC);
        let page = browser.get(&format!("/_cloakroom/login?return={bad}")).text();
        assert!(page.contains("name=\"return\" value=\"&#x2f;\""), "{bad}: {page}");
        assert!(!page.contains("evil"), "{bad}");
        let page = browser.get(&format!("/_cloakroom/logout?return={bad}")).text();
        assert!(!page.contains("evil"), "{bad}");
    }
}

#[test]
fn nobody_is_sent_to_another_site_after_logout() {
    let (_upstream, gateway) = gateway("");
    for bad in ELSEWHERE.iter().copied().chain(["/goodbye?a=b"]) {
        let mut browser = Browser::of(&gateway);
        browser.sign_in("alice");
        let good = token(&browser.get("/_cloakroom/logout"));
        let response = browser.post("/_cloakroom/logout", &[("token", &good), ("return", bad)]);
        let expected = if bad.starts_with("/goodbye") { bad } else { "/" };
        assert_eq!((response.status, response.header("location")), (303, Some(expected)), "{bad:?}");
    }
}

#[test]
fn a_poisoned_host_does_not_show_in_where_people_are_sent() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.set_field("Host", "evil.example");
    browser.set_field("X-Forwarded-Host", "evil.example");
    let response = browser.get("/page");
    assert_eq!(response.header("location"), Some("/_cloakroom/login?return=%2Fpage"));
    assert!(!browser.get("/_cloakroom/login").text().contains("evil"));

    let upstream = EchoUpstream::start();
    let public =
        "public_url: https://app.example.com\nlisten: { address: 127.0.0.1:0, redirect_to_https: true }";
    let gateway = TestGateway::before(&upstream, public);
    let mut browser = Browser::of(&gateway);
    browser.set_field("Host", "evil.example");
    let response = browser.get("/page?a=b");
    let location = response.header("location");
    assert_eq!((response.status, location), (308, Some("https://app.example.com/page?a=b")));
}

#[test]
fn five_wrong_passwords_make_an_address_wait_and_lock_out_nobody_else() {
    let (_upstream, gateway) = gateway("trusted_proxies: [127.0.0.0/8]");
    let mut attacker = Browser::of(&gateway);
    attacker.set_field("X-Forwarded-For", "192.0.2.1");
    for spelling in ["alice", " alice", "ALICE", "Alice ", "alice"] {
        assert_eq!(attempt(&mut attacker, spelling, "wrong").status, 401, "{spelling}");
    }
    let refused = attempt(&mut attacker, "alice", PASSWORD);
    assert_eq!(refused.status, 429, "not even the right one is tried");
    let wait: u64 = refused.header("retry-after").expect("how long").parse().expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
    Browser::of(&gateway).get("/");
    attacker = Browser::of(&gateway);
    attacker.set_field("X-Forwarded-For", "192.0.2.1");
    assert_eq!(attempt(&mut attacker, "alice", PASSWORD).status, 429, "nor in a fresh browser");

    let mut victim = Browser::of(&gateway);
    victim.set_field("X-Forwarded-For", "198.51.100.7");
    assert_eq!(attempt(&mut victim, "alice", PASSWORD).status, 303);
    gateway.advance(15 * MINUTE + MINUTE);
    assert_eq!(attempt(&mut attacker, "alice", PASSWORD).status, 303, "it passes");
}

#[test]
fn claiming_other_addresses_gains_nothing() {
    let (_upstream, mut gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    for n in 0..50 {
        browser.set_field("X-Forwarded-For", &format!("192.0.2.{n}"));
        browser.set_field("Forwarded", &format!("for=192.0.2.{n}"));
        browser.set_field("X-Real-IP", &format!("192.0.2.{n}"));
        assert_eq!(attempt(&mut browser, &format!("user{n}"), "wrong").status, 401);
    }
    browser.set_field("X-Forwarded-For", "192.0.2.99");
    assert_eq!(attempt(&mut browser, "somebody", "wrong").status, 429);
    gateway.reload("");
    for _ in 0..5 {
        assert_eq!(attempt(&mut browser, "somebody", "wrong").status, 429, "a reload forgets nothing");
    }
}

#[test]
fn every_page_of_ours_is_framed_by_nobody_and_runs_nothing() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = dead.local_addr().expect("bound");
    drop(dead);
    let gateway = TestGateway::with(
        Some(address),
        "
        upstream: http://$UPSTREAM
        routes:
          - { path: /finance, access: { users: [nobody] } }
          - { host: app.example, path: / }
          - { path: /open, access: public }
        ",
    );
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    for (page, status) in [
        ("/_cloakroom/login", 200),
        ("/_cloakroom/logout", 200),
        ("/_cloakroom/nothing", 404),
        ("/_cloakroom", 404),
        ("/finance", 403),
        ("/open", 502),
        ("/unrouted", 404),
        ("/%zz", 400),
    ] {
        let response = browser.get(page);
        assert_eq!(response.status, status, "{page}");
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{page}");
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{page}: {policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{page}");
        assert!(response.header("referrer-policy").is_some(), "{page}");
        assert_eq!(response.header("cross-origin-opener-policy"), Some("same-origin"), "{page}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{page}");
        assert!(!response.text().contains("<script"), "{page}");
    }
}

#[test]
fn what_is_typed_never_becomes_markup() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let hostile = "\"><script>alert(1)</script>";
    let response = attempt(&mut browser, hostile, "wrong");
    assert_eq!(response.status, 401);
    assert!(!response.text().contains("<script"), "{}", response.text());
    let page = browser.get("/_cloakroom/login?return=/%22%3E%3Cscript%3E").text();
    assert!(!page.contains("<script"));
}

#[test]
fn names_in_any_script_travel_whole() {
    let (upstream, gateway) =
        gateway("login: { local: { users: { 김철수: { password: '$HASH', groups: [인사, 'a,b'] } } } }");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("김철수");
    assert_eq!(browser.get("/").status, 200);
    let seen = upstream.only_request();
    assert_eq!(seen.header("x-auth-user"), Some("%EA%B9%80%EC%B2%A0%EC%88%98"));
    assert_eq!(seen.header("x-auth-groups"), Some("%EC%9D%B8%EC%82%AC,a%2Cb"));
    assert_eq!(browser.get("/_cloakroom/session").json()["user"], "김철수");
}

#[test]
fn the_page_speaks_the_languages_of_its_readers() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    for (wanted, expected) in [("ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("en", "en"), ("fr", "en"), ("", "en")] {
        browser.set_field("Accept-Language", wanted);
        let page = browser.get("/_cloakroom/login");
        assert_eq!(page.header("content-language"), Some(expected), "{wanted}");
        assert!(page.text().contains(&format!("<html lang=\"{expected}\"")));
    }
}

#[test]
fn a_changed_file_of_users_is_taken_without_a_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.yaml");
    let write = |text: &str| std::fs::write(&path, text.replace("$HASH", hash())).expect("written");
    write("carol: { password: '$HASH', groups: [staff] }\n");
    let yaml = format!(
        "login: {{ throttle: {{ per_user: 100000/15m, per_ip: 100000/15m }}, local: {{ users_file: {} }} }}",
        path.display()
    );
    let (_upstream, gateway) = gateway(&yaml);
    let comes_in = |user| attempt(&mut Browser::of(&gateway), user, PASSWORD).status == 303;
    assert!(comes_in("carol") && !comes_in("dave"));
    write("dave: '$HASH'\n");
    wait_until("the new file is taken", || comes_in("dave"));
    assert!(!comes_in("carol"), "who is gone from it cannot sign in");
    write("dave: [this is, no: user\n");
    write("dave: '$HASH'\nerin: '$HASH'\n");
    wait_until("a file that is right again is taken", || comes_in("erin"));
    assert!(comes_in("dave"));
}

/// A hash of [`PASSWORD`] that costs next to nothing to check.
fn hash() -> &'static str {
    use argon2::password_hash::PasswordHasher as _;
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HASH.get_or_init(|| {
        let weak = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("these are allowed"));
        weak.hash_password_with_salt(PASSWORD.as_bytes(), b"saltsaltsalt").expect("hashed").to_string()
    })
}

#[test]
fn the_operators_headers_never_make_the_login_page_public() {
    let upstream = EchoUpstream::start();
    let changes =
        "headers: { response: { set: { Cache-Control: public, Content-Security-Policy: x, X-Mine: y } } }";
    let gateway = TestGateway::before(&upstream, changes);
    for path in ["/_cloakroom/login", "/nobody-is-signed-in"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\n\r\n");
        let answer = Raw::ask(gateway.address(), request);
        assert_eq!(answer.headers("cache-control"), ["no-store"], "{path}");
        assert_ne!(answer.header("content-security-policy"), Some("x"), "{path}");
        assert_eq!(answer.header("x-mine"), Some("y"), "{path}");
    }
}
