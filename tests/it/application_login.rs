//! Application login: the application's own login page lets people in, everywhere behind the gateway.

use crate::support::{Browser, Conversation, EchoUpstream, Message, TestGateway};

const KEYS: &str = "
    routes: [{ path: /open/, access: optional }, { path: /, access: login }]
    login:
      throttle: { per_user: 2/15m }
      upstream:
        - path: /open/login
          success: { status: 302, cookie: sessionid }
          user_from: { field: username }
          login_page: /open/login
          logout: { path: /open/logout, method: POST }
";

/// An application with a login page: `right` is the password of everybody. What it answers elsewhere, it echoes.
fn application() -> EchoUpstream {
    EchoUpstream::speaking(|mut conversation: Conversation| {
        while let Some(request) = conversation.request() {
            let (path, _) = request.target().split_once('?').unwrap_or((request.target(), ""));
            let form = request.text();
            let answer = match (request.method(), path) {
                ("POST", "/open/login") if form.contains("right") => {
                    "HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: sessionid=theirs; Path=/\r\n\
                     X-Who: carol\r\nX-Teams: staff,finance\r\nContent-Length: 0\r\n\r\n"
                        .to_owned()
                }
                ("POST", "/open/login") => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong".to_owned(),
                ("POST", "/open/logout") => {
                    "HTTP/1.1 302 Found\r\nLocation: /open/login\r\nContent-Length: 0\r\n\r\n".to_owned()
                }
                _ => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                    request.head.len(),
                    request.head
                ),
            };
            if conversation.try_send(answer).is_err() {
                return;
            }
        }
    })
}

#[track_caller]
fn sign_in(browser: &mut Browser, user: &str, password: &str) -> Message {
    browser.post("/open/login?next=%2F", &[("csrf", "x"), ("username", user), ("password", password)])
}

#[test]
fn people_are_sent_to_the_applications_page_and_known_after_it() {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, KEYS);
    let mut browser = Browser::of(&gateway);
    let sent = browser.get("/reports?a=%31");
    assert_eq!(
        (sent.status, sent.header("location")),
        (302, Some("/open/login?next=%2Freports%3Fa%3D%2531"))
    );
    assert_eq!(browser.get("/open/login").status, 200, "it is open to everybody");
    assert_eq!(browser.get("/_cloakroom/login").header("location"), Some("/open/login?next=%2F"));

    let answer = sign_in(&mut browser, "alice", "right");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/")));
    assert_eq!(browser.cookie("sessionid"), Some("theirs"), "the application's cookie is passed on");
    let first = browser.ticket().expect("a session").to_owned();
    assert!(browser.get("/reports").text().contains("X-Auth-User: alice"));

    assert_eq!(sign_in(&mut browser, "bob", "right").status, 302);
    assert_ne!(browser.ticket(), Some(first.as_str()), "a new id");
    let mut thief = Browser::of(&gateway);
    thief.set_cookie("cloakroom", &first);
    assert_eq!(thief.get("/reports").status, 302, "and the old one is dead");
    assert!(browser.get("/reports").text().contains("X-Auth-User: bob"));

    assert_eq!(browser.post("/open/logout", &[]).status, 302);
    assert_eq!(browser.get("/reports").status, 302);
    assert_eq!(gateway.sessions().0, 0);
}

#[test]
fn a_multipart_form_and_one_in_pieces_count_too() {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, KEYS);
    let mut browser = Browser::of(&gateway);
    let file = "x".repeat(100_000);
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n{file}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n김철수\r\n\
         --b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nright\r\n--b--\r\n"
    );
    let kind = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(browser.request("POST", "/open/login", &kind, body.as_bytes()).status, 302);
    assert!(browser.get("/x").text().contains("X-Auth-User: %EA%B9%80%EC%B2%A0%EC%88%98"));
    assert_eq!(upstream.requests()[0].body, body.as_bytes(), "byte for byte");
}

#[test]
fn nobody_is_logged_in_whose_name_could_be_another_ones() {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, KEYS);
    let mut browser = Browser::of(&gateway);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let long = format!("a={}&username=alice&password=right", "x".repeat(300_000));
    for (target, body) in [
        ("/open/login", "username=alice&username=mallory&password=right"),
        ("/open/login", "username=alice&user%6eame[]=mallory&password=right"),
        ("/open/login?username=mallory", "username=alice&password=right"),
        ("/open/login", "password=right"),
        ("/open/login", "username=&password=right"),
        ("/open/login", "username=%00&password=right"),
        ("/open/login", long.as_str()),
    ] {
        let answer = browser.request("POST", target, &form, body.as_bytes());
        assert_eq!(answer.status, 302, "the application's answer is passed on");
        assert_eq!(browser.ticket(), None, "{target} {}", &body[..body.len().min(60)]);
    }
    let json = [("Content-Type", "application/json")];
    browser.request("POST", "/open/login", &json, br#"{"username":"alice","password":"right"}"#);
    assert_eq!((browser.ticket(), gateway.sessions()), (None, (0, 0)));
    assert_eq!(browser.post("/elsewhere", &[("username", "alice"), ("password", "right")]).status, 303);
}

#[test]
fn a_header_of_the_answer_can_say_who_it_is() {
    let upstream = application();
    let keys = KEYS.replace(
        "user_from: { field: username }",
        "user_from: { header: X-Who }\n          groups_from: { header: X-Teams }",
    );
    let gateway = TestGateway::before(&upstream, &keys);
    let mut browser = Browser::of(&gateway);
    let answer = sign_in(&mut browser, "whoever", "right");
    assert_eq!((answer.header("x-who"), answer.header("x-teams")), (None, None), "they are for the gateway");
    let seen = browser.get("/x").text();
    assert!(seen.contains("X-Auth-User: carol") && seen.contains("X-Auth-Groups: staff,finance"), "{seen}");
    assert!(!browser.request("GET", "/x", &[("X-Who", "root")], b"").text().contains("X-Auth-User: root"));
}

#[test]
fn failures_count_and_then_nobody_is_told_whether_a_password_is_right() {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, KEYS);
    let mut browser = Browser::of(&gateway);
    for _ in 0..2 {
        let answer = sign_in(&mut browser, "alice", "nonsense");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"wrong"[..]));
    }
    for password in ["nonsense", "right"] {
        let answer = sign_in(&mut browser, " ALICE", password);
        assert_eq!(answer.status, 429);
        assert!(answer.header("retry-after").is_some() && answer.header("set-cookie").is_none());
        assert!(answer.text().contains("too many attempts"), "{}", answer.text());
    }
    assert_eq!(gateway.sessions(), (0, 0));
    assert_eq!(sign_in(&mut browser, "bob", "right").status, 302, "others may go on");
}

#[test]
fn a_request_that_waited_goes_on_after_the_applications_login() {
    let upstream = application();
    let gateway = TestGateway::before(&upstream, KEYS);
    let mut browser = Browser::of(&gateway);
    let sent = browser.post("/notes", &[("note", "a")]);
    let login = sent.header("location").expect("a page").to_owned();
    assert!(login.starts_with("/open/login?next=%2F%5Fcloakroom%2Freplay%3Frequest%3D"), "{login}");
    sign_in(&mut browser, "alice", "right");
    let page = browser.get("/_cloakroom/replay");
    assert!(page.text().contains("POST") && page.status == 200, "{}", page.text());
}
