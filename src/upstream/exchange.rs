//! Exchange: one request and its response on one connection.
//!
//! Comes in: a connection, a request's head and body. Goes out: interim responses, the response's head, then its body.
//! Request and response bodies move at the same time, driven by whoever waits for the response: there is no task of
//! its own, and an exchange that is dropped takes its connection with it. It lives in one box from its first byte to its
//! last: moving it about would cost more than the box.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use http_body::Frame;

use super::UpstreamError;
use super::connect::Connection;
use super::pool::{Place, Pool};
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::headers;
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::stream::Stream;
use crate::wire::framing::{self, Framing};
use crate::wire::transmit::SendError;
use crate::wire::{HeadLimits, WireError, parse};

/// Largest head of a response.
const HEAD_LIMITS: HeadLimits = HeadLimits { line: 16 * 1024, bytes: 64 * 1024, fields: 200 };
/// Interim responses before a final one; more is an upstream gone wrong.
const MOST_INTERIM: u32 = 32;
/// How long a request with `Expect: 100-continue` waits for the upstream's word before its body is sent all the same.
const CONTINUE_WAIT: Duration = Duration::from_millis(700);

/// A request under way.
#[derive(Debug)]
pub struct Exchange {
    connection: Box<Connection>,
    place: Place,
    body: RequestBody,
    method: Method,
    upgrade: bool,
    interim_left: u32,
    continue_wait: Deadline,
    patience: Duration,
    sent: bool,
    send_failed: Option<WireError>,
    reusable: bool,
    /// Of the response, once its head is there.
    framing: Framing,
    is_event_stream: bool,
}

/// What an upstream answered.
#[derive(Debug)]
pub enum Answer {
    /// A response; its framing fields have been taken out of its head.
    Response(ResponseHead, ResponseBody),
    /// 101: the connection now belongs to the protocol that was asked for.
    Upgrade(ResponseHead, Box<Tunnel>),
}

/// The upstream's end of an upgraded connection.
#[derive(Debug)]
pub struct Tunnel {
    /// The bytes.
    pub stream: Stream,
    /// What has been read of the new protocol already.
    pub start: Bytes,
    /// Keeps the place among the server's open connections.
    pub place: Place,
}

impl Exchange {
    /// Begins a request. `patience` is the longest time without progress on the upstream's side.
    pub fn begin(
        mut connection: Box<Connection>,
        place: Place,
        head: &RequestHead,
        body: RequestBody,
        patience: Duration,
    ) -> Box<Self> {
        let framing = match body.framing() {
            Framing::Empty if expects_length(&head.method) => Framing::Length(0),
            framing => framing,
        };
        connection.transmitter.begin_request(&head.method, &head.target, &head.fields, framing);
        let mut continue_wait = Deadline::default();
        if head.fields.contains("expect") && !body.is_empty() {
            continue_wait.set(CONTINUE_WAIT);
        }
        let upgrade = head.fields.contains("upgrade");
        let method = head.method.clone();
        Box::new(Self {
            connection,
            place,
            body,
            method,
            upgrade,
            interim_left: MOST_INTERIM,
            continue_wait,
            patience,
            sent: false,
            send_failed: None,
            reusable: false,
            framing: Framing::Empty,
            is_event_stream: false,
        })
    }

    /// Gives up: the server, and what is left of the request's body for another try. Whether that is allowed,
    /// [`UpstreamError`] and the body tell.
    pub fn abandon(self: Box<Self>) -> (Rc<Pool>, RequestBody) {
        (self.place.pool().clone(), self.body)
    }

