//! Applications that misbehave: what they get wrong is never relayed, and never harms another request.

use std::net::TcpListener;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{Conversation, EchoUpstream, Raw, TestGateway, wait_until};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

/// Public routes to one upstream with these settings.
fn settings(upstream: &str) -> String {
    format!("{PUBLIC}\nupstream: {{ servers: ['http://$UPSTREAM'], {upstream} }}")
}

/// The gateway answers so, with a page of its own.
#[track_caller]
fn assert_refused(response: &crate::support::Message, status: u16, reason: &str) {
    assert_eq!(response.status, status, "{}", response.head);
    assert_eq!(response.json()["error"], reason);
    assert!(!response.text().contains("127.0.0.1"), "no addresses: {}", response.text());
}

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
fn bytes_behind_a_response_end_the_upstream_connection_and_reach_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for answer in [
        format!("{FINE}{evil}"),
        format!("{FINE}\r\n"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n{evil}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nX-T: 1\r\n\r\n{evil}"
        ),
    ] {
        let upstream = EchoUpstream::answering(&answer);
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let mut client = Raw::connect(gateway.address());
        for round in 1..=3 {
            client.send(GET);
            let response = client.response();
            assert!(matches!(response.text().as_str(), "fine" | ""), "{answer:?}: {}", response.text());
            upstream.wait_for_open_connections(0);
            assert_eq!(upstream.connections(), round, "{answer:?}");
        }
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next_request_s() {
    // It comes while the connection is idle: a server's 408 before it closes, or an attack.
    for method in ["GET", "POST"] {
        let (go, gone) = mpsc::channel::<()>();
        let (said, heard) = mpsc::channel::<()>();
        let (gone, said) = (Mutex::new(gone), Mutex::new(said));
        let upstream = EchoUpstream::speaking(move |mut conversation| {
            while conversation.request().is_some() {
                let _ = conversation.try_send(FINE);
                if conversation.number() == 0 {
                    let _ = gone.lock().expect("whole").recv();
                    let _ = conversation
                        .try_send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil");
                    let _ = said.lock().expect("whole").send(());
                }
            }
        });
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let mut client = Raw::connect(gateway.address());
        client.send(GET);
        assert_eq!(client.response().text(), "fine");
        go.send(()).expect("the upstream waits");
        heard.recv().expect("the upstream has sent it");
        client.send(if method == "GET" { GET } else { POST });
        assert_eq!(client.response().text(), "fine", "{method}");
    }
}

#[test]
fn a_pooled_connection_that_went_stale_costs_no_request() {
    // Each connection is closed behind its answer, without a word about it.
    let upstream = EchoUpstream::answering_once(FINE);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    for number in 1..=20 {
        let request = if number % 2 == 0 { POST } else { GET };
        client.send(request);
        assert_eq!(client.response().text(), "fine", "{number}");
        upstream.wait_for_open_connections(0);
        assert_eq!(upstream.requests().len(), number);
    }
}

#[test]
fn a_post_on_a_connection_that_breaks_under_it_is_never_doubled() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            if request.target() == "/break" {
                return;
            }
            let _ = conversation.try_send(FINE);
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    let count = |method: &str| {
        let broken = |seen: &&crate::support::Message| seen.target() == "/break" && seen.method() == method;
        upstream.requests().iter().filter(broken).count()
    };
    for (number, method) in ["POST", "PATCH", "POST"].into_iter().enumerate() {
        client.send(GET);
        assert_eq!(client.response().status, 200);
        client.send(POST.replace("POST / ", &format!("{method} /break ")));
        assert_refused(&client.response(), 502, "upstream_closed");
        assert_eq!(count(method), 1 + number / 2);
    }
    client.send(GET);
    assert_eq!(client.response().status, 200);
    client.send(GET.replace("GET / ", "GET /break "));
    assert_refused(&client.response(), 502, "upstream_closed");
    assert!((2..=3).contains(&count("GET")), "tried again, a bounded number of times: {}", count("GET"));
}

