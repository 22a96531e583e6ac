//! Body: what a client's request carries, as a stream of pieces.
//!
//! Comes in: pieces from the client's connection. Goes out: the same pieces, counted, limited and timed. Nothing is
//! ever held back or gathered, except by [`RequestBody::gather`] for the gateway's own small forms.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame};

use crate::deadline::Deadline;
use crate::headers::Rules;
use crate::login::upstream::tap::Tap;
use crate::message::Fields;
use crate::wire::WireError;
use crate::wire::framing::Framing;
use crate::wire::link::Link;

/// The body of a client's request.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    framing: Framing,
    limit: u64,
    received: u64,
    counter: Option<Rc<Cell<u64>>>,
    stall: Deadline,
    stall_after: Duration,
    rules: Option<Rc<Rules>>,
    tap: Option<Rc<RefCell<Tap>>>,
}

#[derive(Debug)]
enum Source {
    Nothing,
    Http1(Rc<RefCell<Link>>),
    Http2(RecvStream),
    Whole(Option<Bytes>),
}

impl RequestBody {
    /// A body that arrives on an HTTP/1 connection.
    pub fn http1(link: Rc<RefCell<Link>>, framing: Framing) -> Self {
        // A length of zero is no body: such a request may be repeated like one without.
        let framing = if framing == Framing::Length(0) { Framing::Empty } else { framing };
        Self::new(Source::Http1(link), framing)
    }

    /// A body that arrives on an HTTP/2 stream, and how long it says it is.
    pub fn http2(stream: RecvStream, length: Option<u64>) -> Self {
        match length {
            _ if stream.is_end_stream() => Self::new(Source::Nothing, Framing::Empty),
            Some(0) => Self::new(Source::Http2(stream), Framing::Empty),
            Some(length) => Self::new(Source::Http2(stream), Framing::Length(length)),
            None => Self::new(Source::Http2(stream), Framing::Chunked),
        }
    }

    /// A body that is there already.
    pub fn whole(bytes: Bytes) -> Self {
        match bytes.len() as u64 {
            0 => Self::new(Source::Nothing, Framing::Empty),
            length => Self::new(Source::Whole(Some(bytes)), Framing::Length(length)),
        }
    }

    fn new(source: Source, framing: Framing) -> Self {
        let stall = Deadline::default();
        Self {
            source,
            framing,
            limit: 0,
            received: 0,
            counter: None,
            stall,
            stall_after: Duration::ZERO,
            rules: None,
            tap: None,
        }
    }

    /// Sets the most bytes it may have (0: any number) and the longest wait between two pieces (zero: any), and
    /// which trailers are taken out of it. A body that says it is longer is refused at once.
    pub fn restrict(&mut self, limit: u64, stall_after: Duration, rules: Rc<Rules>) -> Result<(), WireError> {
        (self.limit, self.stall_after, self.rules) = (limit, stall_after, Some(rules));
        match self.framing {
            Framing::Length(length) if limit != 0 && length > limit => Err(WireError::BodyTooLarge),
            _ => Ok(()),
        }
    }

    /// How its end is found.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.framing == Framing::Empty
    }

    /// Counts its bytes for somebody who outlives it.
    pub fn count_for(&mut self, counter: Option<Rc<Cell<u64>>>) {
        self.counter = counter;
    }

    /// Has its pieces looked at as they pass.
    pub fn tap(&mut self, tap: Option<Rc<RefCell<Tap>>>) {
        self.tap = tap;
    }

    /// Passes an interim response of the upstream on to the client; HTTP/2 clients do without.
    pub fn send_interim(&self, status: StatusCode, fields: &Fields) {
        if let Source::Http1(link) = &self.source {
            link.borrow_mut().send_interim(status, fields);
        }
    }

    /// The whole of a body that may not be longer than `most`.
    pub async fn gather(&mut self, most: usize) -> Result<Bytes, WireError> {
        let mut gathered = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
            if let Ok(data) = frame?.into_data() {
                if gathered.len() + data.len() > most {
                    return Err(WireError::BodyTooLarge);
                }
                gathered.extend_from_slice(&data);
            }
        }
        Ok(gathered.freeze())
    }

    /// Takes out of trailers what they may not say, in either direction.
    pub fn clean(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let Some(rules) = &self.rules else { return frame };
        match frame.into_trailers() {
            Ok(trailers) => {
                let mut fields = Fields::from(&trailers);
                rules.clean_trailers(&mut fields);
                Frame::trailers(HeaderMap::from(&fields))
            }
            Err(frame) => frame,
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Http1(_) if self.framing == Framing::Empty => Poll::Ready(None),
            Source::Http1(link) => link.borrow_mut().poll_body(cx),
            Source::Http2(stream) => poll_stream(stream, cx).map_err(|_| WireError::Truncated),
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn admit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, WireError> {
        if let Some(data) = frame.data_ref() {
            self.received += data.len() as u64;
            if let Some(counter) = &self.counter {
                counter.set(self.received);
            }
            if let Some(tap) = &self.tap {
                tap.borrow_mut().pass(data);
            }
            if self.limit != 0 && self.received > self.limit {
                return Err(WireError::BodyTooLarge);
            }
        }
        Ok(self.clean(frame))
    }
}

/// The next piece of an HTTP/2 stream. A piece that is taken makes room for another one.
fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            stream.flow_control().release_capacity(data.len())?;
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
        Some(Err(error)) => Poll::Ready(Some(Err(error))),
        None => stream
            .poll_trailers(cx)
            .map(|trailers| trailers.map(|found| found.map(Frame::trailers)).transpose()),
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match self.poll_source(cx) {
            Poll::Ready(frame) => {
                self.stall.clear();
                Poll::Ready(frame.map(|frame| frame.and_then(|frame| self.admit(frame))))
            }
            Poll::Pending => {
                let after = self.stall_after;
                if !self.stall.is_set() {
                    self.stall.set(after);
                }
                ready!(self.stall.poll(cx));
                Poll::Ready(Some(Err(WireError::TimedOut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http1(link) => link.borrow().receiver.is_done(),
            Source::Nothing => true,
            Source::Whole(bytes) => bytes.is_none(),
            Source::Http2(stream) => stream.is_end_stream(),
        }
    }
}
