//! Guarded: the bytes of an HTTP/2 connection, with the clocks that the library leaves to its user.
//!
//! A frame or a header block that was begun must be finished within the header timeout; a connection without streams
//! is closed after the idle timeout; a peer that takes nothing is closed after the body timeout.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::deadline::Deadline;
use crate::gateway::settings::Timeouts;
use crate::stream::Stream;

/// A connection under watch.
pub struct Guarded {
    stream: Stream,
    start: Bytes,
    streams: Rc<Cell<usize>>,
    heard: Rc<Cell<bool>>,
    timeouts: Timeouts,
    reading: Deadline,
    writing: Deadline,
    frames: Frames,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A frame or a header block has begun.
    Partial,
    /// No stream is open.
    Idle,
    /// Streams are open.
    Busy,
}

impl Guarded {
    /// Watches a connection; `streams` is kept up to date by whoever answers them, `heard` is set by every read.
    pub fn new(
        stream: Stream,
        start: Bytes,
        streams: Rc<Cell<usize>>,
        heard: Rc<Cell<bool>>,
        timeouts: Timeouts,
    ) -> Self {
        let mut reading = Deadline::default();
        reading.set(timeouts.header);
        let (writing, frames) = (Deadline::default(), Frames::default());
        Self { stream, start, streams, heard, timeouts, reading, writing, frames, state: State::Partial }
    }

    /// Sets the clock for what the connection is doing now; a clock that is running goes on, unless what it was set for
    /// has been finished since.
    fn watch(&mut self, finished: bool) {
        let state = match (self.frames.is_partial(), self.streams.get()) {
            (true, _) => State::Partial,
            (false, 0) => State::Idle,
            (false, _) => State::Busy,
        };
        if state == self.state && !(state == State::Partial && finished) {
            return;
        }
        self.state = state;
        match state {
            State::Partial => self.reading.set(self.timeouts.header),
            State::Idle => self.reading.set(self.timeouts.idle),
            State::Busy => self.reading.clear(),
        }
    }

    /// What came of a write, or an error once the client has taken nothing for too long.
    fn within_patience<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.writing.clear();
            return done;
        }
        if !self.writing.is_set() {
            self.writing.set(self.timeouts.body);
        }
        self.writing.poll(cx).map(|()| Err(too_slow()))
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client took too long")
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = if this.start.is_empty() {
            Pin::new(&mut this.stream).poll_read(cx, buffer)
        } else {
            let take = this.start.len().min(buffer.remaining());
            buffer.put_slice(&this.start[..take]);
            this.start.advance(take);
            Poll::Ready(Ok(()))
        };
        if read.is_ready() {
            this.heard.set(true);
            let finished = this.frames.read(&buffer.filled()[before..]);
            this.watch(finished);
            return read;
        }
        // Streams may have been opened or closed since the last read.
        this.watch(false);
        this.reading.poll(cx).map(|()| Err(too_slow()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.within_patience(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.within_patience(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.within_patience(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.within_patience(cx, closed)
    }
}

/// Follows the frames of what a client sends (RFC 9113, section 4.1), after its preface.
#[derive(Debug, Default)]
struct Frames {
    preface: usize,
    header: Vec<u8>,
    payload_left: usize,
    in_header_block: bool,
}

const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Says whether a frame, with its whole header block, has ended in these bytes.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut finished = false;
        let of_preface = (PREFACE - self.preface).min(bytes.len());
        self.preface += of_preface;
        bytes = &bytes[of_preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let take = self.payload_left.min(bytes.len());
                self.payload_left -= take;
                bytes = &bytes[take..];
                finished |= !self.is_partial();
                continue;
            }
            let take = (9 - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if let [a, b, c, kind, flags, _, _, _, _] = self.header[..] {
                self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.in_header_block = flags & END_HEADERS == 0;
                }
                self.header.clear();
                finished |= !self.is_partial();
            }
        }
        finished
    }

    fn is_partial(&self) -> bool {
        self.preface < PREFACE || !self.header.is_empty() || self.payload_left > 0 || self.in_header_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_block_is_partial_until_its_end() {
        let mut frames = Frames::default();
        frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n");
        assert!(frames.is_partial());
        frames.read(b"\r\n");
        assert!(!frames.is_partial());
        frames.read(&[0, 0, 2, HEADERS, 0, 0, 0, 0, 1, 0x82]);
        assert!(frames.is_partial());
        frames.read(&[0x84]);
        assert!(frames.is_partial());
        frames.read(&[0, 0, 0, CONTINUATION, END_HEADERS, 0, 0, 0, 1]);
        assert!(!frames.is_partial());
    }

    #[test]
    fn every_frame_that_ends_is_noticed_though_the_next_one_has_begun() {
        let mut frames = Frames::default();
        assert!(!frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert!(!frames.read(&[0, 0, 2, 0, 0, 0, 0, 0, 1, 7]));
        assert!(frames.read(&[7, 0, 0, 2]));
        assert!(!frames.read(&[0, 0, 0, 0, 0, 1, 7]));
        assert!(frames.read(&[7, 0, 0, 1, HEADERS, 0, 0, 0, 0, 1]));
        assert!(!frames.read(&[0x82, 0, 0]), "its header block goes on");
    }
}