#[test]
fn a_get_survives_the_restart_of_its_upstream() {
    let upstream = EchoUpstream::answering(FINE);
    let (address, gateway) = (upstream.address(), TestGateway::before(&upstream, PUBLIC));
    assert_eq!(Raw::ask(gateway.address(), GET).text(), "fine");
    drop(upstream);
    let mut bound = None;
    wait_until("its port", || {
        bound = TcpListener::bind(address).ok();
        bound.is_some()
    });
    drop(bound);
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    let listener = TcpListener::bind(address).expect("free a moment ago");
    let _restarted = EchoUpstream::on(listener, address, |mut conversation: Conversation| {
        while conversation.request().is_some() && conversation.try_send(FINE).is_ok() {}
    });
    assert_eq!(client.response().text(), "fine");
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
    let gateway = TestGateway::before(&upstream, &settings("timeouts: { response: 100ms }"));
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
    let gateway = TestGateway::before(&upstream, &settings("timeouts: { response: 100ms }"));
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
        TestGateway::with(Some(address), &settings("timeouts: { connect: 100ms, response: 100ms }"));
    assert_refused(&Raw::ask(gateway.address(), GET), 504, "upstream_timeout");
}

#[test]
fn a_full_upstream_is_answered_503_and_says_when_to_come_back() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        while conversation.request().is_some() {
            let _ = gone.lock().expect("whole").recv();
            let _ = conversation.try_send(FINE);
        }
    });
    let gateway = TestGateway::before(&upstream, &settings("connections: 1, timeouts: { connect: 100ms }"));
    let mut first = Raw::connect(gateway.address());
    first.send(GET);
    upstream.wait_for(1);
    let response = Raw::ask(gateway.address(), GET);
    assert_refused(&response, 503, "upstream_busy");
    let wait: u32 = response.header("retry-after").expect("said").parse().expect("seconds");
    assert!(wait > 0);
    go.send(()).expect("the upstream waits");
    assert_eq!(first.response().text(), "fine");
    drop(go);
    assert_eq!(Raw::ask(gateway.address(), GET).text(), "fine", "and there is room again");
    assert_eq!(upstream.connections(), 1);
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

#[test]
fn a_broken_upstream_does_not_hold_up_another() {
    let broken = EchoUpstream::speaking(|mut conversation| drop(conversation.wait_for_end()));
    let fine = EchoUpstream::answering(FINE);
    let yaml = format!(
        "upstreams: {{ broken: 'http://{}', fine: 'http://{}' }}\n\
         routes: [{{ path: /broken, access: public, upstream: broken }}, {{ path: /, access: public, upstream: fine }}]",
        broken.address(),
        fine.address()
    );
    let gateway = TestGateway::start(&yaml);
    let stuck: Vec<_> = (0..50)
        .map(|_| {
            let mut client = Raw::connect(gateway.address());
            client.send(GET.replace("GET / ", "GET /broken "));
            client
        })
        .collect();
    wait_until("50 requests stuck", || broken.connections() == 50);
    let address = gateway.address();
    let asking: Vec<_> = (0..4)
        .map(|_| thread::spawn(move || (0..20).all(|_| Raw::ask(address, GET).text() == "fine")))
        .collect();
    assert!(asking.into_iter().all(|thread| thread.join().expect("no panic")));
    drop(stuck);
    broken.wait_for_open_connections(0);
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

#[test]
fn requests_are_shared_out_and_a_dead_server_is_passed_over() {
    let (one, other) = (EchoUpstream::start(), EchoUpstream::start());
    let dead = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("free");
    let gateway = TestGateway::start(&format!(
        "routes: [{{ path: /, access: public }}]\nupstream: {{ balance: round_robin, servers: ['http://{}', 'http://{}', 'http://{dead}'] }}",
        one.address(),
        other.address()
    ));
    for _ in 0..30 {
        assert_eq!(Raw::ask(gateway.address(), GET).status, 200);
    }
    let shares = Arc::new([one.requests().len(), other.requests().len()]);
    assert_eq!(shares.iter().sum::<usize>(), 30);
    assert!(shares.iter().all(|share| *share >= 10), "{shares:?}");
}
