//! Limits: everything a client sends or takes has one, and beyond it stands an answer that says which.

use std::time::Duration;

use crate::support::{EchoUpstream, Http2, Raw, TestGateway, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A public gateway with these limits or timeouts.
fn limited(yaml: &str) -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &format!("routes: [{{ path: /, access: public }}]\n{yaml}"));
    (upstream, gateway)
}

/// Sends it, and expects this status and then the end.
#[track_caller]
fn refused(gateway: &TestGateway, request: impl AsRef<[u8]>, status: u16, reason: &str) {
    let mut client = Raw::connect(gateway.address());
    let _ = client.try_send(request);
    let response = client.response();
    assert_eq!((response.status, response.json()["error"].as_str()), (status, Some(reason)));
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn a_long_request_line_is_414() {
    let (upstream, gateway) = limited("");
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "a".repeat(length));
    assert_eq!(Raw::ask(gateway.address(), line(8_000)).status, 200);
    for length in [8_200, 20_000, 100_000, 1_000_000] {
        refused(&gateway, line(length), 414, "uri_too_long");
    }
    refused(&gateway, "GET /".to_owned() + &"a".repeat(100_000), 414, "uri_too_long");
    assert_eq!(upstream.requests().len(), 1);
    let (_upstream, gateway) = limited("limits: { request_line: 256B }");
    assert_eq!(Raw::ask(gateway.address(), line(200)).status, 200);
    refused(&gateway, line(300), 414, "uri_too_long");
}

#[test]
fn large_heads_are_431() {
    let (upstream, gateway) = limited("");
    let sized =
        |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-A: {}\r\n\r\n", "a".repeat(bytes));
    let counted =
        |fields: usize| format!("GET / HTTP/1.1\r\nHost: a.example\r\n{}\r\n", "X-A: b\r\n".repeat(fields));
    assert_eq!(Raw::ask(gateway.address(), sized(30_000)).status, 200);
    assert_eq!(Raw::ask(gateway.address(), counted(99)).status, 200);
    for bytes in [33_000, 100_000, 1_000_000] {
        refused(&gateway, sized(bytes), 431, "headers_too_large");
    }
    for fields in [100, 101, 1_000, 3_000] {
        refused(&gateway, counted(fields), 431, "headers_too_large");
    }
    let endless = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{}", "X-A: b\r\n".repeat(20_000));
    refused(&gateway, endless, 431, "headers_too_large");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn the_limits_of_a_head_hold_over_http2_too() {
    let (upstream, gateway) = limited("limits: { request_line: 256B, header_bytes: 4KiB, headers: 10 }");
    let ask = |path: &str, fields: &[(&str, &str)]| {
        let url = format!("http://a.example{path}");
        Http2::connect(gateway.address()).get(&url, fields).status().as_u16()
    };
    assert_eq!(ask("/", &[("x-a", "b")]), 200);
    assert_eq!(ask(&format!("/{}", "a".repeat(300)), &[]), 414);
    assert_eq!(ask("/", &[("x-a", "b"); 20]), 431);
    assert_eq!(ask("/", &[("x-a", &"a".repeat(5_000))]), 431);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn large_bodies_are_413() {
    let (upstream, gateway) = limited("limits: { body: 1KiB }");
    let by_length = |bytes: usize| {
        format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes))
    };
    let chunk = "100\r\n".to_owned() + &"a".repeat(256) + "\r\n";
    let chunked = |chunks: usize| {
        let chunks = chunk.repeat(chunks);
        format!("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    assert_eq!(Raw::ask(gateway.address(), by_length(1024)).status, 200);
    assert_eq!(Raw::ask(gateway.address(), chunked(4)).status, 200);
    let seen = upstream.bytes().len();
    refused(&gateway, by_length(1025), 413, "body_too_large");
    refused(
        &gateway,
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9999999999\r\n\r\n",
        413,
        "body_too_large",
    );
    assert_eq!(upstream.bytes().len(), seen, "a body that says so is refused before anything is sent");
    refused(&gateway, chunked(5), 413, "body_too_large");
    assert_eq!(upstream.requests().len(), 2);
    let mut client = Http2::connect(gateway.address());
    let body = "a".repeat(1025);
    let request = |body| crate::support::http2::request("POST", "http://a.example/", &[], body);
    let whole = client.ask(request(crate::support::http2::whole(&body)));
    assert_eq!(whole.status(), 413);
    let pieces = client.ask(request(crate::support::http2::pieces(&[&body[..600], &body[..600]], &[])));
    assert_eq!(pieces.status(), 413);
    wait_until("every broken request has gone", || upstream.open_connections() <= 1);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_form_of_ours_has_a_limit_of_its_own() {
    let (_upstream, gateway) = limited("");
    let request = format!(
        "POST /_cloakroom/login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 70000\r\n\r\nusername={}",
        "a".repeat(70_000)
    );
    refused(&gateway, request, 413, "body_too_large");
}

#[test]
fn a_slow_head_is_408() {
    let (upstream, gateway) = limited("timeouts: { header: 200ms }");
    for begun in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a.example\r\nX-A: "] {
        refused(&gateway, begun, 408, "client_too_slow");
    }
    // Each byte does not buy more time: somebody who drips on and on is turned away all the same.
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    assert_eq!(client.response().status, 200);
    client.send("GET / HTTP/1.1\r\nX-A: ");
    while client.try_send("a").is_ok() {
        std::thread::park_timeout(Duration::from_millis(20));
        if client.has_something() {
            break;
        }
    }
    assert_eq!(client.response().status, 408);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_that_says_nothing_is_let_go() {
    let (_upstream, gateway) = limited("timeouts: { header: 200ms, idle: 200ms }");
    let mut silent = Raw::connect(gateway.address());
    silent.expect_closed();
    let mut idle = Raw::connect(gateway.address());
    idle.send(GET);
    assert_eq!(idle.response().status, 200);
    idle.expect_closed();
}

#[test]
fn a_slow_body_is_408_and_frees_the_upstream() {
    let (upstream, gateway) = limited("timeouts: { body: 200ms }");
    for begun in [
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        refused(&gateway, begun, 408, "client_too_slow");
        upstream.wait_for_open_connections(0);
    }
    assert!(upstream.requests().is_empty());
    let form = "POST /_cloakroom/login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nuser";
    refused(&gateway, form, 408, "client_too_slow");
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while conversation.try_send([b'x'; 65536]).is_ok() {}
        }
    });
    let yaml = "routes: [{ path: /, access: public }]\ntimeouts: { body: 200ms }";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    upstream.wait_for(1);
    upstream.wait_for_open_connections(0);
}

