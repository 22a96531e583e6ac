//! What a request costs in allocations: a budget that is counted and never timed.
//!
//! In: a gateway with one worker in this process, and requests to it one after the other. Out: how often the process asked
//! for memory meanwhile. The client and the application ask for none, so all of it is the worker's. A program of its own
//! with a single test, because the count is of the whole process.

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use it::support::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW_UPDATE, block};
use it::support::{Browser, PATIENCE, TestGateway};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

mod it {
    #[expect(unused_imports, reason = "the other tests need more of it")]
    pub mod support;
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a proxied GET with a small response may cost. When fewer suffice, write the new number down, so that they stay
/// gone. When more are needed, find out first what asks for them.
const BUDGETS: [(&str, Client, usize); 4] = [
    ("a public route", get_public, 9),
    ("a session", get_with_session, 10),
    ("a public route, over HTTP/2", stream_public, 27),
    ("a session, over HTTP/2", stream_with_session, 28),
];

/// Connects, asks for something once with every call of what it returns, and reads the whole response.
type Client = fn(SocketAddr, &str) -> Box<dyn FnMut()>;

/// Requests before anything is counted: buffers and tables reach the size they keep.
const WARM_UP: usize = 50;
const REQUESTS: usize = 200;
/// Now and then something else asks for memory; the round with the fewest had none of that.
const ROUNDS: usize = 3;

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123456789";
const BODY: &[u8] = b"0123456789";

#[test]
fn a_request_keeps_to_its_budget_of_allocations() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream_address = upstream.local_addr().expect("it is bound");
    thread::spawn(move || upstream.incoming().for_each(|stream| application(stream.expect("a connection"))));
    let gateway = TestGateway::with(
        Some(upstream_address),
        "routes:
           - { path: /open, access: public }
           - { path: /, access: login }",
    );
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let found = BUDGETS.map(|(what, client, _)| {
        let mut ask = client(gateway.address(), &browser.cookie_header());
        (0..WARM_UP).for_each(|_| ask());
        (what, client, (0..ROUNDS).map(|_| per_request(&mut ask)).min().expect("more than one round"))
    });
    let told = |budgets: [(&'static str, Client, usize); 4]| budgets.map(|(what, _, count)| (what, count));
    assert_eq!(
        told(found),
        told(BUDGETS),
        "allocations per request, found and allowed; what to do is said at `BUDGETS` in {}",
        file!()
    );
}

/// Allocations per request. What the worker does after a response may count for this round or the next: rounding drops it.
fn per_request(ask: &mut dyn FnMut()) -> usize {
    let region = Region::new(ALLOCATOR);
    (0..REQUESTS).for_each(|_| ask());
    let change = region.change();
    (change.allocations + change.reallocations + REQUESTS / 2) / REQUESTS
}

/// Answers every request on one connection with the same bytes.
fn application(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += read;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            stream.write_all(RESPONSE).expect("the gateway reads");
            filled = 0;
        }
    }
}

fn get_public(gateway: SocketAddr, _cookie: &str) -> Box<dyn FnMut()> {
    get(gateway, "/open/page", "theme=dark")
}

fn get_with_session(gateway: SocketAddr, cookie: &str) -> Box<dyn FnMut()> {
    get(gateway, "/page", cookie)
}

fn get(gateway: SocketAddr, target: &str, cookie: &str) -> Box<dyn FnMut()> {
    let mut stream = connect(gateway);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\
         Accept-Encoding: gzip\r\nCookie: {cookie}\r\n\r\n"
    );
    let mut buffer = [0; 4096];
    Box::new(move || {
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        let mut filled = 0;
        while !buffer[..filled].ends_with(BODY) {
            filled += read(&mut stream, &mut buffer[filled..]);
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..filled]));
    })
}

fn stream_public(gateway: SocketAddr, _cookie: &str) -> Box<dyn FnMut()> {
    stream(gateway, "/open/page", "theme=dark")
}

fn stream_with_session(gateway: SocketAddr, cookie: &str) -> Box<dyn FnMut()> {
    stream(gateway, "/page", cookie)
}

/// One request per stream, one stream at a time, by prior knowledge.
fn stream(gateway: SocketAddr, target: &str, cookie: &str) -> Box<dyn FnMut()> {
    let mut connection = connect(gateway);
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the gateway reads");
    // No dynamic table, and room for all bodies there will be.
    connection.write_all(&frame(SETTINGS, 0, &[0, 1, 0, 0, 0, 0])).expect("the gateway reads");
    connection.write_all(&frame(WINDOW_UPDATE, 0, &[0, 16, 0, 0])).expect("the gateway reads");
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "app.example.com"),
        (":path", target),
        ("user-agent", "test"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("cookie", cookie),
    ];
    let mut request = frame(HEADERS, END_HEADERS | END_STREAM, &block(&fields));
    let mut buffer = [0; 4096];
    let mut number = 1_u32;
    Box::new(move || {
        request[5..9].copy_from_slice(&number.to_be_bytes());
        number += 2;
        connection.write_all(&request).expect("the gateway reads");
        loop {
            let (kind, flags, payload) = next_frame(&mut connection, &mut buffer);
            match kind {
                SETTINGS if flags == 0 => {
                    connection.write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]).expect("the gateway reads");
                }
                // `:status: 200` is one byte of the static table (RFC 7541, appendix A).
                HEADERS => assert!(payload.contains(&0x88), "{payload:x?}"),
                DATA if flags & END_STREAM != 0 => break,
                _ => {}
            }
        }
    })
}

/// A frame of stream 0 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[length[1], length[2], length[3], kind, flags, 0, 0, 0, 0], payload].concat()
}

/// The next frame: kind, flags, payload.
fn next_frame<'a>(connection: &mut TcpStream, buffer: &'a mut [u8]) -> (u8, u8, &'a [u8]) {
    let mut head = [0; 9];
    connection.read_exact(&mut head).expect("a frame");
    let payload = &mut buffer[..usize::from(head[1]) << 8 | usize::from(head[2])];
    connection.read_exact(payload).expect("a whole frame");
    (head[3], head[4], payload)
}

fn connect(gateway: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(gateway).expect("the gateway listens");
    stream.set_nodelay(true).expect("it is TCP");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time there is");
    stream
}

/// The bytes that come next; an end of the connection is a failure.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let read = stream.read(buffer).expect("the gateway answers");
    assert_ne!(read, 0, "the gateway closed the connection");
    read
}
