//! HTTP/1 from clients, as bytes (RFC 9110, RFC 9112): what is read, how it is passed on, and how connections live.

use crate::support::{Browser, EchoUpstream, Raw, TestGateway};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";

/// A gateway that lets everybody through to an application that says what it saw.
fn public() -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    (upstream, gateway)
}

/// The head of a POST with these lines, then this rest.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST /refused HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n{rest}").into_bytes()
}

#[test]
fn a_request_reaches_the_upstream_and_its_answer_comes_back() {
    let (upstream, gateway) = public();
    let request = "POST /a?b=c HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello";
    let response = Raw::ask(gateway.address(), request);
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

#[test]
fn chunk_extensions_are_dropped() {
    let (upstream, gateway) = public();
    let body = "5;x=\"y\"\r\nhello\r\n1;z\r\n!\r\n0;last\r\n\r\n";
    let response = Raw::ask(gateway.address(), post("Transfer-Encoding: chunked\r\n", body));
    assert_eq!(response.status, 200);
    let seen = upstream.only_request();
    assert_eq!(seen.body, b"hello!");
    assert!(!seen.raw.contains(&b';'), "{}", seen.raw.escape_ascii());
}

#[test]
fn exactly_one_valid_host_is_needed() {
    let (upstream, gateway) = public();
    let hosts = [
        "",
        "Host: \r\n",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a.example\r\nhost: b.example\r\n",
        "Host: a.example, b.example\r\n",
        "Host: user@a.example\r\n",
        "Host: user:pass@a.example\r\n",
        "Host: a.example/path\r\n",
        "Host: http://a.example\r\n",
        "Host: a.example?x\r\n",
        "Host: a.example#x\r\n",
        "Host: a b\r\n",
        "Host: a.example:port\r\n",
        "Host: a.example:99999\r\n",
        "Host: a.example:80:80\r\n",
        "Host: [::1\r\n",
        "Host: a\\b\r\n",
        "Host: a%2fb\r\n",
        "Host: \"a\"\r\n",
        "Host: <a>\r\n",
        "Host: \u{ed95}\r\n",
    ];
    for host in hosts {
        let response = Raw::ask(gateway.address(), format!("GET / HTTP/1.1\r\n{host}\r\n"));
        assert_eq!(response.status, 400, "{host:?}");
    }
    assert!(upstream.bytes().is_empty());
    for (request, host) in [
        ("GET / HTTP/1.1\r\nHost: A.Example:8080\r\n\r\n", "A.Example:8080"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80"),
        ("GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "b.example"),
        ("GET http://b.example:81 HTTP/1.1\r\nHost: a.example\r\n\r\n", "b.example:81"),
    ] {
        assert_eq!(Raw::ask(gateway.address(), request).status, 200, "{request}");
        assert_eq!(upstream.requests().last().expect("seen").header("host"), Some(host));
    }
}

#[test]
fn the_target_is_passed_on_in_origin_form_and_byte_for_byte() {
    let (upstream, gateway) = public();
    for (sent, arrived) in [
        (
            "/%ED%95%9C%ea%b8%80?q=%ED%95%9C+%2F%2f&&x==#".trim_end_matches('#'),
            "/%ED%95%9C%ea%b8%80?q=%ED%95%9C+%2F%2f&&x==",
        ),
        ("/a!$&'()*+,=:@-._~", "/a!$&'()*+,=:@-._~"),
        ("/?", "/?"),
        ("/?/../a//b", "/?/../a//b"),
        ("/a?{\"json\":[|^`<>]}", "/a?{\"json\":[|^`<>]}"),
        ("http://a.example/p/?q", "/p/?q"),
        ("http://a.example", "/"),
        ("http://a.example?q", "/?q"),
        ("HTTP://A.EXAMPLE/", "/"),
    ] {
        let response = Raw::ask(gateway.address(), format!("GET {sent} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        assert_eq!(response.status, 200, "{sent}");
        assert_eq!(upstream.requests().last().expect("seen").target(), arrived);
    }
    let before = upstream.requests().len();
    for bad in
        ["a", "*", "/a#b", "?a", "ftp://a.example/", "a.example:80", "//", "http:///a", "http://u@a.example/"]
    {
        let response = Raw::ask(gateway.address(), format!("GET {bad} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let is_path = bad == "//";
        assert_eq!(response.status, if is_path { 200 } else { 400 }, "{bad}");
    }
    assert_eq!(upstream.requests().len(), before + 1);
}

#[test]
fn only_options_asks_about_the_whole_server() {
    let (upstream, gateway) = public();
    let request = "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address(), request).status, 200);
    let seen = upstream.only_request();
    assert_eq!((seen.method(), seen.target()), ("OPTIONS", "*"));
}

#[test]
fn connect_and_trace_are_refused() {
    let (upstream, gateway) = public();
    for request in [
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a.example\r\nCookie: secret=1\r\n\r\n",
    ] {
        let response = Raw::ask(gateway.address(), request);
        assert!(matches!(response.status, 405 | 501), "{request}: {}", response.status);
        assert!(response.header("allow").is_some_and(|allowed| allowed.contains("GET")));
        assert!(!response.text().contains("secret"));
    }
    assert!(upstream.bytes().is_empty());
}

#[test]
fn upgrades_other_than_websocket_are_not_passed_on() {
    let (upstream, gateway) = public();
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: close\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n");
        assert_eq!(Raw::ask(gateway.address(), request).status, 200, "{lines}");
        let requests = upstream.requests();
        let seen = requests.last().expect("seen");
        assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None), "{lines}");
    }
    let old = "GET / HTTP/1.0\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address(), old).status, 200);
    let post = "POST / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address(), post).status, 200);
    assert!(upstream.requests().iter().all(|seen| seen.header("upgrade").is_none()));
}

#[test]
fn responses_without_body_have_none() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            let answer = match request.target() {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/204-length" => "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            };
            let _ = conversation.try_send(answer);
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    let rounds =
        [("GET", "/204", 204), ("GET", "/204-length", 204), ("GET", "/304", 304), ("HEAD", "/", 200)];
    for (method, target, status) in rounds.iter().chain(&rounds) {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status, *status);
        assert_eq!(head.header("transfer-encoding"), None, "{method} {target}");
        if *status == 204 {
            assert_eq!(head.header("content-length"), None, "RFC 9110, section 8.6");
        }
        if *method == "HEAD" {
            assert_eq!(head.header("content-length"), Some("1000"));
        }
    }
    assert_eq!(upstream.connections(), 1, "all on one connection: nobody lost count");
}

#[test]
fn an_old_client_gets_no_chunks() {
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n";
    let upstream = EchoUpstream::answering(chunks);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    for connection in ["", "Connection: keep-alive\r\n"] {
        let mut client = Raw::connect(gateway.address());
        client.send(format!("GET / HTTP/1.0\r\n{connection}\r\n"));
        let response = client.response();
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(response.text(), "hello!");
    }
}

#[test]
fn an_old_client_keeps_its_connection_only_if_it_asks() {
    let (_upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.response().header("connection"), Some("keep-alive"));
    }
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    let all: String = (0..50)
        .map(|number| match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: a.example\r\n\r\n"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nGET "),
            _ => format!("POST /{number} HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n"),
        })
        .collect();
    client.send(all);
    for number in 0..50 {
        let text = client.response().text();
        assert_eq!(text.split(' ').nth(1), Some(format!("/{number}").as_str()));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_connection_carries_a_thousand_requests() {
    let (upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    for number in 0..1000 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (200, None), "{number}");
    }
    assert_eq!(upstream.connections(), 1);
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn a_client_that_closed_its_sending_side_is_still_answered() {
    let (_upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    client.send("GET /half HTTP/1.1\r\nHost: a.example\r\n\r\n");
    client.half_close();
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.complete);
    client.expect_closed();
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let (upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    let request = post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n");
    request.chunks(1).for_each(|byte| client.send(byte));
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.only_request().body, b"hello");
}
