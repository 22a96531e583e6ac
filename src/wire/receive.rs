//! Receive: messages from a connection, one after the other.
//!
//! Comes in: bytes of a [`Stream`]. Goes out: a head, then pieces of its body. Reads of heads go through one buffer
//! for the whole thread, so a connection that waits holds none; reads of bodies grow while the sender is fast.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::chunked::{Decoded, Decoder};
use super::framing::Framing;
use super::room::{Room, SMALLEST_PIECE};
use super::{HeadLimits, WireError, parse};
use crate::stream::Stream;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SMALLEST_PIECE]);
}

/// The receiving half of a connection's state.
#[derive(Debug)]
pub struct Receiver {
    buffer: BytesMut,
    looked: usize,
    body: Body,
    room: Room,
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
    pub fn new(buffer: BytesMut) -> Self {
        Self { buffer, looked: 0, body: Body::Done, room: Room::Small }
    }

    /// Whether nothing has arrived that has not been taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Gives memory back while the connection waits.
    pub fn rest(&mut self) {
        self.room = Room::Small;
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// What has arrived and has not been taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes everything that has arrived, for a protocol that goes on after HTTP.
    pub fn take_buffered(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Reads once. `Ready(0)` is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<Result<usize, WireError>> {
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut scratch))?;
            self.buffer.extend_from_slice(scratch.filled());
            Poll::Ready(Ok(scratch.filled().len()))
        });
        if read.is_pending() && self.buffer.is_empty() && self.buffer.capacity() != 0 {
            self.buffer = BytesMut::new();
        }
        read
    }

    /// Reads until a whole head is there, and lets `parse` make of it what it is: the head and its length,
    /// `None` while it is not complete.
    pub fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        limits: &HeadLimits,
        parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, WireError>,
    ) -> Poll<Result<T, WireError>> {
        self.room = Room::Small;
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
        parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, WireError>,
    ) -> Poll<Result<Option<T>, WireError>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut scratch))?;
            if scratch.filled().is_empty() {
                return Poll::Ready(Err(WireError::Closed));
            }
            let bytes = &scratch.filled()[parse::leading_empty_lines(scratch.filled())..];
            let (head, length) = parse(bytes)?.map_or((None, 0), |(head, length)| (Some(head), length));
            self.buffer.extend_from_slice(&bytes[length..]);
            Poll::Ready(Ok(head))
        })
    }

    /// Says how the body after the head just read ends.
    pub fn begin_body(&mut self, framing: Framing) {
        self.room = Room::Small;
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
        let all = if exactly { std::mem::take(&mut self.buffer) } else { self.buffer.split_to(left) };
        Some(all.freeze())
    }

    /// The next piece of the body, its trailers, or its end.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let read = match ready!(self.poll_fill_piece(cx, stream)) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
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

    fn poll_fill_piece(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<std::io::Result<usize>> {
        let piece = self.room.size();
        if self.buffer.is_empty() && !self.buffer.try_reclaim(piece) {
            self.buffer = BytesMut::with_capacity(piece);
        }
        self.buffer.reserve(SMALLEST_PIECE);
        let read = ready!(pin!(stream.read_buf(&mut self.buffer)).poll(cx))?;
        if read >= piece {
            self.room.grow();
        }
        Poll::Ready(Ok(read))
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
                Ok(Some(Frame::data(self.buffer.split_to(take).freeze())))
            }
            Body::UntilClose => {
                Ok((!self.buffer.is_empty()).then(|| Frame::data(self.buffer.split().freeze())))
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
