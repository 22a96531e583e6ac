//! Transmit: messages onto a connection, one after the other.
//!
//! Comes in: a head and pieces of a body. Goes out: bytes, few writes: head and first piece leave together, and the
//! last piece with the end of its body. A new piece is asked for only when the last one has gone (back-pressure).

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Method, StatusCode};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::framing::Framing;
use crate::message::Fields;
use crate::stream::Stream;

/// The sending half of a connection's state.
#[derive(Debug)]
pub struct Transmitter {
    head: Vec<u8>,
    head_sent: usize,
    /// How many bytes of the body follow the head in its buffer.
    gathered: usize,
    data: Bytes,
    tail: &'static [u8],
    framing: Framing,
    finished: bool,
}

/// Why a body could not be sent.
#[derive(Debug)]
pub enum SendError<E> {
    /// Where the body comes from failed.
    Body(E),
    /// The body is not as long as its head said.
    Length,
}

/// For the first line, the framing and the first chunk's size.
const ROOM: usize = 128;

/// Data of at most so many bytes is sent in one piece with its head.
const LITTLE: usize = 2 * 1024;
/// A head of this many bytes keeps its room between requests.
const SMALL_HEAD: usize = 1024;

const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const CHUNK_END_AND_LAST: &[u8] = b"\r\n0\r\n\r\n";

impl Transmitter {
    /// Nothing to send yet.
    pub fn new() -> Self {
        Self {
            head: Vec::new(),
            head_sent: 0,
            gathered: 0,
            data: Bytes::new(),
            tail: b"",
            framing: Framing::Empty,
            finished: true,
        }
    }

    /// Begins a request; its body will be framed so. The caller has removed every framing field.
    pub fn begin_request(&mut self, method: &Method, target: &str, fields: &Fields, framing: Framing) {
        self.head.reserve(target.len() + fields.wire_size() + ROOM);
        let start = [method.as_str(), " ", target, " HTTP/1.1\r\n"];
        start.iter().for_each(|part| self.head.extend_from_slice(part.as_bytes()));
        self.begin(fields, framing);
    }

    /// Begins a response; its body will be framed so. The caller has removed every framing field.
    pub fn begin_response(&mut self, status: StatusCode, fields: &Fields, framing: Framing) {
        self.head.reserve(fields.wire_size() + ROOM);
        self.status_line(status);
        self.begin(fields, framing);
    }

    /// Adds an interim response (1xx) before the response that is still to come.
    pub fn interim(&mut self, status: StatusCode, fields: &Fields) {
        self.status_line(status);
        self.fields(fields);
        self.head.extend_from_slice(b"\r\n");
    }

    fn status_line(&mut self, status: StatusCode) {
        let reason = status.canonical_reason().unwrap_or("");
        let start = ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"];
        start.iter().for_each(|part| self.head.extend_from_slice(part.as_bytes()));
    }

    fn fields(&mut self, fields: &Fields) {
        fields.write_to(&mut self.head);
    }

    fn begin(&mut self, fields: &Fields, framing: Framing) {
        self.fields(fields);
        match framing {
            Framing::Length(length) => {
                self.head.extend_from_slice(b"Content-Length: ");
                self.head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                self.head.extend_from_slice(b"\r\n\r\n");
            }
            Framing::Chunked => self.head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            Framing::Empty | Framing::UntilClose => self.head.extend_from_slice(b"\r\n"),
        }
        self.framing = framing;
        self.finished = matches!(framing, Framing::Empty | Framing::Length(0));
    }

    /// Whether the message has been handed over whole; what is pending may still have to be flushed.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether all that was begun has gone.
    pub fn is_flushed(&self) -> bool {
        self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    /// How many bytes of the body's last piece have not gone yet.
    pub fn pending_data(&self) -> usize {
        self.gathered.min(self.head.len() - self.head_sent) + self.data.len()
    }

    /// Whether a piece of the body can be taken: one is still to come, and the last one has gone.
    pub fn has_room(&self) -> bool {
        !self.finished && self.gathered == 0 && self.data.is_empty() && self.tail.is_empty()
    }

    /// Takes the next piece of the body where there is room for one. `Ready` when a piece or the end was taken.
    pub fn poll_fill<B>(
        &mut self,
        cx: &mut Context<'_>,
        body: Pin<&mut B>,
    ) -> Poll<Result<(), SendError<B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = body;
        if !self.has_room() {
            return Poll::Pending;
        }
        match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.data(data)?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers(&Fields::from(&trailers));
                    }
                }
            },
            Some(Err(error)) => return Poll::Ready(Err(SendError::Body(error))),
            None => self.finish()?,
        }
        if !self.finished && body.is_end_stream() {
            self.finish()?;
        }
        Poll::Ready(Ok(()))
    }

    fn data<E>(&mut self, data: Bytes) -> Result<(), SendError<E>> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Empty => return Err(SendError::Length),
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SendError::Length)?;
                self.finished = *left == 0;
            }
            Framing::Chunked => {
                write!(self.head, "{:x}\r\n", data.len()).expect("a Vec takes everything");
                self.tail = CHUNK_END;
            }
            Framing::UntilClose => {}
        }
        self.data = data;
        Ok(())
    }

    fn trailers(&mut self, trailers: &Fields) {
        if matches!(self.framing, Framing::Chunked) {
            self.head.extend_from_slice(b"0\r\n");
            self.fields(trailers);
            self.head.extend_from_slice(b"\r\n");
            self.finished = true;
        }
    }

    fn finish<E>(&mut self) -> Result<(), SendError<E>> {
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(SendError::Length),
            Framing::Chunked if self.tail.is_empty() => self.tail = LAST_CHUNK,
            Framing::Chunked => self.tail = CHUNK_END_AND_LAST,
            _ => {}
        }
        self.finished = true;
        Ok(())
    }

    /// Writes what is pending.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        self.gather();
        while !self.is_flushed() {
            let head = &self.head[self.head_sent..];
            let mut stream = Pin::new(&mut *stream);
            let written = if self.data.is_empty() && self.tail.is_empty() {
                stream.as_mut().poll_write(cx, head)
            } else {
                let slices = [IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
                stream.as_mut().poll_write_vectored(cx, &slices)
            };
            let count = ready!(written)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent(count);
        }
        Pin::new(stream).poll_flush(cx)
    }

    /// Puts little data behind the head: one piece is cheaper to send than two, by more than the copy costs.
    fn gather(&mut self) {
        if !self.head.is_empty() && (1..=LITTLE).contains(&self.data.len()) {
            self.head.extend_from_slice(&self.data);
            self.head.extend_from_slice(self.tail);
            self.gathered = self.data.len();
            (self.data, self.tail) = (Bytes::new(), b"");
        }
    }

    fn sent(&mut self, mut count: usize) {
        let of_head = count.min(self.head.len() - self.head_sent);
        self.head_sent += of_head;
        if self.head_sent == self.head.len() {
            self.head.clear();
            (self.head_sent, self.gathered) = (0, 0);
        }
        count -= of_head;
        let of_data = count.min(self.data.len());
        self.data.advance(of_data);
        if self.data.is_empty() {
            // What it was cut from may be read into again.
            self.data = Bytes::new();
        }
        self.tail = &self.tail[count - of_data..];
    }

    /// Gives memory back while the connection waits, except the little that every head needs.
    pub fn rest(&mut self) {
        if self.head.capacity() > SMALL_HEAD {
            self.head = Vec::new();
        }
        self.data = Bytes::new();
    }
}

impl Default for Transmitter {
    fn default() -> Self {
        Self::new()
    }
}
