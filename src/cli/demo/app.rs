//! The demo application: a small old-fashioned web application without login or state.
//!
//! Comes in: a listener. Goes out: pages, an echo, an event stream. It believes the gateway's headers, as applications
//! behind Cloakroom do, so it must only ever listen where nobody but the gateway can reach it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::page::{self, Reader};
use super::websocket;

const LONGEST_FORM: usize = 16 * 1024;
const LONGEST_WAIT_MS: u64 = 120_000;
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

type Body = Either<Full<Bytes>, Ticks>;

/// Serves the application until the runtime ends.
pub async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream));
            }
            // Out of descriptors, most likely: some are free again after a moment.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(90))
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades();
    // A client that breaks off is no news here.
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let reader = Reader::from_headers(request.headers());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    Ok(match request.uri().path() {
        "/form" if request.method() == Method::POST => form(&reader, request).await,
        "/form" => not_allowed(&reader, "POST"),
        _ if !is_read => not_allowed(&reader, "GET, HEAD"),
        "/" => html(StatusCode::OK, page::home(&reader, request.headers())),
        "/public/" => html(StatusCode::OK, page::public(&reader)),
        "/public/demo.css" => asset("text/css; charset=utf-8", include_str!("demo.css")),
        "/public/demo.js" => asset("text/javascript; charset=utf-8", include_str!("demo.js")),
        "/staff/" => html(StatusCode::OK, page::staff(&reader)),
        "/finance/" => html(StatusCode::OK, page::finance(&reader)),
        "/websocket" => html(StatusCode::OK, page::websocket(&reader)),
        "/ticks" => html(StatusCode::OK, page::ticks(&reader)),
        "/echo" => echo(&reader, request),
        "/events" => events(),
        "/slow" => slow(&reader, request.uri().query()).await,
        _ => html(
            StatusCode::NOT_FOUND,
            page::message(&reader, "Not found", "There is no such page in this application."),
        ),
    })
}

async fn form(reader: &Reader, request: Request<Incoming>) -> Response<Body> {
    match Limited::new(request.into_body(), LONGEST_FORM).collect().await {
        Ok(body) => html(StatusCode::OK, page::form(reader, &body.to_bytes())),
        Err(_) => html(
            StatusCode::PAYLOAD_TOO_LARGE,
            page::message(reader, "Too long", "A form may have 16 KiB here, and must arrive whole."),
        ),
    }
}

fn echo(reader: &Reader, request: Request<Incoming>) -> Response<Body> {
    let Some(accept) = websocket::accept(request.headers()) else {
        let text = "This address speaks WebSocket, version 13.";
        let mut response = html(StatusCode::UPGRADE_REQUIRED, page::message(reader, "WebSocket only", text));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            websocket::echo(TokioIo::new(upgraded)).await;
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Either::Left(Full::default()))
        .expect("base64 is a header value")
}

fn events() -> Response<Body> {
    let mut interval = interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut response = Response::new(Either::Right(Ticks { interval, count: 0 }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn slow(reader: &Reader, query: Option<&str>) -> Response<Body> {
    let asked = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("ms=")));
    let wait = asked.and_then(|ms| ms.parse().ok()).unwrap_or(1_000).min(LONGEST_WAIT_MS);
    sleep(Duration::from_millis(wait)).await;
    let text = format!("This answer took {wait} milliseconds. Others were served in the meantime.");
    html(StatusCode::OK, page::message(reader, "At last", &text))
}

fn not_allowed(reader: &Reader, allowed: &'static str) -> Response<Body> {
    let text = format!("This address takes {allowed}.");
    let mut response = html(StatusCode::METHOD_NOT_ALLOWED, page::message(reader, "Not like this", &text));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn html(status: StatusCode, page: String) -> Response<Body> {
    let mut response = asset("text/html; charset=utf-8", page);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn asset(content_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A body that never ends: an event now, and one every second.
struct Ticks {
    interval: Interval,
    count: u64,
}

impl http_body::Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.interval.poll_tick(context).map(|_| {
            self.count += 1;
            Some(Ok(Frame::data(format!("data: {}\n\n", self.count).into())))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_tungstenite::tungstenite::{self, Message};

    use super::*;

    async fn started() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        address
    }

    async fn ask(request: &str) -> String {
        let mut stream = TcpStream::connect(started().await).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn the_home_page_greets_and_shows_the_headers_it_received() {
        let answer =
            ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Auth-User: alice\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(answer.contains("<h1>Hello, alice</h1>"));
        assert!(answer.contains("<tr class=\"ours\"><td>x-auth-user</td><td>alice</td></tr>"));
    }

    #[tokio::test]
    async fn a_form_beyond_its_limit_is_refused() {
        let request = |length: usize| {
            let body = "x".repeat(length);
            format!(
                "POST /form HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        assert!(ask(&request(LONGEST_FORM)).await.starts_with("HTTP/1.1 200"));
        assert!(ask(&request(LONGEST_FORM + 1)).await.starts_with("HTTP/1.1 413"));
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_allowed_is_said() {
        assert!(
            ask("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 404")
        );
        assert!(
            ask("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 405")
        );
        assert!(
            ask("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 426")
        );
    }

    #[tokio::test]
    async fn events_arrive_one_by_one() {
        let mut stream = TcpStream::connect(started().await).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"data: 2\n\n\r\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert!(String::from_utf8(answer).unwrap().contains("content-type: text/event-stream\r\n"));
    }

    #[tokio::test]
    async fn a_websocket_client_gets_its_messages_back() {
        let url = format!("ws://{}/echo", started().await);
        let conversation = move || {
            let (mut socket, _) = tungstenite::connect(url).unwrap();
            let blobs = [vec![0; 65_536], vec![1; 200], Vec::new()].map(Message::binary);
            for message in blobs.into_iter().chain([Message::text("안녕")]) {
                socket.send(message.clone()).unwrap();
                assert_eq!(socket.read().unwrap(), message);
            }
            socket.close(None).unwrap();
            assert!(socket.read().unwrap().is_close());
        };
        tokio::task::spawn_blocking(conversation).await.unwrap();
    }
}
