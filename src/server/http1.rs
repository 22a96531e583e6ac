//! HTTP/1: one client's connection, request after request.
//!
//! Comes in: a connection's bytes. Goes out: each request to the gateway, each response to the client, in order. A
//! request that was refused before its body was read never lets that body become the next request: it is read to its
//! end where that is near, otherwise the connection is closed.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Version};
use tokio::io::AsyncWriteExt as _;

use super::tunnel::Upgraded;
use super::worker::{Busy, Worker};
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::gateway::refusal::Refusal;
use crate::gateway::settings::Timeouts;
use crate::gateway::{Arrival, Gateway, Response};
use crate::message::RequestHead;
use crate::peer::Peer;
use crate::session::Memo;
use crate::stream::Stream;
use crate::wire::framing::{self, Framing};
use crate::wire::link::Link;
use crate::wire::receive::Receiver;
use crate::wire::{HeadLimits, WireError, parse};

mod departure;
mod linger;
mod waiting;

use departure::{BrokenOff, Departure};
use waiting::Watch;

/// A client's connection and what is known of it.
pub struct Connection {
    link: Rc<RefCell<Link>>,
    peer: Rc<Peer>,
    memo: Rc<RefCell<Memo>>,
    worker: Rc<Worker>,
    busy: Busy,
    redirect_to_https: bool,
    deadline: Deadline,
}

/// What of a request decides how its response is sent.
struct Terms {
    method: Method,
    version: Version,
    /// The client means to send another request.
    keep: bool,
}

impl Terms {
    /// Whether the client understands interim responses.
    fn may_have_interim(&self) -> bool {
        self.version == Version::HTTP_11
    }
}

/// What becomes of a connection after a response.
enum Next {
    Request,
    Close,
    Linger,
    Tunnel(Box<Upgraded>),
    /// The response broke off, and only a reset can say so.
    Reset,
}

/// Most bytes of an unread body that are read away to save a connection.
const DRAIN: u64 = 64 * 1024;
/// How long a client may take to let its connection be closed in order.
const GOODBYE: Duration = Duration::from_secs(1);

impl Connection {
    /// A connection from which some bytes may have been read already.
    pub fn new(stream: Stream, receiver: Receiver, peer: Rc<Peer>, worker: Rc<Worker>, busy: Busy) -> Self {
        Self {
            link: Rc::new(RefCell::new(Link::new(stream, receiver))),
            peer,
            memo: Rc::default(),
            worker,
            busy,
            redirect_to_https: false,
            deadline: Deadline::default(),
        }
    }

    /// Everybody who comes in here is sent to https.
    pub fn redirecting_to_https(mut self, redirect: bool) -> Self {
        self.redirect_to_https = redirect;
        self
    }

    /// Serves requests until the connection ends.
    pub async fn serve(mut self) {
        let timeouts = self.worker.gateway().settings().timeouts;
        self.deadline.set(timeouts.header);
        loop {
            self.busy.set(false);
            let gateway_limits = head_limits(&self.worker.gateway());
            let head = std::future::poll_fn(|cx| self.poll_head(cx, &gateway_limits, &timeouts)).await;
            self.busy.set(true);
            let gateway = self.worker.gateway();
            let next = match head {
                Ok((head, framing)) => {
                    let (arrival, terms) = self.begin(head, framing);
                    Box::pin(self.exchange(&gateway, arrival, terms)).await
                }
                Err(WireError::Closed | WireError::Io(_) | WireError::Truncated) => Next::Close,
                Err(error) => Box::pin(self.refuse(&gateway, &Refusal::Wire(error))).await,
            };
            match next {
                Next::Request if !self.worker.is_draining() => {
                    let is_empty = self.link.borrow().receiver.is_empty();
                    self.deadline.set(if is_empty { timeouts.idle } else { timeouts.header });
                }
                Next::Request => return Box::pin(self.end(Next::Close)).await,
                end => return Box::pin(self.end(end)).await,
            }
        }
    }

    /// Says that the house is full, without reading anything.
    pub async fn turn_away(mut self) {
        let gateway = self.worker.gateway();
        let end = self.refuse(&gateway, &Refusal::Crowded).await;
        self.end(end).await;
    }

    /// Ends the connection in the way that was decided. Nobody else holds the link any more.
    async fn end(self, how: Next) {
        let Self { link, worker, busy: _busy, .. } = self;
        let Some(mut link) = Rc::into_inner(link).map(RefCell::into_inner) else { return };
        match how {
            Next::Request => {}
            // TLS says goodbye, and a client that takes nothing never lets it.
            Next::Close => drop(tokio::time::timeout(GOODBYE, link.stream.shutdown()).await),
            Next::Linger => linger::close(link.stream).await,
            Next::Reset => link.stream.reset_when_dropped(),
            Next::Tunnel(upgraded) => upgraded.run(link, &worker).await,
        }
    }

