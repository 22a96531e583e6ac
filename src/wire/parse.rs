//! Parse: the head of a message from its bytes (RFC 9112, sections 2 to 5).
//!
//! Comes in: what has arrived so far. Goes out: the head and its length, "not yet", or what is wrong with it.
//! Every line ends with CRLF; bare CR, bare LF, NUL, folded lines and spaces before a colon are refused.

use http::{Method, StatusCode, Version};

use super::{HeadLimits, WireError};
use crate::message::{Fields, RequestHead, ResponseHead};

/// What stands at the start of some bytes, and how many they are; `None` while it is not complete.
pub type Parsed<T> = Result<Option<(T, usize)>, WireError>;

/// The length of the head at the start of `bytes`, empty line included; `None` while it is not complete.
/// `seen` remembers how far earlier calls have looked.
pub fn head_length(bytes: &[u8], seen: &mut usize, limits: &HeadLimits) -> Result<Option<usize>, WireError> {
    while let Some(found) = memchr::memchr(b'\n', &bytes[*seen..]) {
        let line_feed = *seen + found;
        if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
            return Err(WireError::Malformed("a line does not end with CRLF"));
        }
        let empty = line_feed >= 3 && bytes[line_feed - 2] == b'\n';
        *seen = line_feed + 1;
        if empty {
            return if *seen > limits.bytes { Err(too_large(bytes, limits)) } else { Ok(Some(*seen)) };
        }
    }
    // The last byte may be the CR of a CRLF: everything before it has been looked at.
    if bytes.len() > limits.bytes || (bytes.len() > limits.line && !bytes[..limits.line].contains(&b'\n')) {
        return Err(too_large(bytes, limits));
    }
    Ok(None)
}

fn too_large(bytes: &[u8], limits: &HeadLimits) -> WireError {
    let line_is_long = memchr::memchr(b'\n', bytes).is_none_or(|end| end > limits.line);
    if line_is_long { WireError::LineTooLong } else { WireError::HeadTooLarge }
}

/// The number of bytes of empty lines before a request line: at most two are passed over (section 2.2).
pub fn leading_empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take(2).take_while(|pair| pair == b"\r\n").count() * 2
}

/// A request's head at the start of `bytes`, and its length; `None` while it is not complete.
pub fn request(bytes: &[u8], limits: &HeadLimits) -> Parsed<RequestHead> {
    let Some((line, rest)) = first_line(bytes) else { return Ok(None) };
    let line = without_return(line)?;
    if line.len() > limits.line {
        return Err(WireError::LineTooLong);
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(WireError::Malformed("the request line does not have three parts"));
    };
    if method.len() > LONGEST_METHOD || !method.iter().all(|&byte| is_token(byte)) {
        return Err(WireError::Malformed("odd method"));
    }
    let method = Method::from_bytes(method).map_err(|_| WireError::Malformed("odd method"))?;
    if target.is_empty() || count(target, |byte| !byte.is_ascii_graphic()) != 0 {
        return Err(WireError::Malformed("odd request target"));
    }
    let target =
        String::from_utf8(target.to_vec()).map_err(|_| WireError::Malformed("odd request target"))?;
    let version = self::version(version)?;
    let Some((fields, length)) = fields(rest, limits)? else { return Ok(None) };
    let length = within(bytes.len() - rest.len() + length, limits)?;
    Ok(Some((RequestHead { method, target, version, fields }, length)))
}

/// A response's head at the start of `bytes` with the version it was sent in, and its length; `None` while it is not
/// complete.
pub fn response(bytes: &[u8], limits: &HeadLimits) -> Parsed<(ResponseHead, Version)> {
    let Some((line, rest)) = first_line(bytes) else { return Ok(None) };
    let line = without_return(line)?;
    let version = self::version(line.get(..8).unwrap_or_default())?;
    let odd = WireError::Malformed("odd status line");
    let (Some(b' '), Some(code)) = (line.get(8), line.get(9..12)) else { return Err(odd) };
    let reason_is_fine = match line.get(12) {
        None => true,
        Some(b' ') => line[13..].iter().all(|&byte| is_value(byte)),
        Some(_) => false,
    };
    if !reason_is_fine || !code.iter().all(u8::is_ascii_digit) {
        return Err(odd);
    }
    let status = StatusCode::from_bytes(code).ok().filter(|status| status.as_u16() < 600).ok_or(odd)?;
    let Some((fields, length)) = fields(rest, limits)? else { return Ok(None) };
    let length = within(bytes.len() - rest.len() + length, limits)?;
    Ok(Some(((ResponseHead { status, fields }, version), length)))
}

/// The fields at the start of `bytes`, and their length with the empty line after them; `None` while that is not there.
pub fn fields(bytes: &[u8], limits: &HeadLimits) -> Parsed<Fields> {
    let mut fields = Fields::new();
    let mut start = 0;
    for line_feed in memchr::memchr_iter(b'\n', bytes) {
        let line = without_return(&bytes[start..line_feed])?;
        if line.is_empty() {
            // All lines are looked at together, which is cheaper: of the bytes that no value may hold there are the two
            // at the end of each line, and no others.
            let length = line_feed + 1;
            let fine = count(&bytes[..length], |byte| !is_value(byte)) == 2 * (fields.len() + 1);
            let odd = WireError::Malformed("odd character in a field value");
            return if fine { Ok(Some((fields, length))) } else { Err(odd) };
        }
        if fields.len() == limits.fields {
            return Err(WireError::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        match trim(value) {
            // Nearly always: one space, then the value. The line stays as it is.
            trimmed if value.len() == trimmed.len() + 1 && value[0] == b' ' => {
                fields.append_line(&bytes[start..=line_feed], name.len());
            }
            trimmed => fields.append(name, trimmed),
        }
        start = line_feed + 1;
    }
    Ok(None)
}

fn within(length: usize, limits: &HeadLimits) -> Result<usize, WireError> {
    if length > limits.bytes { Err(WireError::HeadTooLarge) } else { Ok(length) }
}

const LONGEST_METHOD: usize = 32;

/// The first line, if it is complete, and what follows it.
fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn without_return(line: &[u8]) -> Result<&[u8], WireError> {
    line.strip_suffix(b"\r").ok_or(WireError::Malformed("a line does not end with CRLF"))
}

fn version(bytes: &[u8]) -> Result<Version, WireError> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(WireError::Version)
        }
        _ => Err(WireError::Malformed("odd HTTP version")),
    }
}

