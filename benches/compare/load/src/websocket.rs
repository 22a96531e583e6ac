//! WebSocket: the little of RFC 6455 that an echo and its client need.
//!
//! Comes in: bytes of frames, in any pieces. Goes out: the same frames, part by part. Never keeps a payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// What the client says; any key will do (section 4.1).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A frame that ends the connection.
pub const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;
/// Masks what the client sends.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// `Sec-WebSocket-Accept` for a key.
pub fn accept(key: &[u8]) -> String {
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

/// One whole masked text frame of so many bytes.
pub fn message(length: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length + 14);
    head(&mut frame, 0x81, length as u64, MASKED);
    frame.extend_from_slice(&MASK);
    frame.extend((0..length).map(|at| b'x' ^ MASK[at % 4]));
    frame
}

/// The head of a frame that is not masked.
pub fn unmasked_head(out: &mut Vec<u8>, first: u8, length: u64) {
    head(out, first, length, 0);
}

fn head(out: &mut Vec<u8>, first: u8, length: u64, masked: u8) {
    out.push(first);
    if length < 126 {
        out.push(masked | length.to_le_bytes()[0]);
    } else if length <= 0xffff {
        out.push(masked | 126);
        out.extend_from_slice(&length.to_be_bytes()[6..]);
    } else {
        out.push(masked | 127);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// Reads frames.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; 14],
    have: usize,
    length: u64,
    /// Bytes of the payload seen.
    seen: u64,
}

/// A part of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// The first byte of the frame: FIN and opcode.
    pub first: u8,
    /// Bytes of its whole payload.
    pub length: u64,
    /// Whether the frame begins here.
    pub begins: bool,
    /// Whether it ends here.
    pub ends: bool,
    /// What is here of its payload.
    payload: &'b [u8],
    mask: [u8; 4],
}

impl Part<'_> {
    pub const fn opcode(&self) -> u8 {
        self.first & 15
    }

    /// The payload without its mask.
    pub fn payload(&self) -> impl Iterator<Item = u8> {
        self.payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)
    }
}

impl Frames {
    /// Takes a part of a frame off the front of `bytes`; `None` when they end before one begins.
    pub fn take<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Part<'b>> {
        let begins = self.have < self.wanted();
        while self.have < self.wanted() {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            self.head[self.have] = byte;
            self.have += 1;
        }
        if begins {
            (self.length, self.seen) = (self.payload_length(), 0);
        } else if bytes.is_empty() {
            return None;
        }
        let size = bytes.len().min(usize::try_from(self.length - self.seen).unwrap_or(usize::MAX));
        let (payload, rest) = bytes.split_at(size);
        *bytes = rest;
        let mut mask = self.mask();
        mask.rotate_left(usize::try_from(self.seen % 4).unwrap_or(0));
        self.seen += size as u64;
        let ends = self.seen == self.length;
        if ends {
            self.have = 0;
        }
        Some(Part { first: self.head[0], length: self.length, begins, ends, payload, mask })
    }

    /// Bytes of the head, as far as it is known.
    fn wanted(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.head[1] & MASKED != 0 { 4 } else { 0 };
        self.length_bytes() + 2 + mask
    }

    fn length_bytes(&self) -> usize {
        match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn payload_length(&self) -> u64 {
        match self.length_bytes() {
            0 => u64::from(self.head[1] & 0x7f),
            size => self.head[2..2 + size].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        }
    }

    fn mask(&self) -> [u8; 4] {
        let start = 2 + self.length_bytes();
        match self.head[1] & MASKED {
            0 => [0; 4],
            _ => [self.head[start], self.head[start + 1], self.head[start + 2], self.head[start + 3]],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_in_the_rfc() {
        assert_eq!(accept(KEY.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        for length in [0, 1, 125, 126, 300, 70_000] {
            let two = [message(length), message(length)].concat();
            for size in [1, 2, 3, 7, 1000, two.len()] {
                let mut frames = Frames::default();
                let (mut begun, mut ended, mut text) = (0, 0, Vec::new());
                for mut piece in two.chunks(size) {
                    while let Some(part) = frames.take(&mut piece) {
                        begun += u32::from(part.begins);
                        ended += u32::from(part.ends);
                        assert_eq!((part.first, part.length), (0x81, length as u64));
                        text.extend(part.payload());
                    }
                }
                assert_eq!((begun, ended), (2, 2), "{length} bytes in pieces of {size}");
                assert_eq!(text, vec![b'x'; 2 * length]);
            }
        }
    }
}
