//! What is not HTTP/1 to the letter (RFC 9112) is refused, and nothing of it ever reaches an application or becomes the
//! start of another request.

use crate::support::{EchoUpstream, Raw, TestGateway};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";

/// A gateway that lets everybody through to an application that says what it saw.
fn public() -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    (upstream, gateway)
}

/// Sends these bytes with a whole request right behind them, on a connection of their own. The first answer must have
/// one of these statuses, it must be the last, and the application must see nothing whole.
#[track_caller]
fn refused(cases: &[&[u8]], statuses: &[u16]) {
    let (upstream, gateway) = public();
    for case in cases {
        let mut client = Raw::connect(gateway.address());
        client.send([case, &b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"[..]].concat());
        let response = client.response();
        let shown = case.escape_ascii().to_string();
        assert!(statuses.contains(&response.status), "{shown}: {}", response.head);
        assert_eq!(response.header("connection"), Some("close"), "{shown}");
        client.expect_closed();
        let lines: Vec<_> = upstream.requests().iter().map(|seen| seen.line().to_owned()).collect();
        assert!(lines.is_empty(), "{shown} became {lines:?}");
    }
    let seen = upstream.bytes();
    assert!(!seen.windows(8).any(|bytes| bytes == b"smuggled"), "{}", seen.escape_ascii());
    upstream.wait_for_open_connections(0);
}

/// The head of a POST with these lines, then this rest.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST /refused HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n{rest}").into_bytes()
}

fn slices(cases: &[Vec<u8>]) -> Vec<&[u8]> {
    cases.iter().map(Vec::as_slice).collect()
}

#[test]
fn a_length_and_a_coding_together_are_refused() {
    let both = [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        post("transfer-encoding: Chunked\r\ncontent-length: 0\r\n", "0\r\n\r\n"),
        post("Content-Length: 6\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\nX"),
        post(
            "Content-Length: 5\r\nConnection: Content-Length\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
    ];
    refused(&slices(&both), &[400]);
}

#[test]
fn odd_lengths_are_refused() {
    let odd = [
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "0x5",
        "5 5",
        "5;",
        "",
        "five",
        "18446744073709551616",
        "1e1",
        "5.0",
        "\u{665}",
    ];
    let once = odd.map(|length| post(&format!("Content-Length: {length}\r\n"), "hello"));
    refused(&slices(&once), &[400]);
    let twice = [
        post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        post("content-length: 0\r\nContent-Length: 5\r\n", "hello"),
        post("Content-Length: 5\r\nConnection: Content-Length\r\nContent-Length: 0\r\n", "hello"),
    ];
    refused(&slices(&twice), &[400]);
}

#[test]
fn any_transfer_coding_but_chunked_is_refused() {
    let codings = [
        "chunked, chunked",
        ", chunked",
        "chunked,",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunk\u{e9}d",
        "\u{b}chunked",
        "",
    ];
    let one = codings.map(|coding| post(&format!("Transfer-Encoding: {coding}\r\n"), "0\r\n\r\n"));
    refused(&slices(&one), &[400, 501]);
    let more = [
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        b"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
    ];
    refused(&slices(&more), &[400, 501]);
}

#[test]
fn loose_chunks_are_refused_and_the_upstream_never_sees_a_whole_request() {
    let loose = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\n\r\n",
        ";a=b\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX-A: b\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nX-A: b\0\r\n\r\n",
        "0\r\n\n",
        "0\n\n",
    ];
    let cases = loose.map(|body| post("Transfer-Encoding: chunked\r\n", body));
    refused(&slices(&cases), &[400]);
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20_000));
    let many = format!("1;{}\r\nh\r\n", "a".repeat(3_000)).repeat(6) + "0\r\n\r\n";
    let endless =
        [post("Transfer-Encoding: chunked\r\n", &long), post("Transfer-Encoding: chunked\r\n", &many)];
    refused(&slices(&endless), &[400]);
}

#[test]
fn odd_bytes_in_fields_are_refused() {
    let odd: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\x01c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\n\r\n",
        b"GET / HTTP/1.1\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\n\n",
        b"GET / HTTP/1.1\nHost: a.example\n\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\n\tfolded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\n\r \r\n\r\n",
        b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ];
    refused(odd, &[400]);
}

#[test]
fn odd_field_names_are_refused() {
    let odd: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A\t: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\tX-A: b\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX A: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX(A): b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX\xc3\xa9: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\"X\": b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX\0A: b\r\n\r\n",
    ];
    refused(odd, &[400]);
}

#[test]
fn odd_request_lines_are_refused() {
    let odd: &[&[u8]] = &[
        b"GET / HTTP/1.1 \r\nHost: a.example\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /  HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET\t/\tHTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET / b HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET / http/1.1\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1.1x\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1,1\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/11\r\nHost: a.example\r\n\r\n",
        b"GET /\r\nHost: a.example\r\n\r\n",
        b"GET\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"G\xc3\x89T / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /\xed\x95\x9c HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ];
    refused(odd, &[400]);
    let versions: &[&[u8]] = &[
        b"GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: a.example\r\n\r\n",
    ];
    refused(versions, &[400, 505]);
}

#[test]
fn bytes_after_an_upgrade_are_held_until_the_upstream_has_agreed() {
    // The application does not switch: what the client sent too early must never be read as a request.
    let (upstream, gateway) = public();
    let mut client = Raw::connect(gateway.address());
    client.send(
        "GET /socket HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    client.send("GET /next HTTP/1.1\r\nHost: a.example\r\nX-Auth-User: root\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
    let seen = upstream.wait_for(2);
    assert_eq!(seen[1].target(), "/next");
    assert_eq!(seen[1].header("x-auth-user"), None, "it was read as a request of its own, by us");
}

#[test]
fn an_unread_body_never_becomes_the_next_request() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /open, access: public }, { path: / }]");
    let inner = "GET /open/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
    for target in ["/needs-login", "/_cloakroom/nothing", "/_cloakroom/session"] {
        for framing in [
            format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        ] {
            let mut client = Raw::connect(gateway.address());
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a.example\r\n{framing}"));
            client.send("GET /open/next HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
            let first = client.response();
            assert!(first.status >= 400, "{target}: {}", first.head);
            let rest = String::from_utf8_lossy(&client.rest()).into_owned();
            assert!(rest.is_empty() || rest.contains("GET /open/next"), "{target} {framing}: {rest}");
        }
    }
    assert!(upstream.requests().iter().all(|seen| seen.target() == "/open/next"));
}

#[test]
fn a_large_unread_body_closes_the_connection_and_the_answer_still_arrives() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "");
    let mut client = Raw::connect(gateway.address());
    client.send("POST /needs-login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n");
    client.send(vec![b'x'; 300_000]);
    let response = client.response();
    assert_eq!((response.status, response.header("connection")), (401, Some("close")));
    client.expect_closed();
    assert!(upstream.bytes().is_empty());
}

#[test]
fn a_request_that_breaks_off_reaches_nobody_whole() {
    let (upstream, gateway) = public();
    for broken in [
        "GET / HTTP/1.1\r\nHost: a.ex",
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        let mut client = Raw::connect(gateway.address());
        client.send(broken);
        client.half_close();
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{broken:?}: {answer}");
    }
    assert!(upstream.requests().is_empty());
    upstream.wait_for_open_connections(0);
}
