//! HTTP/1 from clients, as bytes.

use crate::support::{Browser, EchoUpstream, Raw, TestGateway};

#[test]
fn a_request_reaches_the_upstream_and_its_answer_comes_back() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: public }]");
    let mut client = Raw::connect(gateway.address());
    client.send("POST /a?b=c HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.text().ends_with("hello"), "{}", response.text());
    let seen = upstream.only_request();
    assert_eq!((seen.method(), seen.target(), seen.body.as_slice()), ("POST", "/a?b=c", &b"hello"[..]));
    assert_eq!(seen.header("host"), Some("app.example"));
}

#[test]
fn a_browser_signs_in_and_the_upstream_learns_who_it_is() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = Browser::of(&gateway);
    assert_eq!(browser.get("/page").status, 302);
    browser.sign_in("alice");
    assert_eq!(browser.get("/page").status, 200);
    assert_eq!(upstream.only_request().header("x-auth-user"), Some("alice"));
    browser.sign_out();
    assert_eq!(browser.get("/page").status, 302);
}
