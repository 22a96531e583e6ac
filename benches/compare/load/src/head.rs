//! Head: finds the end of an HTTP/1 head in what arrives, and its fields.
//!
//! Comes in: bytes, in whatever pieces the socket had them. Goes out: one whole head and what follows it. Never copies a
//! head that arrived in one piece.

use std::borrow::Cow;
use std::io;
use std::sync::LazyLock;

use memchr::memmem::Finder;

static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// No head is longer.
const LONGEST: usize = 64 * 1024;

/// Takes a head off the front of `bytes`. Without its end everything goes to `held`, which the next call begins with.
pub fn take<'b>(held: &mut Vec<u8>, bytes: &mut &'b [u8]) -> io::Result<Option<Cow<'b, [u8]>>> {
    if held.is_empty()
        && let Some(at) = END.find(bytes)
    {
        let (head, rest) = bytes.split_at(at + 4);
        *bytes = rest;
        return Ok(Some(Cow::Borrowed(head)));
    }
    let before = held.len();
    held.extend_from_slice(bytes);
    let Some(at) = END.find(held) else {
        *bytes = &[];
        return if held.len() > LONGEST { Err(io::Error::other("a head without end")) } else { Ok(None) };
    };
    *bytes = &bytes[at + 4 - before..];
    held.truncate(at + 4);
    Ok(Some(Cow::Owned(std::mem::take(held))))
}

/// The first line, without its end.
pub fn first_line(head: &[u8]) -> &[u8] {
    &head[..memchr::memchr(b'\r', head).unwrap_or(head.len())]
}

/// Names and values, in order.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = &head[first_line(head).len()..];
    std::iter::from_fn(move || {
        let line = rest.strip_prefix(b"\r\n")?;
        let line = &line[..memchr::memchr(b'\r', line)?];
        rest = &rest[2 + line.len()..];
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// A number in a field, such as `Content-Length`.
pub fn number(value: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| io::Error::other("a length that is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_pieces_is_put_together() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nX-B:  c \r\n\r\nrest";
        for cut in 0..whole.len() {
            let mut held = Vec::new();
            let mut first = &whole[..cut];
            let mut found = take(&mut held, &mut first).expect("short enough");
            let mut second = &whole[cut..];
            if found.is_none() {
                found = take(&mut held, &mut second).expect("short enough");
            }
            let head = found.expect("complete");
            assert_eq!([first, second].concat(), b"rest");
            assert_eq!(first_line(&head), b"GET / HTTP/1.1");
            let fields: Vec<_> = fields(&head).collect();
            assert_eq!(fields, [(&b"Host"[..], &b"a"[..]), (b"X-B", b"c")]);
            assert!(held.is_empty());
        }
    }
}
