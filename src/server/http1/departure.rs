//! Departure: a response on its way to an HTTP/1 client.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{StatusCode, Version};

use super::{Next, Terms};
use crate::deadline::Deadline;
use crate::gateway::Response;
use crate::gateway::body::Body;
use crate::gateway::record::Record;
use crate::message::ResponseHead;
use crate::wire::framing::{Framing, may_have_body};
use crate::wire::link::Link;

/// A response with its framing decided.
pub struct Departure {
    head: ResponseHead,
    body: Body,
    framing: Framing,
    keep_alive: bool,
    record: Record,
    begun: bool,
    stall: Deadline,
    client_closed: Option<Deadline>,
}

/// How long an upstream that is silent is listened to for a client that has closed its sending side.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// The response did not go out whole: the connection can only be closed.
pub struct BrokenOff;

impl Departure {
    /// Decides the framing, and with it whether the connection can go on.
    pub fn new(response: Response, terms: &Terms, keep_alive: bool) -> Self {
        let version = terms.version;
        let Response { mut head, body, record, .. } = response;
        let framing = match body.framing() {
            _ if !may_have_body(head.status, &terms.method) => Framing::Empty,
            Framing::Chunked if version < Version::HTTP_11 => Framing::UntilClose,
            framing => framing,
        };
        let keep_alive = keep_alive && framing != Framing::UntilClose;
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            match (keep_alive, version) {
                (false, _) => head.fields.append("Connection", "close"),
                (true, Version::HTTP_10) => head.fields.append("Connection", "keep-alive"),
                (true, _) => {}
            }
        }
        if framing != Framing::Empty {
            head.fields.remove("content-length");
        }
        let (stall, client_closed) = (Deadline::default(), None);
        Self { head, body, framing, keep_alive, record, begun: false, stall, client_closed }
    }

    /// Whether another request can follow.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// What to do with the connection if the response does not go out whole: where its end is the connection's, a
    /// plain close would make it look whole (RFC 9112, section 8).
    pub fn if_broken(&self) -> Next {
        if self.framing == Framing::UntilClose { Next::Reset } else { Next::Close }
    }

    /// It has been sent.
    pub fn complete(mut self) -> Record {
        self.record.complete();
        self.record
    }

    /// Sends it. `patience` is how long a client may take nothing.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        link: &Rc<RefCell<Link>>,
        patience: Duration,
    ) -> Poll<Result<(), BrokenOff>> {
        // The transmitter is taken out of the link while the body is asked, as the body may look into the link.
        let mut transmitter = std::mem::take(&mut link.borrow_mut().transmitter);
        if !std::mem::replace(&mut self.begun, true) {
            transmitter.begin_response(self.head.status, &self.head.fields, self.framing);
        }
        let outcome = loop {
            let asked = transmitter.has_room();
            let filled = transmitter.poll_fill(cx, Pin::new(&mut self.body));
            if let Poll::Ready(Err(_)) = filled {
                break Poll::Ready(Err(BrokenOff));
            }
            let before = transmitter.pending_data();
            let flushed = transmitter.poll_flush(cx, &mut link.borrow_mut().stream);
            self.record.sent((before - transmitter.pending_data()) as u64);
            match flushed {
                Poll::Ready(Err(_)) => break Poll::Ready(Err(BrokenOff)),
                Poll::Ready(Ok(())) if transmitter.is_finished() => break Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if asked && filled.is_pending() => {
                    self.stall.clear();
                    break self.poll_client_gone(cx, link).map(Err);
                }
                Poll::Ready(Ok(())) => {
                    self.stall.clear();
                    if let Some(deadline) = &mut self.client_closed {
                        deadline.set(HALF_CLOSED);
                    }
                }
                Poll::Pending => {
                    if !self.stall.is_set() || before != transmitter.pending_data() {
                        self.stall.set(patience);
                    }
                    self.body.poll_request(cx);
                    break self.stall.poll(cx).map(|()| Err(BrokenOff));
                }
            }
        };
        link.borrow_mut().transmitter = transmitter;
        outcome
    }

    /// While the upstream is silent: has the client gone?
    fn poll_client_gone(&mut self, cx: &mut Context<'_>, link: &Rc<RefCell<Link>>) -> Poll<BrokenOff> {
        let mut link = link.borrow_mut();
        let link = &mut *link;
        if self.client_closed.is_none() && link.receiver.is_done() && link.receiver.is_empty() {
            match ready!(link.receiver.poll_fill(cx, &mut link.stream)) {
                Ok(0) => {
                    let mut deadline = Deadline::default();
                    deadline.set(HALF_CLOSED);
                    self.client_closed = Some(deadline);
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(BrokenOff),
            }
        }
        match &mut self.client_closed {
            Some(deadline) => deadline.poll(cx).map(|()| BrokenOff),
            None => Poll::Pending,
        }
    }
}
