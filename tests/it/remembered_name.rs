//! Remembered name: a browser that fills in the user name, and nothing more.

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway};

const LOGIN: &str = "/_cloakroom/login";

fn gateway(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    (upstream, gateway)
}

fn sign_in(browser: &mut Browser, user: &str, ticked: bool) -> Message {
    let mut form = vec![("username", user), ("password", PASSWORD)];
    if ticked {
        form.push(("remember_name", "yes"));
    }
    browser.submit(LOGIN, &form)
}

#[test]
fn the_name_is_filled_in_for_those_who_wanted_that_until_they_no_longer_do() {
    let (upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    let first = browser.get(LOGIN).text();
    assert!(
        first.contains("name=\"remember_name\" value=\"yes\">")
            && first.contains("value=\"\" autocomplete=\"username\"")
    );
    let answer = sign_in(&mut browser, "alice", true);
    let cookies = answer.headers("set-cookie");
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("cloakroom-user=")).expect("the cookie");
    assert_eq!(
        **cookie,
        *"cloakroom-user=alice; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000; Expires=Sat, 15 Jan 2028 08:00:00 GMT"
    );
    browser.get("/");
    assert!(!upstream.only_request().headers("cookie").join("").contains("cloakroom-user"));
    browser.sign_out();
    let page = browser.get(LOGIN).text();
    assert!(page.contains("name=\"username\" value=\"alice\""), "{page}");
    assert!(page.contains("name=\"remember_name\" value=\"yes\" checked"));
    let password =
        page.split("id=\"password\"").nth(1).and_then(|rest| rest.split('>').next()).expect("a field");
    assert!(password.contains("autofocus"), "what is left to type");

    let wrong =
        browser.submit(LOGIN, &[("username", "bob"), ("password", "wrong"), ("remember_name", "yes")]);
    assert!(wrong.status == 401 && wrong.text().contains("value=\"yes\" checked"));
    assert_eq!(browser.cookie("cloakroom-user"), Some("alice"), "a failed login changes nothing");
    sign_in(&mut browser, "bob", false);
    assert_eq!(browser.cookie("cloakroom-user"), None);
}

#[test]
fn it_proves_nothing_and_becomes_no_markup() {
    let (_upstream, gateway) = gateway("");
    let mut browser = Browser::of(&gateway);
    browser.set_cookie("cloakroom-user", "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    let page = browser.get(LOGIN).text();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    browser.set_cookie("cloakroom-user", "alice");
    assert_eq!(browser.get("/").status, 302);
    for odd in ["%00", "%ff", &"a".repeat(3000)] {
        browser.set_cookie("cloakroom-user", odd);
        assert!(browser.get(LOGIN).text().contains("name=\"username\" value=\"\""));
    }
}

#[test]
fn an_operator_who_does_not_want_it_has_it_taken_back() {
    let (_upstream, gateway) =
        gateway("login: { remember_name_for: 0s, local: { users: { alice: '$HASH' } } }");
    let mut browser = Browser::of(&gateway);
    browser.set_cookie("cloakroom-user", "alice");
    let page = browser.get(LOGIN).text();
    assert!(!page.contains("remember_name") && page.contains("name=\"username\" value=\"\""));
    assert_eq!(browser.cookie("cloakroom-user"), None);
    sign_in(&mut browser, "alice", true);
    assert_eq!(browser.cookie("cloakroom-user"), None);
}

#[test]
fn an_application_can_neither_set_it_nor_see_it() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: cloakroom-user=mallory\r\n\
         Set-Cookie: __Host-cloakroom-user=mallory\r\nSet-Cookie: a=1\r\n\r\n",
    );
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: optional }]");
    let cookies = "a=1; cloakroom-user=alice; __Host-cloakroom-user=alice";
    let answer = Raw::ask(
        gateway.address(),
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: {cookies}\r\n\r\n"),
    );
    assert_eq!(answer.headers("set-cookie"), ["a=1"]);
    assert_eq!(upstream.requests()[0].headers("cookie"), ["a=1"]);
}
