//! The demo application: a small old-fashioned web application without login or state.
//!
//! Comes in: a listener. Goes out: pages, an echo, an event stream, and what the gateway is to remember. It believes the gateway's headers, as applications
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

use super::form::Form;
use super::instructions::Change;
use super::page;
use super::reader::Reader;
use super::{account, areas, home, live, notice, preferences, shop, websocket};

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
    Ok(match *request.method() {
        Method::GET | Method::HEAD => get(&reader, request).await,
        Method::POST => post(&reader, request).await,
        _ => not_allowed(&reader, "GET, HEAD, POST"),
    })
}

/// What becomes of a form.
enum Posted {
    /// It is shown.
    Shown(fn(&Reader, &Form) -> String),
    /// It changes something.
    Kept(fn(&Reader, &Form) -> Change),
}

fn posted(path: &str) -> Option<Posted> {
    match path {
        "/form" => Some(Posted::Shown(home::received)),
        "/shop/cart" => Some(Posted::Kept(shop::change_cart)),
        "/shop/note" => Some(Posted::Kept(shop::keep_note)),
        "/preferences/" => Some(Posted::Kept(preferences::keep)),
        "/preferences/notice" => Some(Posted::Kept(notice::hide)),
        "/account/sign-out" => Some(Posted::Kept(account::sign_out)),
        _ => None,
    }
}

async fn post(reader: &Reader, request: Request<Incoming>) -> Response<Body> {
    let Some(posted) = posted(request.uri().path()) else { return not_allowed(reader, "GET, HEAD") };
    let Ok(body) = Limited::new(request.into_body(), LONGEST_FORM).collect().await else {
        let heading = reader.say("Too long", "너무 깁니다");
        let text = reader.say(
            "A form may have 16 KiB here, and must arrive whole.",
            "양식은 16KiB까지이며, 빠짐없이 도착해야 합니다.",
        );
        return html(StatusCode::PAYLOAD_TOO_LARGE, page::message(reader, heading, text));
    };
    let form = Form::parse(&body.to_bytes());
    match posted {
        Posted::Shown(show) => html(StatusCode::OK, show(reader, &form)),
        Posted::Kept(keep) => see_other(&keep(reader, &form)),
    }
}

fn see_other(change: &Change) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static(change.to));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    change.instructions.write(headers);
    response
}

async fn get(reader: &Reader, request: Request<Incoming>) -> Response<Body> {
    let page = match request.uri().path() {
        "/" => {
            let mut response = html(StatusCode::OK, home::home(reader, request.headers()));
            if request.method() == Method::GET {
                home::seen(reader).write(response.headers_mut());
            }
            return response;
        }
        "/shop/" => shop::shop(reader),
        "/preferences/" => preferences::preferences(reader),
        "/account/" => account::account(reader),
        "/public/" => areas::public(reader),
        "/staff/" => areas::staff(reader),
        "/finance/" => areas::finance(reader),
        "/websocket" => live::websocket(reader),
        "/ticks" => live::ticks(reader),
        "/public/demo.css" => return asset("text/css; charset=utf-8", include_str!("demo.css")),
        "/public/demo.js" => return asset("text/javascript; charset=utf-8", include_str!("demo.js")),
        "/echo" => return echo(reader, request),
        "/events" => return events(),
        "/slow" => return slow(reader, request.uri().query()).await,
        path if posted(path).is_some() => return not_allowed(reader, "POST"),
        _ => {
            let heading = reader.say("Not found", "찾을 수 없습니다");
            let text = reader
                .say("There is no such page in this application.", "이 응용 프로그램에 없는 페이지입니다.");
            return html(StatusCode::NOT_FOUND, page::message(reader, heading, text));
        }
    };
    html(StatusCode::OK, page)
}

fn echo(reader: &Reader, request: Request<Incoming>) -> Response<Body> {
    let Some(accept) = websocket::accept(request.headers()) else {
        let heading = reader.say("WebSocket only", "웹소켓 전용");
        let text =
            reader.say("This address speaks WebSocket, version 13.", "이 주소는 웹소켓 버전 13을 씁니다.");
        let mut response = html(StatusCode::UPGRADE_REQUIRED, page::message(reader, heading, text));
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
    let text = reader.say(
        "This answer took N milliseconds. Others were served in the meantime.",
        "이 응답은 N밀리초 걸렸습니다. 그동안 다른 사람들도 응답을 받았습니다.",
    );
    let text = text.replacen('N', &wait.to_string(), 1);
    html(StatusCode::OK, page::message(reader, reader.say("At last", "드디어"), &text))
}

fn not_allowed(reader: &Reader, allowed: &'static str) -> Response<Body> {
    let text = reader
        .say("This address takes METHODS.", "이 주소는 METHODS 요청을 받습니다.")
        .replace("METHODS", allowed);
    let heading = reader.say("Not like this", "이렇게는 안 됩니다");
    let mut response = html(StatusCode::METHOD_NOT_ALLOWED, page::message(reader, heading, &text));
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
    async fn a_form_that_changes_something_is_answered_with_where_to_go_and_what_to_remember() {
        let answer = ask(
            "POST /shop/cart HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 12\r\n\r\nadd=cart-tea",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 303 See Other\r\nlocation: /shop/\r\n"), "{answer}");
        assert!(answer.contains("\r\nsession-add: cart-tea=1\r\n"), "{answer}");
        let form = ask("GET /shop/cart HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(form.starts_with("HTTP/1.1 405") && form.contains("\r\nallow: POST\r\n"), "{form}");
    }

    #[tokio::test]
    async fn a_visit_is_counted_when_the_page_was_asked_for() {
        let visit = |method: &str| format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(ask(&visit("GET")).await.contains("\r\nsession-add: visits=1\r\n"));
        assert!(!ask(&visit("HEAD")).await.contains("session-"));
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
