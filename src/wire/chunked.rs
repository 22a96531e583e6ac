//! Chunked: the transfer coding, decoded strictly (RFC 9112, section 7.1).
//!
//! Comes in: bytes as they arrive. Goes out: data and trailers. Extensions are dropped; white space around a size,
//! signs, prefixes and bare line feeds are refused.

use bytes::{Buf, Bytes};

use super::{HeadLimits, WireError, parse};
use crate::message::Fields;

/// Where a decoder stands.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    extensions: usize,
}

#[derive(Debug)]
enum State {
    /// Before a size line.
    Size,
    /// In data, this much of it to come.
    Data(u64),
    /// After data, before its CRLF.
    DataEnd,
    /// After the last chunk; how far the trailer section has been looked at.
    Trailers(usize),
    /// After the empty line.
    End,
}

/// What a step found.
#[derive(Debug)]
pub enum Decoded {
    /// A piece of data, never empty.
    Data(Bytes),
    /// The end, with trailers if there were any.
    End(Option<Fields>),
    /// Nothing until more bytes arrive.
    More,
}

/// Longest size line with its extension, and all extensions of a body.
const LONGEST_LINE: usize = 4 * 1024;
const MOST_EXTENSIONS: usize = 16 * 1024;
const TRAILER_LIMITS: HeadLimits = HeadLimits { line: 16 * 1024, bytes: 16 * 1024, fields: 100 };

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self { state: State::Size, extensions: 0 }
    }

    /// Whether the end has been reached.
    pub fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Takes what it can from `bytes`.
    pub fn step(&mut self, bytes: &mut Bytes) -> Result<Decoded, WireError> {
        loop {
            match self.state {
                State::Size => match self.size_line(bytes)? {
                    Some(0) => self.state = State::Trailers(0),
                    Some(size) => self.state = State::Data(size),
                    None => return Ok(Decoded::More),
                },
                State::Data(left) => {
                    if bytes.is_empty() {
                        return Ok(Decoded::More);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - take as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Decoded::Data(bytes.split_to(take)));
                }
                State::DataEnd => match bytes.get(..2) {
                    Some(b"\r\n") => {
                        bytes.advance(2);
                        self.state = State::Size;
                    }
                    Some(_) => return Err(WireError::Malformed("a chunk is longer than its size")),
                    None if bytes.first().is_some_and(|&byte| byte != b'\r') => {
                        return Err(WireError::Malformed("a chunk is longer than its size"));
                    }
                    None => return Ok(Decoded::More),
                },
                State::Trailers(seen) => return self.trailers(bytes, seen),
                State::End => return Ok(Decoded::End(None)),
            }
        }
    }

    fn size_line(&mut self, bytes: &mut Bytes) -> Result<Option<u64>, WireError> {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 15 || (digits == 0 && !bytes.is_empty()) {
            return Err(WireError::Malformed("odd chunk size"));
        }
        match bytes.get(digits) {
            None | Some(b'\r' | b';') => {}
            Some(_) => return Err(WireError::Malformed("odd chunk size")),
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            if bytes.len() > LONGEST_LINE {
                return Err(WireError::Malformed("a chunk extension is too long"));
            }
            return Ok(None);
        };
        let (size, extension) = bytes[..end].split_at(digits);
        let Some((b'\r', extension)) = extension.split_last() else {
            return Err(WireError::Malformed("a chunk size does not end with CRLF"));
        };
        if extension.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(WireError::Malformed("odd character in a chunk extension"));
        }
        self.extensions += extension.len();
        if self.extensions > MOST_EXTENSIONS {
            return Err(WireError::Malformed("too many chunk extensions"));
        }
        let digit = |byte: u8| u64::from(char::from(byte).to_digit(16).expect("hex digits were counted"));
        let size = size.iter().fold(0, |sum, &byte| sum * 16 + digit(byte));
        bytes.advance(end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, bytes: &mut Bytes, mut seen: usize) -> Result<Decoded, WireError> {
        if bytes.starts_with(b"\r\n") {
            bytes.advance(2);
            self.state = State::End;
            return Ok(Decoded::End(None));
        }
        let length = parse::head_length(bytes, &mut seen, &TRAILER_LIMITS).map_err(|error| match error {
            WireError::LineTooLong => WireError::HeadTooLarge,
            error => error,
        })?;
        let Some(length) = length else {
            self.state = State::Trailers(seen);
            return Ok(Decoded::More);
        };
        let read = parse::fields(&bytes[..length], &TRAILER_LIMITS)?;
        let (trailers, length) = read.ok_or(WireError::Malformed("odd trailers"))?;
        bytes.advance(length);
        self.state = State::End;
        Ok(Decoded::End(Some(trailers)))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(input: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, WireError> {
        let (mut decoder, mut buffer, mut data) = (Decoder::new(), Bytes::new(), Vec::new());
        for bytes in input.chunks(piece) {
            buffer = [&buffer, bytes].concat().into();
            loop {
                match decoder.step(&mut buffer)? {
                    Decoded::Data(piece) => data.extend_from_slice(&piece),
                    Decoded::End(trailers) => {
                        return Ok(Some((data, trailers.map_or(0, |found| found.len()))));
                    }
                    Decoded::More => break,
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies_are_decoded_in_pieces_of_any_size() {
        let body = b"5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nA: b\r\nC: d\r\n\r\n";
        for piece in 1..body.len() {
            assert_eq!(decode(body, piece).expect("fine"), Some((b"hello world".to_vec(), 2)), "{piece}");
        }
    }

    #[test]
    fn loose_grammar_is_refused() {
        for loose in [
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5_0\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "\r\n5\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5;a\nhello\r\n0\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            assert!(decode(loose.as_bytes(), 1).is_err(), "{loose:?}");
        }
    }

    #[test]
    fn endless_extensions_are_refused() {
        assert!(decode(format!("1;{}", "a".repeat(5000)).as_bytes(), 100).is_err());
        assert!(decode(format!("1;{}\r\nx\r\n", "a".repeat(3000)).repeat(6).as_bytes(), 100).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes, 7);
        }
    }
}
