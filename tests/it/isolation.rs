//! Isolation: what goes wrong for one costs nobody else anything, and nobody ever gets another's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Browser, EchoUpstream, Http2, Raw, TestGateway};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";

/// Asks again and again on one connection until told to stop; how many answers came.
fn canary(gateway: &TestGateway, stop: &Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    let (address, stop) = (gateway.address(), stop.clone());
    thread::spawn(move || {
        let mut client = Raw::connect(address);
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) || count == 0 {
            client.send(format!("GET /canary/{count} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
            let response = client.response();
            assert_eq!(response.status, 200, "{}", response.head);
            assert!(response.text().starts_with(&format!("GET /canary/{count} ")), "{}", response.text());
            count += 1;
        }
        count
    })
}

#[test]
fn everybody_gets_their_own_answers() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "workers: 2");
    let people: Vec<_> = (0..8)
        .map(|number| {
            let user = if number % 2 == 0 { "alice" } else { "bob" };
            let mut browser = Browser::of(&gateway);
            browser.sign_in(user);
            (user, number, browser, gateway.address())
        })
        .collect();
    let asking = people.into_iter().map(|(user, number, browser, address)| {
        thread::spawn(move || {
            let mut client = Raw::connect(address);
            for round in 0..100 {
                client.send(browser.head("GET", &format!("/{number}/{round}"), &[]) + "\r\n");
                let text = client.response().text();
                assert!(text.starts_with(&format!("GET /{number}/{round} ")), "{text}");
                assert!(text.contains(&format!("X-Auth-User: {user}\r\n")), "{text}");
            }
        })
    });
    asking.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("all their own"));
}

#[test]
fn a_connection_that_changes_hands_changes_the_user() {
    // As behind another proxy, which sends everybody's requests over one connection.
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "routes: [{ path: /, access: optional }]");
    let (mut alice, mut bob) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    let nobody = Browser::of(&gateway);
    let mut client = Raw::connect(gateway.address());
    let mut http2 = Http2::connect(gateway.address());
    for (browser, user) in [
        (&alice, Some("alice")),
        (&bob, Some("bob")),
        (&nobody, None),
        (&alice, Some("alice")),
        (&nobody, None),
    ] {
        client.send(browser.head("GET", "/", &[]) + "\r\n");
        assert_eq!(client.response().status, 200);
        assert_eq!(upstream.requests().pop().expect("it arrived").header("x-auth-user"), user);
        http2.get("http://a.example/", &[("cookie", &browser.cookie_header())]);
        assert_eq!(upstream.requests().pop().expect("it arrived").header("x-auth-user"), user);
    }
    // What a connection remembers ends with the session.
    client.send(alice.head("GET", "/", &[]) + "\r\n");
    client.response();
    let stolen = alice.head("GET", "/", &[]) + "\r\n";
    alice.sign_out();
    client.send(stolen);
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.requests().pop().expect("it arrived").header("x-auth-user"), None);
}

#[test]
fn an_answer_that_was_left_behind_is_nobody_else_s() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let stop = Arc::new(AtomicBool::new(false));
    let canaries: Vec<_> = (0..3).map(|_| canary(&gateway, &stop)).collect();
    for number in 0..200 {
        let mut client = Raw::connect(gateway.address());
        client.send(format!("GET /left-behind/{number} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        match number % 3 {
            0 => client.reset(),
            1 => drop(client.bytes(20)),
            _ => drop(client),
        }
    }
    stop.store(true, Ordering::SeqCst);
    assert!(canaries.into_iter().all(|canary| canary.join().expect("all its own") > 0));
}

#[test]
fn garbage_from_one_side_or_the_other_harms_nobody_else() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        while let Some(request) = conversation.request() {
            let answer = match request.target() {
                "/garbage" => b"\0\xff garbage \r\n\r\n\r\n".to_vec(),
                _ => {
                    let body = request.raw;
                    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body]
                        .concat()
                }
            };
            if conversation.try_send(answer).is_err() {
                return;
            }
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let stop = Arc::new(AtomicBool::new(false));
    let canaries: Vec<_> = (0..2).map(|_| canary(&gateway, &stop)).collect();
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..100 {
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        let mut client = Raw::connect(gateway.address());
        let _ = client.try_send([&bytes[..], b"\r\n\r\n"].concat());
        assert_eq!(client.response().status, 400, "{}", bytes.escape_ascii());
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut client = Raw::connect(gateway.address());
        let _ = client.try_send([preface, &bytes[..]].concat());
        drop(client);
        let garbage = Raw::ask(gateway.address(), "GET /garbage HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(garbage.status, 502);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(canaries.into_iter().all(|canary| canary.join().expect("not harmed") > 0));
}

#[test]
fn a_reload_costs_no_request_and_no_session() {
    let upstream = EchoUpstream::start();
    let routes = "routes: [{ path: /canary, access: public }, { path: / }]";
    let mut gateway = TestGateway::before(&upstream, routes);
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let stop = Arc::new(AtomicBool::new(false));
    let canaries: Vec<_> = (0..2).map(|_| canary(&gateway, &stop)).collect();
    for round in 0..20 {
        gateway.reload(&format!("{routes}\nlimits: {{ headers: {} }}", 50 + round));
        assert_eq!(alice.get("/page").status, 200);
    }
    gateway.reload("routes: [{ path: /canary, access: public }]");
    crate::support::wait_until("the new routes", || alice.get("/page").status == 404);
    stop.store(true, Ordering::SeqCst);
    assert!(canaries.into_iter().all(|canary| canary.join().expect("no failure") > 0));
}

#[test]
fn a_gateway_that_stops_finishes_what_it_has_begun() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        while conversation.request().is_some() {
            let _ = gone.lock().expect("whole").recv();
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
        }
    });
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ drain: 20s }}"));
    let address = gateway.address();
    let mut clients: Vec<_> = (0..20).map(|_| Raw::connect(address)).collect();
    let mut idle = Raw::connect(address);
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    }
    upstream.wait_for(20);
    let stopping = thread::spawn(move || gateway.stop());
    idle.expect_closed();
    drop(go);
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.text().as_str(), response.header("connection")), ("fine", Some("close")));
        client.expect_closed();
    }
    stopping.join().expect("it stops");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_gateway_that_stops_does_not_wait_for_ever() {
    let upstream = EchoUpstream::speaking(|mut conversation| drop(conversation.wait_for_end()));
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ drain: 100ms }}"));
    let mut client = Raw::connect(gateway.address());
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    crate::support::wait_until("the request is under way", || upstream.connections() == 1);
    gateway.stop();
    client.rest();
}
