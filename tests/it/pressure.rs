//! Back-pressure: large bodies through narrow places, either way. Nothing is gathered, nothing is lost, nothing hangs.

use std::io::Write as _;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::support::http2::{request, whole};
use crate::support::{EchoUpstream, Http2, Raw, RawHttp2, TestGateway, wait_until};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
/// More than the system's buffers between two ends of which one is narrow.
const LARGE: usize = 6_000_000;

/// What the system's own buffers of two connections may hold, and a little of ours.
const BOUND: usize = 48 << 20;

/// Bytes of which none can go missing unnoticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..251_u8).cycle().take(length).collect()
}

/// Opened by a test when somebody may go on; goes on at once when the test is over.
struct Gate(Mutex<Receiver<()>>);

fn gate() -> (Sender<()>, Gate) {
    let (open, waiting) = mpsc::channel();
    (open, Gate(Mutex::new(waiting)))
}

impl Gate {
    fn pass(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

/// Writes until nothing is taken any more; how many bytes were.
fn fill(mut stream: &std::net::TcpStream) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("not zero");
    let (mut taken, piece) = (0, [b'x'; 64 * 1024]);
    while let Ok(count @ 1..) = stream.write(&piece) {
        taken += count;
        if taken > BOUND {
            break;
        }
    }
    taken
}

#[test]
fn a_slow_reader_does_not_make_the_gateway_gather() {
    for http2 in [false, true] {
        let (stuck, filled) = mpsc::channel();
        let stuck = Mutex::new(stuck);
        let upstream = EchoUpstream::speaking(move |mut conversation| {
            let Some(_) = conversation.request() else { return };
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n");
            let _ = stuck.lock().expect("whole").send(fill(conversation.stream()));
            conversation.wait_for_end();
        });
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let (mut client, mut client2);
        if http2 {
            client2 = RawHttp2::connect(gateway.address());
            let get = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];
            client2.headers(1, &get, 1);
        } else {
            client = Raw::connect(gateway.address());
            client.send(GET);
        }
        let taken = filled.recv().expect("the upstream gets stuck");
        assert!(taken <= BOUND, "{taken} bytes were taken from the upstream");
    }
}

#[test]
fn a_slow_upstream_does_not_make_the_gateway_gather() {
    let (_open, gate) = gate();
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        let _ = conversation.head();
        gate.pass();
    });
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\nlimits: {{ body: 0B }}"));
    let mut client = Raw::connect(gateway.address());
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10000000000\r\n\r\n");
    let taken = fill(client.stream());
    assert!(taken <= BOUND, "{taken} bytes were taken from the client");
}