/// A field's name and its value with the blanks around it. What bytes the value has is looked at elsewhere.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let end_of_name = line.iter().position(|&byte| !is_token(byte)).unwrap_or(line.len());
    match (end_of_name, line.get(end_of_name)) {
        (0, Some(b' ' | b'\t')) => Err(WireError::Malformed("a folded line")),
        (1.., Some(b':')) => Ok((&line[..end_of_name], &line[end_of_name + 1..])),
        (_, None) => Err(WireError::Malformed("a field without a colon")),
        _ => Err(WireError::Malformed("odd field name")),
    }
}

/// How many bytes are of a kind. Without an early end, and with sums that fit into a byte, the compiler looks at many
/// bytes at a time.
#[inline(always)]
fn count(bytes: &[u8], is_of_it: impl Fn(u8) -> bool) -> usize {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(u8::from(is_of_it(byte))));
    bytes.chunks(240).map(|bytes| usize::from(sum(bytes))).sum()
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A byte that a field value may hold (RFC 9110, section 5.5): visible, space, tab, or beyond ASCII.
fn is_value(byte: u8) -> bool {
    (byte >= b' ') & (byte != 0x7f) | (byte == b'\t')
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 128 {
        let extra = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        let mut is_extra = false;
        while at < extra.len() {
            is_extra |= extra[at] as usize == byte;
            at += 1;
        }
        table[byte] = is_extra || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { line: 100, bytes: 1000, fields: 5 };

    fn read(bytes: &[u8]) -> Result<RequestHead, WireError> {
        head_length(bytes, &mut 0, &LIMITS)?;
        request(bytes, &LIMITS)?.map(|(head, _)| head).ok_or(WireError::Truncated)
    }

    #[test]
    fn a_plain_request_is_read() {
        let head = read(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y:  \tz \r\n\r\nrest").expect("fine");
        assert_eq!(
            (head.method, head.target.as_str(), head.version),
            (Method::GET, "/a?b=c", Version::HTTP_11)
        );
        assert_eq!(head.fields.get("x-y"), Some(&b"z"[..]));
    }

    #[test]
    fn broken_heads_are_refused() {
        for broken in [
            &b"GET / HTTP/1.1\nHost: x\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: x\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            b"GET / HTTP/1.1\r\n: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1 \r\n\r\n",
            b"GET / http/1.1\r\n\r\n",
            b"G@T / HTTP/1.1\r\n\r\n",
            b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
            b"GET /\t HTTP/1.1\r\n\r\n",
            b"GET /\r\n\r\n",
        ] {
            assert!(matches!(read(broken), Err(WireError::Malformed(_))), "{}", broken.escape_ascii());
        }
        assert!(matches!(read(b"GET / HTTP/2.0\r\n\r\n"), Err(WireError::Version)));
    }

    #[test]
    fn a_bare_line_feed_is_noticed_before_the_head_is_complete() {
        assert!(head_length(b"GET / HTTP/1.1\nHost", &mut 0, &LIMITS).is_err());
    }

    #[test]
    fn large_heads_are_told_from_long_lines() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200));
        assert!(matches!(read(long.as_bytes()), Err(WireError::LineTooLong)));
        assert!(matches!(read(&long.as_bytes()[..150]), Err(WireError::LineTooLong)));
        let large = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(2000));
        assert!(matches!(read(large.as_bytes()), Err(WireError::HeadTooLarge)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(6));
        assert!(matches!(read(many.as_bytes()), Err(WireError::HeadTooLarge)));
    }

    #[test]
    fn responses_are_read_and_odd_ones_refused() {
        let read = response(b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\nrest", &LIMITS).expect("fine");
        let ((head, version), length) = read.expect("whole");
        assert_eq!((head.status, version, length), (StatusCode::NOT_FOUND, Version::HTTP_10, 32));
        assert!(matches!(response(b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r", &LIMITS), Ok(None)));
        assert!(response(b"HTTP/1.1 200\r\n\r\n", &LIMITS).is_ok());
        for odd in [
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 999 X",
            "garbage",
            "HTTP/1.1",
        ] {
            assert!(response(format!("{odd}\r\n\r\n").as_bytes(), &LIMITS).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_the_same_with_another_parser(
            noise in proptest::collection::vec(any::<u8>(), 0..4), at in 0_usize..60
        ) {
            let mut bytes = b"POST /path?q HTTP/1.1\r\nHost: a.example\r\nX-One: two, three\r\n\r\n".to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..at, noise);
            if let Ok(ours) = read(&bytes) {
                let mut headers = [httparse::EMPTY_HEADER; 8];
                let mut theirs = httparse::Request::new(&mut headers);
                prop_assert!(theirs.parse(&bytes).expect("they accept what we accept").is_complete());
                prop_assert_eq!(theirs.method, Some(ours.method.as_str()));
                prop_assert_eq!(theirs.path, Some(ours.target.as_str()));
                let names: Vec<_> = ours.fields.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                let others: Vec<_> = theirs.headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect();
                prop_assert_eq!(names, others);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = response(&bytes, &LIMITS);
        }
    }
}
