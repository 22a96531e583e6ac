//! Departing: a response on its way into an HTTP/2 stream, with its line of the access log.
//!
//! Comes in: a response whose body is still on its way. Goes out: frames, as far as the client opens its window. A
//! client that opens none for too long gets a reset, so that it does not hold an upstream's connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Method, header};
use http_body::{Body as _, Frame};

use crate::deadline::Deadline;
use crate::gateway::Response;
use crate::gateway::body::Body;
use crate::gateway::record::Record;
use crate::wire::framing::{Framing, may_have_body};

/// A last piece of this size goes whether the client has room or not: it waits as well there as here.
const SMALL: usize = 16 * 1024;

/// A response whose head has gone, and whose body is on its way.
pub struct Departing {
    stream: SendStream<Bytes>,
    body: Body,
    record: Record,
    /// A piece that waits for the client, and whether it is the last.
    piece: Option<(Bytes, bool)>,
    waiting: Deadline,
    patience: Duration,
}

impl Departing {
    /// Sends the head; `None` where that was all. `patience` is how long a client may take nothing (zero: any time).
    pub fn begin(
        response: Response,
        method: &Method,
        mut respond: SendResponse<Bytes>,
        patience: Duration,
    ) -> Option<Self> {
        let Response { head, body, mut record, .. } = response;
        let body = if may_have_body(head.status, method) { body } else { Body::Empty };
        let ends = body.is_end_stream();
        let mut fields = HeaderMap::from(&head.fields);
        if let (false, Framing::Length(length)) = (ends, body.framing()) {
            fields.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        let mut head_alone = http::Response::new(());
        *head_alone.status_mut() = head.status;
        *head_alone.headers_mut() = fields;
        match respond.send_response(head_alone, ends) {
            Ok(_) if ends => record.complete(),
            Ok(stream) => {
                let (piece, waiting) = (None, Deadline::default());
                return Some(Self { stream, body, record, piece, waiting, patience });
            }
            Err(error) => {
                tracing::debug!("a response could not be sent: {error}");
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
        }
        None
    }

    /// Sends the body, whole unless the client resets its stream.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            if let Some((piece, last)) = self.piece.take() {
                let small = last && piece.len() <= SMALL;
                if !small && self.poll_room(cx)?.is_pending() {
                    self.piece = Some((piece, last));
                    return Poll::Pending;
                }
                self.record.sent(piece.len() as u64);
                self.stream.send_data(piece, last)?;
                if last {
                    self.record.complete();
                    return Poll::Ready(Ok(()));
                }
            }
            if let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) {
                match next.map(|frame| frame.map(Frame::into_data)) {
                    Some(Ok(Ok(piece))) => self.piece = Some((piece, self.body.is_end_stream())),
                    Some(Ok(Err(frame))) => {
                        self.record.complete();
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return Poll::Ready(self.stream.send_trailers(trailers));
                    }
                    Some(Err(_)) => {
                        self.stream.send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(Ok(()));
                    }
                    None => self.piece = Some((Bytes::new(), true)),
                }
            } else {
                // The client may lose interest while the upstream is silent.
                return self.stream.poll_reset(cx).map_ok(|_| ());
            }
        }
    }

    /// Ready once the client takes more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.stream.reserve_capacity(1);
        while self.stream.capacity() == 0 {
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
                Poll::Pending => {
                    self.body.poll_request(cx);
                    if !self.waiting.is_set() {
                        self.waiting.set(self.patience);
                    }
                    ready!(self.waiting.poll(cx));
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Reason::CANCEL.into()));
                }
            }
        }
        self.waiting.clear();
        Poll::Ready(Ok(()))
    }
}
