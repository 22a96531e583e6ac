//! Wire: HTTP/1 as bytes, read strictly and written plainly, the same code on both sides of the gateway.
//!
//! Comes in: bytes of a connection. Goes out: heads, pieces of bodies, or an error that says what is wrong.
//! Never guesses: what RFC 9112 lets a recipient repair is refused, since two parties may repair it differently.

pub mod chunked;
pub mod framing;
pub mod link;
pub mod parse;
pub mod receive;
mod room;
pub mod transmit;

use std::io;

/// What ended the reading or writing of a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side closed before the first byte of a message.
    #[error("the connection was closed")]
    Closed,
    /// The other side closed in the middle of a message.
    #[error("the connection was closed in the middle of a message")]
    Truncated,
    /// The bytes are not HTTP/1 as RFC 9112 has it.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The request line is longer than allowed.
    #[error("the request line is too long")]
    LineTooLong,
    /// The header block has more bytes or fields than allowed.
    #[error("the header block is too large")]
    HeadTooLarge,
    /// The body has more bytes than allowed.
    #[error("the body is too large")]
    BodyTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// A transfer coding other than `chunked`.
    #[error("the transfer coding is not supported")]
    Coding,
    /// Nothing came, or nothing was taken, for too long.
    #[error("the other side took too long")]
    TimedOut,
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Largest head that is read, in bytes and fields.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the first line.
    pub line: usize,
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Number of fields.
    pub fields: usize,
}
