//! HTTP/2: one client's connection, its streams answered side by side (RFC 9113, by the `h2` crate).
//!
//! Comes in: a connection's bytes. Goes out: each request to the gateway, each response to its stream.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::header;

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
mod vanished;

use departing::Departing;
use guarded::Guarded;
use vanished::Vanished;

/// Envoy's advice for the edge: streams, window of a stream, window of a connection.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST: u32 = 64 * 1024;
/// What may wait for a client that opens no window, for each stream.
const SEND_BUFFER: usize = 64 * 1024;

/// What the streams of a connection share.
struct Shared {
    peer: Rc<Peer>,
    worker: Rc<Worker>,
    memo: Rc<RefCell<Memo>>,
    streams: Rc<Cell<usize>>,
    redirect_to_https: bool,
}

type Request = http::Request<RecvStream>;

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
    let (streams, heard) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(true)));
    let io = Guarded::new(stream, start, streams.clone(), heard.clone(), timeouts);
    let draining = worker.clone();
    let shared = Rc::new(Shared { peer, worker, memo: Rc::default(), streams, redirect_to_https });
    busy.set(true);
    if let Err(error) = run(io, heard, &shared, draining.draining()).await {
        tracing::debug!("HTTP/2 connection ended: {error}");
    }
}

async fn run(
    io: Guarded,
    heard: Rc<Cell<bool>>,
    shared: &Rc<Shared>,
    draining: impl Future<Output = ()>,
) -> Result<(), h2::Error> {
    let mut connection = Builder::new()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(io)
        .await?;
    let mut vanished = Vanished::new(connection.ping_pong(), heard);
    let mut draining = pin!(draining);
    let mut is_draining = false;
    let mut next = |cx: &mut Context<'_>| {
        if vanished.poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !is_draining && draining.as_mut().poll(cx).is_ready() {
            is_draining = true;
            connection.graceful_shutdown();
        }
        connection.poll_accept(cx)
    };
    while let Some(accepted) = std::future::poll_fn(&mut next).await {
        let (request, respond) = accepted?;
        // Counted before its task runs: the connection's clock looks at the count sooner than that.
        let under_way = UnderWay::begin(&shared.streams);
        let arrival = arrival(shared, request);
        // In a box, so that the task that is made for it is small enough to move.
        tokio::task::spawn_local(Box::pin(answer(shared.clone(), under_way, arrival, respond)));
    }
    Ok(())
}

/// Answers one request, unless the client loses interest.
async fn answer(
    shared: Rc<Shared>,
    _under_way: UnderWay,
    arrival: Box<Arrival>,
    mut respond: SendResponse<Bytes>,
) {
    let gateway = shared.worker.gateway();
    let settings = gateway.settings();
    let method = arrival.head.method.clone();
    let response = match within(&settings.limits, &arrival.head) {
        Ok(()) => {
            let mut handled = pin!(gateway.handle(arrival));
            let handled = std::future::poll_fn(|cx| match handled.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => respond.poll_reset(cx).map(|_| None),
            });
            let Some(response) = handled.await else { return };
            response
        }
        Err(error) => gateway.unreadable(&Refusal::Wire(error), &shared.peer, http::Version::HTTP_2),
    };
    if let Some(mut departing) = Departing::begin(response, &method, respond, settings.timeouts.body) {
        // What is left of a stream that failed goes with it.
        let _ = std::future::poll_fn(|cx| departing.poll(cx)).await;
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
    let (mut count, mut lengths, mut blanks) = (0, 0, false);
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for (name, value) in head.fields.iter() {
        count += usize::from(name != "cookie");
        lengths += usize::from(name == "content-length");
        blanks |= blank(value.first()) || blank(value.last());
    }
    if count > limits.headers || head.target.len() + head.fields.wire_size() > limits.header_bytes {
        return Err(WireError::HeadTooLarge);
    }
    if blanks {
        return Err(WireError::Malformed("blanks around a field value (RFC 9113, section 8.2.1)"));
    }
    if lengths > 1 {
        return Err(WireError::Malformed("more than one Content-Length"));
    }
    Ok(())
}

/// The library's request as ours: `:authority` becomes an absolute target.
fn arrival(shared: &Shared, request: Request) -> Box<Arrival> {
    let (parts, stream) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = match parts.uri.authority() {
        Some(authority) if path == "*" && parts.method == http::Method::OPTIONS => {
            ["http://", authority.as_str()].concat()
        }
        Some(authority) if path != "*" => ["http://", authority.as_str(), path].concat(),
        Some(_) | None => path.to_owned(),
    };
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let fields = Fields::from(&parts.headers);
    let head = RequestHead { method: parts.method, target, version: http::Version::HTTP_2, fields };
    let (peer, memo) = (shared.peer.clone(), shared.memo.clone());
    let body = RequestBody::http2(stream, length);
    Box::new(Arrival { head, body, peer, memo, redirect_to_https: shared.redirect_to_https })
}
