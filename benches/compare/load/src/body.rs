//! Body: reads over the body of a message and says where it ends.
//!
//! Comes in: how the body is delimited, and bytes. Goes out: whether it is complete. Never keeps any of it.

use std::io;

/// What is left of a body.
#[derive(Debug)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked(Chunk),
    /// All until the connection ends.
    UntilEnd,
}

/// Where in the chunked coding the next byte is.
#[derive(Debug)]
pub enum Chunk {
    /// In a line with a size; extensions are read over.
    Size { size: u64, extension: bool },
    /// In a chunk of which so many bytes are left, its line end included.
    Data(u64),
    /// In the trailer, in a line of so many bytes.
    Trailer(u64),
}

impl Body {
    pub const CHUNKED: Self = Self::Chunked(Chunk::Size { size: 0, extension: false });

    /// Takes what belongs to the body off the front of `bytes`. Whether the body is complete.
    pub fn take(&mut self, bytes: &mut &[u8]) -> io::Result<bool> {
        match self {
            Body::Length(left) => {
                skip(left, bytes);
                Ok(*left == 0)
            }
            Body::Chunked(chunk) => chunk.take(bytes),
            Body::UntilEnd => {
                *bytes = &[];
                Ok(false)
            }
        }
    }
}

impl Chunk {
    fn take(&mut self, bytes: &mut &[u8]) -> io::Result<bool> {
        loop {
            if let Chunk::Data(left) = self {
                skip(left, bytes);
                if *left > 0 {
                    return Ok(false);
                }
                *self = Chunk::Size { size: 0, extension: false };
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(false) };
            *bytes = rest;
            match self {
                Chunk::Size { size, .. } if byte == b'\n' => {
                    *self = if *size == 0 { Chunk::Trailer(0) } else { Chunk::Data(*size + 2) };
                }
                Chunk::Size { extension: true, .. } => {}
                Chunk::Size { size, extension } => match char::from(byte).to_digit(16) {
                    Some(digit) if *size >> 40 == 0 => *size = *size * 16 + u64::from(digit),
                    None if matches!(byte, b'\r' | b';' | b' ') => *extension = true,
                    _ => return Err(io::Error::other("a chunk without a size")),
                },
                Chunk::Trailer(0) if byte == b'\n' => return Ok(true),
                Chunk::Trailer(length) => {
                    *length = if byte == b'\n' { 0 } else { *length + u64::from(byte != b'\r') }
                }
                Chunk::Data(_) => {}
            }
        }
    }
}

fn skip(left: &mut u64, bytes: &mut &[u8]) {
    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *bytes = &bytes[taken..];
    *left -= taken as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_where_they_end_however_they_are_cut() {
        let whole = b"4;x=y\r\nWiki\r\nA\r\n0123456789\r\n0\r\nA: b\r\n\r\nnext";
        for cut in 0..whole.len() - 4 {
            let mut body = Body::CHUNKED;
            let mut first = &whole[..cut];
            assert!(!body.take(&mut first).expect("well-formed"));
            let mut second = &whole[cut..];
            assert!(body.take(&mut second).expect("well-formed"));
            assert_eq!(second, b"next");
        }
        assert!(Body::CHUNKED.take(&mut &b"x\r\n"[..]).is_err());
    }
}
