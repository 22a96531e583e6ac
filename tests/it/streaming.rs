//! Streams: every piece goes on as it comes, nothing is gathered, and who goes away is noticed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use http_body_util::BodyExt as _;

use crate::support::http2::{request, whole};
use crate::support::{Browser, EchoUpstream, Http2, Raw, TestGateway, wait_until};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Opened by a test when the upstream may go on.
struct Gate(Mutex<Receiver<()>>);

fn gate() -> (Sender<()>, Gate) {
    let (open, waiting) = mpsc::channel();
    (open, Gate(Mutex::new(waiting)))
}

impl Gate {
    /// Waits; goes on at once when the test is over.
    fn pass(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

/// Sends an event whenever the gate opens.
fn events(gate: Gate) -> EchoUpstream {
    EchoUpstream::speaking(move |mut conversation| {
        while conversation.request().is_some() {
            let _ = conversation.try_send(EVENTS);
            for _ in 0..3 {
                gate.pass();
                if conversation.try_send("9\r\ndata: x\n\n\r\n").is_err() {
                    return;
                }
            }
            let _ = conversation.try_send("0\r\n\r\n");
        }
    })
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let (open, gate) = gate();
    let upstream = events(gate);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    assert_eq!(client.head().status, 200, "the head comes before any event");
    for _ in 0..3 {
        open.send(()).expect("the upstream waits");
        assert_eq!(client.bytes(14), b"9\r\ndata: x\n\n\r\n");
    }
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
}

#[test]
fn each_event_arrives_before_the_next_is_sent_over_http2() {
    let (open, gate) = gate();
    let upstream = events(gate);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Http2::connect(gateway.address());
    let (runtime, sender) = client.parts();
    runtime.block_on(async {
        let response = sender.send_request(request("GET", "http://a.example/", &[], whole(""))).await;
        let mut body = response.expect("a head").into_body();
        for _ in 0..3 {
            open.send(()).expect("the upstream waits");
            let frame = body.frame().await.expect("an event").expect("whole");
            assert_eq!(frame.into_data().expect("data"), "data: x\n\n");
        }
        assert!(
            body.frame()
                .await
                .is_none_or(|frame| frame.expect("whole").into_data().is_ok_and(|data| data.is_empty()))
        );
    });
}

#[test]
fn an_event_stream_may_be_quiet_for_longer_than_other_answers() {
    let (open, gate) = gate();
    let upstream = events(gate);
    let yaml =
        format!("{PUBLIC}\nupstream: {{ servers: ['http://$UPSTREAM'], timeouts: {{ response: 50ms }} }}");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut client = Raw::connect(gateway.address());
    client.send(GET);
    assert_eq!(client.head().status, 200);
    wait_until("more than 50 ms", {
        let start = std::time::Instant::now();
        move || start.elapsed() > Duration::from_millis(150)
    });
    open.send(()).expect("the upstream waits");
    assert_eq!(client.bytes(14), b"9\r\ndata: x\n\n\r\n");
}

#[test]
fn a_body_is_passed_on_while_it_arrives() {
    let (pieces, arrived) = mpsc::channel();
    let pieces = Mutex::new(pieces);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        let Some(_) = conversation.head() else { return };
        while let Some(piece) = conversation.bytes(5) {
            let _ = pieces.lock().expect("whole").send(piece.clone());
            if piece == b"last!" {
                let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 15\r\n\r\n");
    for piece in ["first", "secon", "last!"] {
        client.send(piece);
        assert_eq!(arrived.recv().expect("it arrives"), piece.as_bytes());
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_client_that_goes_away_frees_the_upstream() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if let Some(request) = conversation.request() {
            if request.target() == "/begun" {
                let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            }
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    for (number, target) in ["/waiting", "/begun"].into_iter().enumerate() {
        let get = GET.replace("GET / ", &format!("GET {target} "));
        let mut closing = Raw::connect(gateway.address());
        closing.send(&get);
        let mut resetting = Raw::connect(gateway.address());
        resetting.send(&get);
        upstream.wait_for(2 * number + 2);
        if target == "/begun" {
            assert_eq!(closing.bytes(10), b"HTTP/1.1 2");
        }
        drop(closing);
        resetting.reset();
        upstream.wait_for_open_connections(0);
    }
}

/// Agrees to any upgrade, says `hello` in a WebSocket frame at once, and sends back every byte.
fn echo_socket() -> EchoUpstream {
    EchoUpstream::speaking(|mut conversation| {
        let Some(request) = conversation.request() else { return };
        if request.header("upgrade") != Some("websocket") {
            let _ = conversation.try_send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let _ = conversation.try_send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: x\r\n\r\n\x81\x05hello",
        );
        while let Some(byte) = conversation.bytes(1) {
            if conversation.try_send(byte).is_err() {
                return;
            }
        }
    })
}

/// A socket of this browser's, opened; `early` follows the handshake at once.
#[track_caller]
fn open_socket(browser: &Browser, gateway: &TestGateway, early: &[u8]) -> Raw {
    let fields = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let mut socket = Raw::connect(gateway.address());
    let handshake = browser.head("GET", "/socket", &fields) + "\r\n";
    socket.send([handshake.as_bytes(), early].concat());
    let head = socket.head();
    assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")), "{}", head.head);
    assert_eq!(head.header("sec-websocket-accept"), Some("x"));
    assert_eq!(socket.bytes(7), b"\x81\x05hello");
    socket
}

const TEXT: &[u8] = b"\x81\x84\0\0\0\0text";

#[test]
fn a_websocket_carries_bytes_both_ways() {
    let upstream = echo_socket();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut socket = open_socket(&Browser::of(&gateway), &gateway, TEXT);
    assert_eq!(socket.bytes(TEXT.len()), TEXT, "what followed the handshake at once");
    for _ in 0..100 {
        socket.send(TEXT);
        assert_eq!(socket.bytes(TEXT.len()), TEXT);
    }
    socket.half_close();
    socket.expect_closed();
    upstream.wait_for_open_connections(0);
}

#[test]
fn a_websocket_is_closed_when_its_session_ends() {
    for how in ["logout", "idle"] {
        let upstream = echo_socket();
        let gateway = TestGateway::before(&upstream, "session: { idle_timeout: 30m }");
        let mut alice = Browser::of(&gateway);
        alice.sign_in("alice");
        let mut bob = Browser::of(&gateway);
        bob.sign_in("bob");
        let mut socket = open_socket(&alice, &gateway, b"");
        let mut other = open_socket(&bob, &gateway, b"");
        match how {
            "logout" => drop(alice.sign_out()),
            _ => {
                gateway.advance(Duration::from_secs(20 * 60));
                bob.get("/_cloakroom/nothing");
                assert_eq!(bob.get("/").status, 426);
                gateway.advance(Duration::from_secs(11 * 60));
            }
        }
        assert_eq!(socket.bytes(4), b"\x88\x02\x03\xf0", "1008, {how}");
        socket.expect_closed();
        other.send(TEXT);
        assert_eq!(other.bytes(TEXT.len()), TEXT, "bob's goes on, {how}");
    }
}

#[test]
fn a_websocket_is_told_when_the_gateway_stops() {
    let upstream = echo_socket();
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ drain: 20s }}"));
    let mut socket = open_socket(&Browser::of(&gateway), &gateway, b"");
    gateway.stop();
    assert_eq!(socket.bytes(4), b"\x88\x02\x03\xe9", "1001");
    socket.expect_closed();
}

#[test]
fn an_event_stream_ends_with_its_session() {
    let (open, gate) = gate();
    let upstream = events(gate);
    let gateway = TestGateway::before(&upstream, "");
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let mut stream = Raw::connect(gateway.address());
    stream.send(alice.head("GET", "/events", &[("Accept", "text/event-stream")]) + "\r\n");
    assert_eq!(stream.head().status, 200);
    open.send(()).expect("the upstream waits");
    assert_eq!(stream.bytes(14), b"9\r\ndata: x\n\n\r\n");
    alice.sign_out();
    assert_eq!(stream.bytes(5), b"0\r\n\r\n");
    drop(open);
    upstream.wait_for_open_connections(0);
}