#[test]
fn a_slow_reader_gets_every_byte() {
    for framing in ["length", "chunks", "end"] {
        let upstream = EchoUpstream::speaking(move |mut conversation| {
            while conversation.request().is_some() {
                let body = pattern(LARGE);
                let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
                let _ = match framing {
                    "length" => conversation.try_send([length.as_bytes(), &body].concat()),
                    "chunks" => {
                        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                        let size = format!("{head}{LARGE:x}\r\n");
                        conversation.try_send([size.as_bytes(), &body, b"\r\n0\r\nX-T: 1\r\n\r\n"].concat())
                    }
                    _ => {
                        let _ = conversation.try_send([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat());
                        return;
                    }
                };
            }
        });
        let gateway = TestGateway::before(&upstream, PUBLIC);
        let expected = pattern(LARGE);
        let mut client = Raw::connect_narrow(gateway.address());
        client.send(GET);
        let response = client.response();
        assert!(response.complete && response.body == expected, "{framing}");
        let mut client = Raw::connect_narrow(gateway.address());
        client.send("GET / HTTP/1.0\r\n\r\n");
        let old = client.response();
        assert!(old.complete && old.body == expected, "{framing} to an old client");
        let over_http2 = Http2::connect(gateway.address()).get("http://a.example/", &[]);
        assert!(over_http2.into_body().to_bytes() == expected, "{framing} over HTTP/2");
    }
}

/// Reads no body before the gate opens, then all of it, by way of a small buffer.
fn hesitant(gate: Gate) -> EchoUpstream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("it is TCP");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    socket.listen(16).expect("it is bound");
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().expect("it is bound");
    EchoUpstream::on(listener, address, move |mut conversation| {
        while let Some(head) = conversation.head() {
            gate.pass();
            if conversation.body(head).is_none() {
                return;
            }
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    })
}

#[test]
fn a_slow_upstream_gets_every_byte() {
    let (open, gate) = gate();
    let upstream = hesitant(gate);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let body = pattern(LARGE);
    for head in [
        format!("Content-Length: {LARGE}\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\n{LARGE:x}\r\n"),
    ] {
        let end = if head.starts_with('T') { "\r\n0\r\n\r\n" } else { "" };
        let client = Raw::connect(gateway.address());
        let mut writer = client.stream().try_clone().expect("open");
        let bytes =
            [format!("POST / HTTP/1.1\r\nHost: a.example\r\n{head}").as_bytes(), &body, end.as_bytes()]
                .concat();
        let writing = thread::spawn(move || writer.write_all(&bytes));
        let mut client = client;
        open.send(()).expect("the upstream waits");
        assert_eq!(client.response().status, 200);
        writing.join().expect("no panic").expect("all of it was taken");
    }
    open.send(()).expect("the upstream waits");
    let text = String::from_utf8(vec![b'h'; LARGE]).expect("text");
    let over_http2 =
        Http2::connect(gateway.address()).ask(request("POST", "http://a.example/", &[], whole(&text)));
    assert_eq!(over_http2.status(), 200);
    let seen = upstream.requests();
    assert!(seen[0].body == body && seen[1].body == body && seen[2].body == text.as_bytes());
}

#[test]
fn an_answer_may_run_beside_its_request() {
    // The upstream answers each piece as it reads it; neither side ever holds the whole.
    let upstream = EchoUpstream::speaking(|mut conversation| {
        let Some(_) = conversation.head() else { return };
        let _ = conversation.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        let mut left = LARGE;
        while left > 0 {
            let Some(piece) = conversation.bytes(left.min(10_000)) else { return };
            left -= piece.len();
            if conversation.try_send(piece).is_err() {
                return;
            }
        }
        conversation.wait_for_end();
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    let mut writer = client.stream().try_clone().expect("open");
    let head = format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {LARGE}\r\n\r\n");
    let bytes = [head.as_bytes(), &pattern(LARGE)].concat();
    let writing = thread::spawn(move || writer.write_all(&bytes));
    let response = client.response();
    assert!(response.complete && response.body == pattern(LARGE));
    writing.join().expect("no panic").expect("all of it was taken");
}

#[test]
fn a_tunnel_loses_nothing_under_pressure() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        let Some(_) = conversation.request() else { return };
        let _ = conversation.try_send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let mut left = LARGE;
        while left > 0 {
            let Some(piece) = conversation.bytes(left.min(10_000)) else { return };
            left -= piece.len();
            if conversation.try_send(piece).is_err() {
                return;
            }
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status, 101);
    let mut writer = client.stream().try_clone().expect("open");
    let writing = thread::spawn(move || writer.write_all(&pattern(LARGE)));
    assert!(client.bytes(LARGE) == pattern(LARGE));
    writing.join().expect("no panic").expect("all of it was taken");
    client.expect_closed();
}

#[test]
fn answers_to_pipelined_requests_wait_for_a_slow_reader() {
    let piece = pattern(300_000);
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", piece.len()).as_bytes(), &piece].concat();
    let upstream = EchoUpstream::answering(answer);
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Raw::connect(gateway.address());
    client.send(GET.repeat(50));
    wait_until("the first answers", || !upstream.requests().is_empty());
    for _ in 0..50 {
        assert!(client.response().body == piece);
    }
    assert_eq!(upstream.connections(), 1);
}