    /// The next request's head and framing. Between requests the idle timeout runs; from a head's first byte on, the
    /// header timeout.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        timeouts: &Timeouts,
    ) -> Poll<Result<(RequestHead, Framing), WireError>> {
        let mut link = self.link.borrow_mut();
        let link = &mut *link;
        let was_empty = link.receiver.is_empty();
        let read =
            link.receiver.poll_head(cx, &mut link.stream, limits, |bytes| parse::request(bytes, limits));
        match read {
            Poll::Ready(head) => {
                let head = head?;
                let framing = framing::of_request(&head.fields, head.version)?;
                Poll::Ready(Ok((head, framing)))
            }
            Poll::Pending => {
                let is_empty = link.receiver.is_empty();
                if is_empty {
                    link.transmitter.rest();
                } else if was_empty {
                    self.deadline.set(timeouts.header);
                }
                ready!(self.deadline.poll(cx));
                Poll::Ready(Err(if is_empty { WireError::Closed } else { WireError::TimedOut }))
            }
        }
    }

    /// A request whose head has been read.
    fn begin(&mut self, head: RequestHead, framing: Framing) -> (Box<Arrival>, Terms) {
        let terms = Terms { method: head.method.clone(), version: head.version, keep: keeps_alive(&head) };
        let interim = terms.may_have_interim();
        let expects = interim && head.fields.lists("expect", "100-continue");
        self.link.borrow_mut().begin_request(framing, expects, interim);
        let body = RequestBody::http1(self.link.clone(), framing);
        let (peer, memo) = (self.peer.clone(), self.memo.clone());
        let redirect_to_https = self.redirect_to_https;
        (Box::new(Arrival { head, body, peer, memo, redirect_to_https }), terms)
    }

    /// One request and its response.
    async fn exchange(&mut self, gateway: &Rc<Gateway>, arrival: Box<Arrival>, terms: Terms) -> Next {
        let Some(response) = self.answered(gateway, arrival, &terms).await else { return Next::Close };
        self.respond(gateway, response, &terms).await
    }

    /// What the gateway answers; `None` once the client is gone.
    async fn answered(&self, gateway: &Gateway, arrival: Box<Arrival>, terms: &Terms) -> Option<Response> {
        let mut work = pin!(gateway.handle(arrival));
        let mut watch = Watch::new(&self.link, terms.may_have_interim());
        std::future::poll_fn(|cx| watch.poll(cx, work.as_mut())).await
    }

    /// Answers what is not a request, and closes.
    async fn refuse(&mut self, gateway: &Rc<Gateway>, refusal: &Refusal) -> Next {
        let response = gateway.unreadable(refusal, &self.peer, Version::HTTP_11);
        let terms = Terms { method: Method::GET, version: Version::HTTP_11, keep: false };
        self.respond(gateway, response, &terms).await;
        Next::Linger
    }

    /// Sends a response and says what becomes of the connection.
    async fn respond(&mut self, gateway: &Rc<Gateway>, mut response: Response, terms: &Terms) -> Next {
        let tunnel = response.tunnel.take();
        let waits_to_send = self.link.borrow_mut().end_interim();
        let unread = self.link.borrow().receiver.left();
        let near_end = unread.is_some_and(|left| left <= DRAIN) && !waits_to_send;
        let keep = terms.keep && near_end && !response.close && !self.worker.is_draining();
        let mut departure = Departure::new(response, terms, keep || tunnel.is_some());
        let patience = gateway.settings().timeouts.body;
        let sent = std::future::poll_fn(|cx| departure.poll_send(cx, &self.link, patience)).await;
        if let Err(BrokenOff) = sent {
            return departure.if_broken();
        }
        let (keep, record) = (departure.keeps_alive(), departure.complete());
        if let Some((tunnel, session)) = tunnel {
            return Next::Tunnel(Box::new(Upgraded { tunnel, session, record }));
        }
        drop(record);
        match keep {
            true if self.link.borrow().receiver.is_done() => Next::Request,
            true => self.drain().await,
            false if self.link.borrow().receiver.is_done() => Next::Close,
            false => Next::Linger,
        }
    }

    /// Reads the rest of a body that nobody wanted.
    async fn drain(&self) -> Next {
        let rest = async {
            loop {
                match std::future::poll_fn(|cx| self.link.borrow_mut().poll_body(cx)).await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return Next::Close,
                    None => return Next::Request,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), rest).await.unwrap_or(Next::Linger)
    }
}

fn head_limits(gateway: &Gateway) -> HeadLimits {
    let limits = &gateway.settings().limits;
    HeadLimits { line: limits.request_line, bytes: limits.header_bytes, fields: limits.headers }
}

/// Whether the client means to send another request (RFC 9112, section 9.3).
fn keeps_alive(head: &RequestHead) -> bool {
    let closes = head.fields.lists("connection", "close");
    !closes && (head.version == Version::HTTP_11 || head.fields.lists("connection", "keep-alive"))
}
