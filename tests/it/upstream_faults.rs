//! Applications that misbehave: what they get wrong is never relayed, and is answered in time.

use std::net::TcpListener;

use crate::support::{EchoUpstream, Raw, TestGateway, assert_refused, public_upstream};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_bad_head_is_answered_502_and_never_relayed() {
    let many_interim = "HTTP/1.1 103 Early Hints\r\nX-Evil: 1\r\n\r\n".repeat(500);
    let huge = format!("HTTP/1.1 200 OK\r\nX-Evil: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(200_000));
    let crowded = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X-Evil: a\r\n".repeat(1000));
    let bad: &[&str] = &[
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfive!",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4, 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: +4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nX-Evil: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nX-Evil: 1\nContent-Length: 4\n\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\n folded\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil : 1\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\rx\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\0\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\n: X-Evil\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 101 Switching Protocols\r\nX-Evil: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 99 Odd\r\nX-Evil: 1\r\n\r\n",
        "HTTP/1.1 700 Odd\r\nX-Evil: 1\r\n\r\n",
        "HTTP/1.1 2xx OK\r\nX-Evil: 1\r\n\r\n",
        "HTTP/2.0 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nfour",
        "ICY 200 OK\r\nX-Evil: 1\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6 X-Evil\r\n\r\n",
        "X-Evil garbage without any end of a line and then the end",
        "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Le",
        &many_interim,
        &huge,
        &crowded,
    ];
    for answer in bad {
        let upstream = EchoUpstream::answering_once(answer);
        let gateway = TestGateway::before(&upstream, PUBLIC);
        for request in [GET, POST] {
            let response = Raw::ask(gateway.address(), request.replace("HTTP/1.1\r\n", "HTTP/1.0\r\n"));
            let shown = &answer[..answer.len().min(200)];
            assert_refused(&response, 502, "upstream_bad_response");
            assert!(!response.head.contains("X-Evil"), "{shown:?}");
        }
        upstream.wait_for_open_connections(0);
    }
}

#[test]
fn an_upstream_that_closes_without_a_word_is_answered_502() {
    let upstream = EchoUpstream::speaking(|mut conversation| drop(conversation.request()));
    let gateway = TestGateway::before(&upstream, PUBLIC);
    assert_refused(&Raw::ask(gateway.address(), POST), 502, "upstream_closed");
    assert_eq!(upstream.requests().len(), 1, "a POST that may have been acted upon is never sent again");
    assert_refused(&Raw::ask(gateway.address(), GET), 502, "upstream_closed");
    assert_eq!(upstream.requests().len(), 3, "a GET is tried once more");
}

#[test]
fn a_bad_body_breaks_off_visibly() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bad = [
        format!("{chunked}5\r\nhello\r\nxyz\r\n0\r\n\r\n"),
        format!("{chunked}5\r\nhelloworld\r\n0\r\n\r\n"),
        format!("{chunked}5\r\nhello\r\n-1\r\n\r\n"),
        format!("{chunked}5\r\nhello\r\n0x5\r\nworld\r\n0\r\n\r\n"),
        format!("{chunked}5\r\nhello\n0\r\n\r\n"),
        format!("{chunked}5\r\nhello\r\n"),
        format!("{chunked}5\r\nhello\r\n0\r\n"),
        format!("{chunked}5\r\nhel"),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_owned(),
    ];
    for answer in bad {
        let upstream = EchoUpstream::answering_once(&answer);
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let mut client = Raw::connect(gateway.address());
        client.send(GET);
        let response = client.response();
        assert!(response.status == 502 || !response.complete, "{answer:?} became whole: {:?}", response.raw);
        client.expect_closed();
        upstream.wait_for_open_connections(0);
        // An old client, which has no chunks to tell by, must be reset.
        let mut client = Raw::connect(gateway.address());
        client.send("GET / HTTP/1.0\r\n\r\n");
        let head = client.head();
        if head.status == 200 && head.header("content-length").is_none() {
            assert!(client.expect_reset(), "{answer:?} looks whole to an old client");
        }
    }
}

#[test]
fn a_body_until_the_end_of_the_connection_is_passed_on_whole() {
    let upstream = EchoUpstream::answering_once("HTTP/1.1 200 OK\r\n\r\nhello");
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let response = Raw::ask(gateway.address(), GET);
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "hello", true));
    let upstream = EchoUpstream::answering_once("HTTP/1.0 200 OK\r\n\r\nhello");
    let gateway = TestGateway::before(&upstream, PUBLIC);
    assert_eq!(Raw::ask(gateway.address(), GET).text(), "hello");
}

#[test]
fn an_upstream_that_refuses_connections_is_answered_502() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("free");
    let gateway = TestGateway::with(Some(address), PUBLIC);
    let mut client = Raw::connect(gateway.address());
    for request in [GET, POST] {
        client.send(request);
        assert_refused(&client.response(), 502, "upstream_unreachable");
    }
}

#[test]
fn an_upstream_that_says_nothing_is_answered_504_and_its_connection_is_not_used_again() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, &public_upstream("timeouts: { response: 100ms }"));
    for request in [GET, POST] {
        assert_refused(&Raw::ask(gateway.address(), request), 504, "upstream_timeout");
        upstream.wait_for_open_connections(0);
    }
    assert_eq!(upstream.requests().len(), 2, "what may have been acted upon is not tried again");
}

#[test]
fn an_upstream_that_stops_in_the_middle_is_visible_after_its_time() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, &public_upstream("timeouts: { response: 100ms }"));
    let response = Raw::ask(gateway.address(), GET);
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "half", false));
    upstream.wait_for_open_connections(0);
}

#[test]
fn an_upstream_whose_backlog_is_full_is_answered_in_time() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("valid").into()).expect("free");
    socket.listen(0).expect("bound");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    let fill = || {
        let client =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("fine");
        let _ = client.connect(&address.into());
        client
    };
    let _crowd: Vec<_> = (0..4).map(|_| fill()).collect();
    let gateway =
        TestGateway::with(Some(address), &public_upstream("timeouts: { connect: 100ms, response: 100ms }"));
    assert_refused(&Raw::ask(gateway.address(), GET), 504, "upstream_timeout");
}

#[test]
fn an_answer_before_the_body_was_read_arrives() {
    for (keeps, answer) in [
        (true, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfine"),
        (false, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine"),
    ] {
        let upstream = EchoUpstream::speaking(move |mut conversation| {
            if conversation.head().is_some() {
                let _ = conversation.try_send(answer);
                if keeps {
                    conversation.wait_for_end();
                }
            }
        });
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let mut client = Raw::connect(gateway.address());
        client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10000000\r\n\r\nfirst piece");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (413, "fine"));
        drop(client);
        upstream.wait_for_open_connections(0);
    }
}

#[test]
fn a_request_s_whole_time_may_be_limited() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ request: 100ms }}"));
    assert_refused(&Raw::ask(gateway.address(), GET), 504, "request_timeout");
    upstream.wait_for_open_connections(0);
}
