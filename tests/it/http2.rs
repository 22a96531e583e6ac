//! HTTP/2 from clients (RFC 9113), by prior knowledge: what cannot be said in HTTP/1 never gets that far.

use std::time::Duration;

use http_body_util::BodyExt as _;

use crate::support::http2::{self, Answered, DATA, END_STREAM, GOAWAY, HEADERS, SETTINGS, WINDOW_UPDATE};
use crate::support::http2::{pieces, request, whole};
use crate::support::{EchoUpstream, Http2, RawHttp2, TestGateway, wait_until};

const PUBLIC: &str = "routes: [{ path: /, access: public }]";

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];

fn public() -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, PUBLIC);
    (upstream, gateway)
}

/// Neither answered with success nor left alone.
#[track_caller]
fn assert_refused(answered: &Answered, what: &str) {
    let refused = match answered {
        Answered::Status(status) => (400..500).contains(status),
        Answered::Reset(_) | Answered::GoAway(_) => true,
        Answered::Closed => false,
    };
    assert!(refused, "{what}: {answered:?}");
}

#[test]
fn requests_are_answered_side_by_side() {
    let (upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    for stream in (1..200).step_by(2) {
        client.headers(stream, &GET, END_STREAM);
    }
    let mut answered = 0;
    while answered < 100 {
        let frame = client.frame().expect("the connection stays");
        answered += usize::from(frame.kind == HEADERS);
        if frame.kind == DATA && !frame.payload.is_empty() {
            let size = u32::try_from(frame.payload.len()).expect("short").to_be_bytes();
            client.send(WINDOW_UPDATE, 0, 0, &size);
        }
    }
    assert_eq!(upstream.requests().len(), 100);
}

#[test]
fn a_body_goes_up_with_its_length_or_in_chunks() {
    let (upstream, gateway) = public();
    let mut client = Http2::connect(gateway.address());
    let url = "http://a.example/x?y";
    assert_eq!(client.ask(request("POST", url, &[], whole("hello"))).status(), 200);
    assert_eq!(client.ask(request("POST", url, &[], pieces(&["hel", "lo"], &[]))).status(), 200);
    assert_eq!(client.ask(request("POST", url, &[], pieces(&[], &[]))).status(), 200);
    let seen = upstream.requests();
    assert_eq!((seen[0].header("content-length"), seen[0].body.as_slice()), (Some("5"), &b"hello"[..]));
    assert_eq!(
        (seen[1].header("transfer-encoding"), seen[1].body.as_slice()),
        (Some("chunked"), &b"hello"[..])
    );
    assert!(seen[2].body.is_empty() && seen[2].complete);
    assert!(seen.iter().all(|seen| seen.header("host") == Some("a.example") && seen.target() == "/x?y"));
}

#[test]
fn malformed_requests_are_refused_and_never_reach_the_upstream() {
    let (upstream, gateway) = public();
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    let instead = |name: &str, value: &'static str| {
        let mut fields = GET.to_vec();
        fields.iter_mut().filter(|(found, _)| *found == name).for_each(|field| field.1 = value);
        fields
    };
    let without = |name: &str| GET.iter().copied().filter(|(found, _)| *found != name).collect::<Vec<_>>();
    let cases = [
        with(&[("X-Upper", "1")]),
        with(&[("x\r\ny", "1")]),
        with(&[("x y", "1")]),
        with(&[("x:y", "1")]),
        with(&[("", "1")]),
        with(&[("x-a", "1\r\nx-auth-user: root")]),
        with(&[("x-a", "1\nx-auth-user: root")]),
        with(&[("x-a", "1\0")]),
        with(&[("connection", "close")]),
        with(&[("connection", "x-auth-user")]),
        with(&[("keep-alive", "1")]),
        with(&[("proxy-connection", "1")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("host", "b.example")]),
        with(&[("host", "a.example"), ("host", "a.example")]),
        with(&[("host", "a.example"), ("host", "b.example")]),
        with(&[(":path", "/again")]),
        with(&[(":odd", "1")]),
        with(&[(":status", "200")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "x")]),
        with(&[("content-length", "0"), ("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
        with(&[("x-a", " b")]),
        with(&[("x-a", "b\t")]),
        instead(":path", ""),
        instead(":path", "x"),
        instead(":path", "*"),
        instead(":path", "/a b"),
        instead(":path", "/ HTTP/1.1\r\nx-auth-user: root\r\n\r\n"),
        instead(":path", "/\u{ed95}"),
        instead(":method", "G T"),
        instead(":method", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
        instead(":method", ""),
        instead(":method", "TRACE"),
        instead(":authority", "user@a.example"),
        instead(":authority", "a.example/x"),
        instead(":authority", "a b"),
        instead(":authority", "a.example\r\nx: y"),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        vec![(":method", "CONNECT"), (":authority", "a.example:443")],
        [&[("x-a", "1")][..], &GET].concat(),
    ];
    for fields in cases {
        let mut client = RawHttp2::connect(gateway.address());
        client.headers(1, &fields, END_STREAM);
        let answered = client.answer(1);
        assert_refused(&answered, &format!("{fields:?}"));
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests()[0].head);
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("root"));
}

#[test]
fn a_body_must_be_as_long_as_it_says() {
    let (upstream, gateway) = public();
    for (said, pieces) in [
        ("5", &["hell"][..]),
        ("5", &["hello!"]),
        ("5", &["hello", "!"]),
        ("5", &[]),
        ("0", &["hello"]),
        ("4", &["hel", "lo"]),
        ("18446744073709551616", &["hello"]),
        ("+5", &["hello"]),
        ("5, 5", &["hello"]),
    ] {
        let mut client = RawHttp2::connect(gateway.address());
        let fields = [&POST[..], &[("content-length", said)]].concat();
        client.headers(1, &fields, if pieces.is_empty() { END_STREAM } else { 0 });
        for (number, piece) in pieces.iter().enumerate() {
            let flags = if number + 1 == pieces.len() { END_STREAM } else { 0 };
            client.send(DATA, flags, 1, piece.as_bytes());
        }
        assert_refused(&client.answer(1), &format!("{said}: {pieces:?}"));
    }
    upstream.wait_for_open_connections(0);
    assert!(upstream.requests().is_empty(), "{}", upstream.requests()[0].head);
}

#[test]
fn pseudo_fields_in_trailers_and_fragments_in_paths_go_nowhere() {
    let (upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    client.headers(1, &POST, 0);
    client.send(DATA, 0, 1, b"hello");
    client.headers(1, &[(":path", "/admin"), ("x-a", "1")], END_STREAM);
    client.answer(1);
    let mut fields = GET;
    fields[3].1 = "/a#/../admin";
    client.headers(3, &fields, END_STREAM);
    client.answer(3);
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("admin"));
}

#[test]
fn crumbs_of_cookies_arrive_as_one() {
    let (upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    let crumbs = [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")];
    client.headers(1, &[&GET[..], &crumbs].concat(), END_STREAM);
    assert_eq!(client.answer(1), Answered::Status(200));
    assert_eq!(upstream.only_request().header("cookie"), Some("a=1; b=2; c=3; d=4"));
}

#[test]
fn the_authority_becomes_the_host() {
    let (upstream, gateway) = public();
    for more in [&[][..], &[("host", "a.example")]] {
        let mut client = RawHttp2::connect(gateway.address());
        client.headers(1, &[&GET[..], more].concat(), END_STREAM);
        assert_eq!(client.answer(1), Answered::Status(200));
        assert_eq!(upstream.requests().pop().expect("it arrived").header("host"), Some("a.example"));
    }
    // Without :authority a host will do (RFC 9113, section 8.3.1).
    let mut client = RawHttp2::connect(gateway.address());
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "b.example")];
    client.headers(1, &fields, END_STREAM);
    assert_eq!(client.answer(1), Answered::Status(200));
    assert_eq!(upstream.requests().pop().expect("it arrived").header("host"), Some("b.example"));
}

#[test]
fn what_concerns_an_http1_connection_never_comes_down() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
    );
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let response = Http2::connect(gateway.address()).get("http://a.example/", &[]);
    for name in ["connection", "keep-alive", "transfer-encoding", "x-hop"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.into_body().to_bytes(), "fine");
}

