//! HTTP/2: one client's connection, its streams answered side by side (RFC 9113, by hyper).
//!
//! Comes in: a connection's bytes. Goes out: each request to the gateway, each response to its stream.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::worker::{Busy, Worker};
use crate::body::RequestBody;
use crate::gateway::Arrival;
use crate::gateway::refusal::Refusal;
use crate::gateway::settings::Limits;
use crate::message::{Fields, RequestHead};
use crate::peer::Peer;
use crate::session::Memo;
use crate::stream::Stream;
use crate::wire::WireError;

mod departing;
mod guarded;

use departing::Departing;
use guarded::Guarded;

/// Envoy's advice for the edge: streams, window of a stream, window of a connection.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST: u32 = 64 * 1024;
/// How a peer that vanished is noticed.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Serves a connection until it ends. `start` are bytes that have been read already.
pub async fn serve(
    stream: Stream,
    start: Bytes,
    peer: Rc<Peer>,
    worker: Rc<Worker>,
    busy: Busy,
    redirect_to_https: bool,
) {
    let timeouts = worker.gateway().settings().timeouts;
    let streams = Rc::new(Cell::new(0_usize));
    let memo: Rc<RefCell<Memo>> = Rc::default();
    let io = Guarded::new(stream, start, streams.clone(), timeouts);
    busy.set(true);
    let service = service_fn(|request| {
        let (peer, memo, worker) = (peer.clone(), memo.clone(), worker.clone());
        let under_way = UnderWay::begin(&streams);
        async move {
            let (head, body) = received(request);
            let method = head.method.clone();
            let gateway = worker.gateway();
            let arrival = Box::new(Arrival { head, body, peer: peer.clone(), memo, redirect_to_https });
            let response = match within(&gateway.settings().limits, &arrival.head) {
                Ok(()) => gateway.handle(arrival).await,
                Err(error) => gateway.unreadable(&Refusal::Wire(error), &peer, http::Version::HTTP_2),
            };
            Ok::<_, Infallible>(Departing::response(response, &method, under_way, timeouts.body))
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .auto_date_header(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let draining = worker.draining();
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = draining => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("HTTP/2 connection ended: {error}");
    }
}

/// Runs hyper's tasks on this worker.
#[derive(Clone, Copy)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Counts a stream for as long as its response is on its way.
struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn begin(streams: &Rc<Cell<usize>>) -> Self {
        streams.set(streams.get() + 1);
        Self(streams.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Keeps a head within the limits and the grammar that HTTP/1 has; the pieces a client cuts its cookies into count as one field
/// (RFC 9113, section 8.2.3).
fn within(limits: &Limits, head: &RequestHead) -> Result<(), WireError> {
    if head.target.len() > limits.request_line {
        return Err(WireError::LineTooLong);
    }
    let fields = head.fields.iter().filter(|(name, _)| *name != "cookie").count();
    if fields > limits.headers || head.target.len() + head.fields.wire_size() > limits.header_bytes {
        return Err(WireError::HeadTooLarge);
    }
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if head.fields.iter().any(|(_, value)| blank(value.first()) || blank(value.last())) {
        return Err(WireError::Malformed("blanks around a field value (RFC 9113, section 8.2.1)"));
    }
    if head.fields.get_all("content-length").count() > 1 {
        return Err(WireError::Malformed("more than one Content-Length"));
    }
    Ok(())
}

/// hyper's request as ours: `:authority` becomes an absolute target.
fn received(request: http::Request<Incoming>) -> (RequestHead, RequestBody) {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = match parts.uri.authority() {
        Some(authority) if path == "*" && parts.method == http::Method::OPTIONS => {
            format!("http://{authority}")
        }
        Some(_) if path == "*" => path.to_owned(),
        Some(authority) => format!("http://{authority}{path}"),
        None => path.to_owned(),
    };
    let fields = Fields::from(&parts.headers);
    let head = RequestHead { method: parts.method, target, version: http::Version::HTTP_2, fields };
    (head, RequestBody::http2(body))
}
