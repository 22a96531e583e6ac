//! Receive: messages from a connection, one after the other.
//!
//! Comes in: bytes of a [`Stream`]. Goes out: a head, then pieces of its body. A connection that waits holds no memory
//! but what has arrived and could not be used yet.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;

use super::chunked::{Decoded, Decoder};
use super::framing::Framing;
use super::parse::Parsed;
use super::{HeadLimits, WireError, parse, room};
use crate::stream::Stream;

/// The receiving half of a connection's state.
#[derive(Debug)]
pub struct Receiver {
    buffer: Bytes,
    looked: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Done,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Receiver {
    /// Starts with bytes that have been read already.
    pub fn new(buffer: Bytes) -> Self {
        Self { buffer, looked: 0, body: Body::Done }
    }

    /// Whether nothing has arrived that has not been taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What has arrived and has not been taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes everything that has arrived, for a protocol that goes on after HTTP.
    pub fn take_buffered(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer)
    }

    /// Reads once. `Ready(0)` is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<Result<usize, WireError>> {
        room::poll_read(cx, stream, &mut self.buffer).map_err(WireError::from)
    }

    /// Reads until a whole head is there, and lets `parse` make of it what it is: the head and its length, `None` while
    /// it is not complete.
    pub fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        limits: &HeadLimits,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Poll<Result<T, WireError>> {
        if self.buffer.is_empty()
            && let Some(head) = ready!(self.poll_whole_head(cx, stream, &parse))?
        {
            return Poll::Ready(Ok(head));
        }
        loop {
            if self.looked == 0 {
                let empty = parse::leading_empty_lines(&self.buffer);
                self.buffer.advance(empty);
            }
            if parse::head_length(&self.buffer, &mut self.looked, limits)?.is_some()
                && let Some((head, length)) = parse(&self.buffer)?
            {
                self.buffer.advance(length);
                self.looked = 0;
                self.let_go();
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_fill(cx, stream))? == 0 {
                let nothing = self.buffer.iter().all(u8::is_ascii_whitespace);
                return Poll::Ready(Err(if nothing { WireError::Closed } else { WireError::Truncated }));
            }
        }
    }

    /// Reads once, when nothing has been read before. Nearly always a whole head comes in one piece: it is parsed where
    /// it lies, and only what follows it is kept.
    fn poll_whole_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Poll<Result<Option<T>, WireError>> {
        let mut parsed = Ok(None);
        let parse_in_place = |bytes: &[u8]| {
            let empty = parse::leading_empty_lines(bytes);
            parsed = parse(&bytes[empty..]);
            parsed.as_ref().ok().and_then(Option::as_ref).map_or(0, |(_, length)| empty + length)
        };
        let read = ready!(room::poll_read_with(cx, stream, &mut self.buffer, parse_in_place))?;
        let parsed = if read == 0 { Err(WireError::Closed) } else { parsed };
        Poll::Ready(parsed.map(|parsed| parsed.map(|(head, _)| head)))
    }

    /// Says how the body after the head just read ends.
    pub fn begin_body(&mut self, framing: Framing) {
        self.body = match framing {
            Framing::Empty | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Decoder::new()),
            Framing::UntilClose => Body::UntilClose,
        };
    }

    /// Whether the body has been read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.body, Body::Done)
    }

    /// How many bytes of the body are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.body {
            Body::Done => Some(0),
            Body::Length(left) => Some(*left),
            Body::Chunked(_) | Body::UntilClose => None,
        }
    }

    /// The rest of the body, where all of it is one piece that has arrived already.
    pub fn take_arrived(&mut self) -> Option<Bytes> {
        let Body::Length(left) = self.body else { return None };
        let left = usize::try_from(left).ok().filter(|&left| left <= self.buffer.len())?;
        self.body = Body::Done;
        // A buffer that holds nothing else is handed over as it is.
        let exactly = left == self.buffer.len();
        Some(if exactly { std::mem::take(&mut self.buffer) } else { self.buffer.split_to(left) })
    }

    /// The next piece of the body, its trailers, or its end.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        loop {
            let frame = self.take_frame();
            self.let_go();
            match frame {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let read = match ready!(self.poll_fill(cx, stream)) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            if read == 0 {
                if matches!(self.body, Body::UntilClose) {
                    self.body = Body::Done;
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(WireError::Truncated)));
            }
        }
    }

    /// Bytes of which all have been taken would keep what they were cut from in memory.
    fn let_go(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Bytes::new();
        }
    }

    /// What can be said without reading. After data of a chunked body its end is looked for at once, so that a
    /// sender can be told of it together with the data.
    fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, WireError> {
        match &mut self.body {
            Body::Done => Ok(None),
            Body::Length(left) => {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= take as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
                Ok(Some(Frame::data(self.buffer.split_to(take))))
            }
            Body::UntilClose => {
                Ok((!self.buffer.is_empty()).then(|| Frame::data(std::mem::take(&mut self.buffer))))
            }
            Body::Chunked(decoder) => match decoder.step(&mut self.buffer)? {
                Decoded::More => Ok(None),
                Decoded::Data(data) => {
                    if self.buffer.starts_with(LAST_CHUNK) {
                        self.buffer.advance(LAST_CHUNK.len());
                        self.body = Body::Done;
                    }
                    Ok(Some(Frame::data(data)))
                }
                Decoded::End(trailers) => {
                    self.body = Body::Done;
                    Ok(trailers.map(|trailers| Frame::trailers(HeaderMap::from(&trailers))))
                }
            },
        }
    }
}

/// The end of a chunk and of a body without trailers.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
