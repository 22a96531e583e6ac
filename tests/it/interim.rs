//! Interim responses and expectations (RFC 9110, sections 10.1.1 and 15.2), from end to end.

use crate::support::{EchoUpstream, Raw, TestGateway, assert_refused};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

#[test]
fn early_hints_are_relayed_but_not_to_old_clients() {
    let upstream = EchoUpstream::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nSession-Set: a=1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\n{FINE}"
    ));
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    let hints = client.head();
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a.css>")));
    assert_eq!(hints.fields().len(), 1, "{}", hints.head);
    assert_eq!(client.head().status, 102);
    assert_eq!(client.response().text(), "fine");
    let mut old = Raw::connect(gateway.address());
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.head().status, 200);
}

/// Says what `answer` says to a request's head, then reads the body and answers.
fn expecting(answer: &'static str) -> EchoUpstream {
    EchoUpstream::speaking(move |mut conversation| {
        while let Some(head) = conversation.head() {
            assert_eq!(head.header("expect"), Some("100-continue"));
            let _ = conversation.try_send(answer);
            if answer.contains(" 4") || conversation.body(head).is_none() {
                return;
            }
            let _ = conversation.try_send(FINE);
        }
    })
}

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn an_expectation_is_met_by_the_upstream() {
    let upstream = expecting("HTTP/1.1 100 Continue\r\n\r\n");
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    for _ in 0..2 {
        client.send(EXPECTING);
        assert_eq!(client.head().status, 100);
        client.send("hello");
        assert_eq!(client.response().text(), "fine");
    }
    assert_eq!(upstream.requests()[0].body, b"hello");
}

#[test]
fn an_expectation_the_upstream_does_not_know_is_met_by_the_gateway() {
    let upstream = expecting("");
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send(EXPECTING);
    assert_eq!(client.head().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "fine");
}

#[test]
fn a_body_that_is_refused_beforehand_is_never_asked_for() {
    let upstream = expecting("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send(EXPECTING);
    let head = client.head();
    assert_eq!(head.status, 401, "and no 100 before it");
    assert_eq!(client.body(head).text(), "no");
    client.expect_closed();
    // The gateway's own refusals, too.
    let gateway = TestGateway::before(&upstream, "");
    let mut client = Raw::connect(gateway.address());
    client.send(EXPECTING);
    assert_eq!(client.head().status, 401);
}

#[test]
fn other_expectations_are_refused() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    for expect in ["200-ok", "100-continue, x", "x"] {
        let request = EXPECTING.replace("100-continue", expect) + "hello";
        assert_refused(&Raw::ask(gateway.address(), request), 417, "expectation_failed");
    }
    assert!(upstream.bytes().is_empty());
}