    /// The answer whose head has arrived.
    pub fn into_answer(
        mut self: Box<Self>,
        mut head: ResponseHead,
        version: Version,
    ) -> Result<Answer, UpstreamError> {
        self.place.pool().note_answer();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let start = self.connection.receiver.take_buffered();
            let tunnel = Tunnel { stream: self.connection.stream, start, place: self.place };
            return Ok(Answer::Upgrade(head, Box::new(tunnel)));
        }
        let framing = framing::of_response(&head.fields, version, head.status, &self.method)
            .map_err(UpstreamError::Bad)?;
        let closes = head.fields.lists("connection", "close")
            || (version == Version::HTTP_10 && !head.fields.lists("connection", "keep-alive"));
        self.reusable = !closes && framing != Framing::UntilClose;
        let length_describes_another = framing == Framing::Empty && head.status != StatusCode::NO_CONTENT;
        head.fields.remove("transfer-encoding");
        if !length_describes_another {
            head.fields.remove("content-length");
        }
        self.connection.receiver.begin_body(framing);
        self.connection.progress.clear();
        (self.framing, self.is_event_stream) = (framing, is_event_stream(&head.fields));
        if self.is_event_stream {
            self.patience = Duration::ZERO;
        }
        Ok(Answer::Response(head, ResponseBody(self)))
    }

    /// Waits for the response's head.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(ResponseHead, Version), UpstreamError>> {
        loop {
            self.poll_send(cx)?;
            let Connection { receiver, stream, .. } = &mut *self.connection;
            match receiver.poll_head(cx, stream, &HEAD_LIMITS, |bytes| parse::response(bytes, &HEAD_LIMITS)) {
                Poll::Ready(Ok((head, version))) if head.status.is_informational() => {
                    if let Some(switching) = self.interim(head)? {
                        return Poll::Ready(Ok((switching, version)));
                    }
                }
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    return Poll::Ready(Err(UpstreamError::TimedOut));
                }
            }
        }
    }

    /// Deals with a 1xx response; a 101 that was asked for is final.
    fn interim(&mut self, mut head: ResponseHead) -> Result<Option<ResponseHead>, UpstreamError> {
        self.interim_left = self
            .interim_left
            .checked_sub(1)
            .ok_or(UpstreamError::Bad(WireError::Malformed("too many interim responses")))?;
        match head.status {
            StatusCode::SWITCHING_PROTOCOLS if self.upgrade && head.fields.lists("upgrade", "websocket") => {
                return Ok(Some(head));
            }
            StatusCode::SWITCHING_PROTOCOLS => {
                return Err(UpstreamError::Bad(WireError::Malformed("an upgrade nobody asked for")));
            }
            StatusCode::CONTINUE => self.continue_wait.clear(),
            _ => {
                // Only a final response can ask for something to be remembered.
                headers::incoming(&mut head, &headers::OurCookies::default());
                self.body.send_interim(head.status, &head.fields);
            }
        }
        Ok(None)
    }

    fn broken(&mut self, error: WireError) -> UpstreamError {
        match error {
            WireError::Closed | WireError::Io(_) => {
                UpstreamError::Closed(self.send_failed.take().unwrap_or(error))
            }
            error => UpstreamError::Bad(error),
        }
    }

    /// Sends as much of the request as is there and as the upstream takes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), UpstreamError> {
        while !self.sent && self.send_failed.is_none() {
            let holds_body = self.continue_wait.is_set() && self.continue_wait.poll(cx).is_pending();
            if !holds_body {
                self.continue_wait.clear();
                match self.connection.transmitter.poll_fill(cx, Pin::new(&mut self.body)) {
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                    Poll::Ready(Err(SendError::Body(error))) => return Err(UpstreamError::Client(error)),
                    Poll::Ready(Err(SendError::Length)) => {
                        return Err(UpstreamError::Client(WireError::Malformed(
                            "the body is not as long as it says",
                        )));
                    }
                }
            }
            let Connection { transmitter, stream, .. } = &mut *self.connection;
            let (had_something, before) = (!transmitter.is_flushed(), transmitter.pending_data());
            match transmitter.poll_flush(cx, stream) {
                Poll::Ready(Ok(())) => {
                    self.sent = transmitter.is_finished();
                    self.connection.progress.clear();
                    if !had_something {
                        return Ok(());
                    }
                }
                Poll::Ready(Err(error)) => self.send_failed = Some(error.into()),
                Poll::Pending => {
                    if transmitter.pending_data() < before {
                        self.connection.progress.clear();
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Runs while the upstream is the one to move: it has the whole request, or does not take what is there.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let client_is_to_move = !self.sent && self.connection.transmitter.is_flushed();
        if client_is_to_move {
            self.connection.progress.clear();
        } else if !self.connection.progress.is_set() {
            self.connection.progress.set(self.patience);
        }
        self.connection.progress.poll(cx)
    }
}

/// Methods whose requests say so when they have no content (RFC 9110, section 8.6).
fn expects_length(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Whether a response is an event stream, which may be silent for as long as it likes.
fn is_event_stream(fields: &Fields) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let start = fields.get("content-type").and_then(|value| value.get(..EVENT_STREAM.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
}

/// The body of a response, with what is left to send of its request.
#[derive(Debug)]
pub struct ResponseBody(Box<Exchange>);

impl ResponseBody {
    /// How the upstream framed it.
    pub fn framing(&self) -> Framing {
        self.0.framing
    }

    /// Whether it is an event stream.
    pub fn is_event_stream(&self) -> bool {
        self.0.is_event_stream
    }

    /// Whether all of it has been taken.
    pub fn is_end(&self) -> bool {
        self.0.connection.receiver.is_done()
    }

    /// All of it, where it has arrived already.
    pub fn take_arrived(&mut self) -> Option<Bytes> {
        self.0.connection.receiver.take_arrived()
    }

    /// Goes on sending the request while the client does not take the response.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) {
        let exchange = &mut self.0;
        if !exchange.sent && exchange.poll_send(cx).is_err() {
            exchange.send_failed = Some(WireError::Truncated);
        }
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        self.poll_request(cx);
        let exchange = &mut self.0;
        let Connection { receiver, stream, .. } = &mut *exchange.connection;
        let frame = receiver.poll_frame(cx, stream);
        if let Poll::Ready(frame) = frame {
            exchange.connection.progress.clear();
            return Poll::Ready(frame.map(|frame| frame.map(|frame| exchange.body.clean(frame))));
        }
        // The client's body broke off: only the end of the connection says so to an upstream that waits for the rest.
        if matches!(exchange.send_failed, Some(WireError::Truncated)) {
            return Poll::Ready(Some(Err(WireError::Truncated)));
        }
        ready!(exchange.poll_patience(cx));
        Poll::Ready(Some(Err(WireError::TimedOut)))
    }

    /// Gives the connection back for the next request, if it can carry one.
    pub fn finish(self) {
        let Exchange { connection, place, sent, send_failed, reusable, .. } = *self.0;
        if reusable
            && sent
            && send_failed.is_none()
            && connection.receiver.is_done()
            && connection.receiver.is_empty()
        {
            place.keep(connection);
        }
    }
}