#[test]
fn a_truncated_answer_is_a_reset_stream() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        let whole = conversation.request().is_some_and(|request| request.target() == "/whole");
        let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        let _ = conversation.try_send([half, if whole { "0\r\n\r\n" } else { "" }].concat());
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = Http2::connect(gateway.address());
    let (runtime, sender) = client.parts();
    let whole = runtime.block_on(async {
        let response = sender.send_request(request("GET", "http://a.example/", &[], whole_body())).await?;
        response.into_body().collect().await
    });
    assert!(whole.is_err(), "it looks whole");
    let again = client.get("http://a.example/whole", &[]);
    assert_eq!(again.into_body().to_bytes(), "half", "the connection carries on");
}

fn whole_body() -> http2::AnyBody {
    whole("")
}

#[test]
fn a_stream_that_the_client_resets_frees_the_upstream() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, PUBLIC);
    let mut client = RawHttp2::connect(gateway.address());
    client.headers(1, &GET, END_STREAM);
    upstream.wait_for(1);
    client.send(http2::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    upstream.wait_for_open_connections(0);
}

#[test]
fn a_rapid_reset_ends_in_a_calm_word_and_others_are_served() {
    let (_upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    for stream in (1..20_000).step_by(2) {
        client.headers(stream, &GET, END_STREAM);
        client.send(http2::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    let ended = loop {
        match client.frame() {
            Some(frame) if frame.kind == GOAWAY => break true,
            Some(_) => {}
            None => break true,
        }
    };
    assert!(ended);
    assert_eq!(Http2::connect(gateway.address()).get("http://a.example/", &[]).status(), 200);
}

#[test]
fn endless_continuations_end_the_connection() {
    let (upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    client.send(HEADERS, END_STREAM, 1, &http2::block(&GET));
    for number in 0..2_000 {
        let name = format!("x-{number}");
        client.send(9, 0, 1, &http2::block(&[(&name, "0123456789012345678901234567890123456789")]));
    }
    assert_refused(&client.answer(1), "continuations");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_huge_header_list_is_refused() {
    let (upstream, gateway) = public();
    let big = "a".repeat(15_000);
    let mut client = RawHttp2::connect(gateway.address());
    client.headers(1, &[&GET[..], &[("x-a", big.as_str())]].concat(), END_STREAM);
    assert_eq!(client.answer(1), Answered::Status(200), "15 KB is within the limit");
    let mut client = RawHttp2::connect(gateway.address());
    client.send(HEADERS, END_STREAM, 1, &http2::block(&GET));
    for number in 0..6 {
        let name = format!("x-{number}");
        client.send(9, if number == 5 { 4 } else { 0 }, 1, &http2::block(&[(&name, &big)]));
    }
    assert_refused(&client.answer(1), "90 KB of fields");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn what_the_gateway_offers_is_what_the_edge_should() {
    let (_upstream, gateway) = public();
    let mut client = RawHttp2::connect(gateway.address());
    let settings = loop {
        let frame = client.frame().expect("its settings come");
        if frame.kind == SETTINGS && frame.flags == 0 {
            break frame.payload;
        }
    };
    let setting = |wanted: u16| {
        let mut all = settings.chunks_exact(6);
        let found = all.find(|setting| setting[..2] == wanted.to_be_bytes())?;
        Some(u32::from_be_bytes([found[2], found[3], found[4], found[5]]))
    };
    assert_eq!(setting(3), Some(100), "streams at the same time");
    assert!(setting(4).is_none_or(|window| window <= 65_536), "a stream's window");
    assert!(setting(6).is_some_and(|list| list <= 65_536), "a header list");
    assert!(setting(2).is_none_or(|push| push <= 1));
}

#[test]
fn half_a_header_block_is_not_waited_for() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ header: 200ms }}"));
    for bytes in
        [&b"PRI * HTTP/2.0\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x10\x01\0"]
    {
        let mut client = crate::support::Raw::connect(gateway.address());
        client.send(bytes);
        client.rest();
    }
    let mut client = RawHttp2::connect(gateway.address());
    client.send(HEADERS, END_STREAM, 1, &http2::block(&GET));
    assert!(matches!(client.answer(1), Answered::Closed | Answered::GoAway(_)));
    assert!(upstream.bytes().is_empty());
}

#[test]
fn a_connection_in_use_is_not_taken_for_idle() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &format!("{PUBLIC}\ntimeouts: {{ idle: 300ms }}"));
    let mut client = Http2::connect(gateway.address());
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        assert_eq!(client.get("http://a.example/", &[]).status(), 200);
    }
}

#[test]
fn requests_under_way_finish_when_the_gateway_stops() {
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
    let mut client = Http2::connect(address);
    let (runtime, sender) = client.parts();
    let answer = sender.send_request(request("GET", "http://a.example/", &[], whole_body()));
    let answer = runtime.spawn(async move {
        let response = answer.await.expect("a head");
        response.into_body().collect().await.expect("a whole body").to_bytes()
    });
    let seen = runtime.block_on(async {
        tokio::task::yield_now().await;
        while upstream.requests().is_empty() {
            tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
        }
        upstream.requests().len()
    });
    assert_eq!(seen, 1);
    let stopping = std::thread::spawn(move || gateway.stop());
    wait_until("no more connections are taken", || std::net::TcpStream::connect(address).is_err());
    go.send(()).expect("the upstream waits");
    assert_eq!(runtime.block_on(answer).expect("no panic"), "fine");
    stopping.join().expect("it stops");
}