#[test]
fn a_full_house_says_so_and_has_room_again() {
    let (_upstream, gateway) = limited("limits: { connections: 2 }");
    let mut guests: Vec<_> = (0..2).map(|_| Raw::connect(gateway.address())).collect();
    for guest in &mut guests {
        guest.send(GET);
        assert_eq!(guest.response().status, 200);
    }
    let mut late = Raw::connect(gateway.address());
    let response = late.response();
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["error"], "too_many_connections");
    assert!(response.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()));
    late.expect_closed();
    guests[0].send(GET);
    assert_eq!(guests[0].response().status, 200, "those who are in stay");
    drop(guests.pop());
    wait_until("there is room again", || Raw::ask(gateway.address(), GET).status == 200);
}

#[test]
fn a_refused_request_in_a_full_house_still_gets_its_answer() {
    // The client sends at once; the answer must not be lost to a reset.
    let (_upstream, gateway) = limited("limits: { connections: 1 }");
    let mut guest = Raw::connect(gateway.address());
    guest.send(GET);
    assert_eq!(guest.response().status, 200);
    for _ in 0..20 {
        let mut late = Raw::connect(gateway.address());
        let _ = late.try_send(GET);
        assert_eq!(late.response().status, 503);
    }
}

#[test]
fn one_address_has_its_own_limit() {
    let (_upstream, gateway) = limited("limits: { connections_per_ip: 1 }");
    let mut guest = Raw::connect(gateway.address());
    guest.send(GET);
    assert_eq!(guest.response().status, 200);
    assert_eq!(Raw::connect(gateway.address()).response().status, 503);
    drop(guest);
    wait_until("there is room again", || Raw::ask(gateway.address(), GET).status == 200);
}

#[test]
fn anonymous_visitors_cost_no_session() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /open, access: optional }, { path: / }]");
    let mut client = Raw::connect(gateway.address());
    for number in 0..500 {
        for target in ["/open", "/closed", "/_cloakroom/session"] {
            let cookie = format!("cloakroom=k1.{number:064x}");
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nCookie: {cookie}\r\n\r\n"));
            let response = client.response();
            assert!(response.status == 200 || response.status == 401, "{}", response.head);
        }
    }
    assert_eq!(gateway.sessions(), (0, 0));
}
