//! Body: what a response carries back to the client.
//!
//! Comes in: nothing, one piece of the gateway's own or a stream of them, or an upstream's pieces. Goes out: the same, never gathered.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::events::Events;
use super::live::Live;
use crate::upstream::exchange::ResponseBody;
use crate::wire::WireError;
use crate::wire::framing::Framing;

/// The body of a response.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// One piece, the gateway's own.
    Full(Bytes),
    /// What an upstream sends.
    Upstream(ResponseBody),
    /// An upstream's event stream.
    Live(Box<Live>),
    /// The gateway's own.
    Events(Box<Events>),
}

impl Body {
    /// An upstream's body. One that has arrived already gives its connection back at once, however slow the client is.
    pub fn from_upstream(mut body: ResponseBody) -> Self {
        let arrived = body.take_arrived();
        if !body.is_end() {
            return Body::Upstream(body);
        }
        body.finish();
        arrived.map_or(Body::Empty, Body::Full)
    }

    /// Goes on sending the request while the client does not take the response.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) {
        match self {
            Body::Empty | Body::Full(_) | Body::Events(_) => {}
            Body::Upstream(body) => body.poll_request(cx),
            Body::Live(live) => live.poll_request(cx),
        }
    }

    /// How its end is announced to an HTTP/1.1 client.
    pub fn framing(&self) -> Framing {
        match self {
            Body::Empty => Framing::Length(0),
            Body::Full(bytes) => Framing::Length(bytes.len() as u64),
            Body::Upstream(body) => passed_on(body.framing()),
            Body::Live(live) => passed_on(live.framing()),
            Body::Events(_) => Framing::Chunked,
        }
    }
}

/// A body that ends with its connection at the upstream need not end the client's.
fn passed_on(framing: Framing) -> Framing {
    match framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Body::Live(live) => live.poll_frame(cx),
            Body::Events(events) => events.poll_frame(cx),
            Body::Upstream(body) => {
                let frame = ready!(body.poll_frame(cx));
                if body.is_end()
                    && let Body::Upstream(body) = std::mem::replace(&mut *self, Body::Empty)
                {
                    body.finish();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Upstream(body) => body.is_end(),
            Body::Live(_) | Body::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing() {
            Framing::Length(length) => SizeHint::with_exact(length),
            Framing::Empty => SizeHint::with_exact(0),
            Framing::Chunked | Framing::UntilClose => SizeHint::default(),
        }
    }
}
