//! Link: a client's HTTP/1 connection, shared between the request's body and the response.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;

use super::receive::Receiver;
use super::transmit::Transmitter;
use super::{WireError, framing::Framing};
use crate::message::Fields;
use crate::stream::Stream;

/// Both halves of a client's connection.
#[derive(Debug)]
pub struct Link {
    /// The bytes.
    pub stream: Stream,
    /// What comes in.
    pub receiver: Receiver,
    /// What goes out.
    pub transmitter: Transmitter,
    /// The client waits for `100 Continue` before it sends its body.
    continue_due: bool,
    /// Interim responses may be sent: HTTP/1.1, and the final response has not begun.
    interim_allowed: bool,
}

impl Link {
    /// A new connection, from which some bytes may have been read already.
    pub fn new(stream: Stream, receiver: Receiver) -> Self {
        Self {
            stream,
            receiver,
            transmitter: Transmitter::new(),
            continue_due: false,
            interim_allowed: false,
        }
    }

    /// Begins a request whose head has been read.
    pub fn begin_request(&mut self, framing: Framing, expects_continue: bool, interim_allowed: bool) {
        self.receiver.begin_body(framing);
        self.continue_due = expects_continue && !self.receiver.is_done() && self.receiver.is_empty();
        self.interim_allowed = interim_allowed;
    }

    /// The final response begins: no interim response can follow. Tells whether the client still waits to be told
    /// to send its body.
    pub fn end_interim(&mut self) -> bool {
        self.interim_allowed = false;
        self.continue_due
    }

    /// Passes an interim response on, where the client can take it.
    pub fn send_interim(&mut self, status: StatusCode, fields: &Fields) {
        if self.interim_allowed {
            self.transmitter.interim(status, fields);
        }
    }

    /// The next piece of the request's body. The first call tells a client that waits for it to go on.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if std::mem::take(&mut self.continue_due) {
            self.send_interim(StatusCode::CONTINUE, &Fields::default());
        }
        if self.interim_allowed
            && !self.transmitter.is_flushed()
            && let Poll::Ready(Err(error)) = self.transmitter.poll_flush(cx, &mut self.stream)
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        self.receiver.poll_frame(cx, &mut self.stream)
    }
}
