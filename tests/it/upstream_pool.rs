//! Connections to applications: used again, given up, shared out; no request is doubled, and none gets another's answer.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use crate::support::{
    Conversation, EchoUpstream, Raw, TestGateway, assert_refused, public_upstream, wait_until,
};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

#[test]
fn bytes_behind_a_response_end_the_upstream_connection_and_reach_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for answer in [
        format!("{FINE}{evil}"),
        format!("{FINE}\r\n"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil".to_owned(),
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
fn a_full_upstream_is_answered_503_and_says_when_to_come_back() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        while conversation.request().is_some() {
            let _ = gone.lock().expect("whole").recv();
            let _ = conversation.try_send(FINE);
        }
    });
    let gateway =
        TestGateway::before(&upstream, &public_upstream("connections: 1, timeouts: { connect: 100ms }"));
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
    let shares = [one.requests().len(), other.requests().len()];
    assert_eq!(shares.iter().sum::<usize>(), 30);
    assert!(shares.iter().all(|share| *share >= 10), "{shares:?}");
}
