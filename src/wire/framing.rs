//! Framing: how long is the body? (RFC 9112, section 6)
//!
//! Comes in: the fields of a head. Goes out: one answer, or an error where two could be given.

use http::{Method, StatusCode, Version};

use super::WireError;
use crate::message::Fields;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// A response that ends with its connection.
    UntilClose,
}

/// Framing of a request.
pub fn of_request(fields: &Fields, version: Version) -> Result<Framing, WireError> {
    Ok(declared(fields, version)?.unwrap_or(Framing::Empty))
}

/// Framing of a response to a request by `method`.
pub fn of_response(
    fields: &Fields,
    version: Version,
    status: StatusCode,
    method: &Method,
) -> Result<Framing, WireError> {
    let declared = declared(fields, version)?;
    if !may_have_body(status, method) {
        return Ok(Framing::Empty);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

/// Whether a response with this status to this method can have a body at all (RFC 9110, section 6.4.1).
pub fn may_have_body(status: StatusCode, method: &Method) -> bool {
    let bodiless =
        status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless && method != Method::HEAD
}

fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, WireError> {
    let mut lengths = fields.get_all("content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(WireError::Malformed("more than one Content-Length"));
    }
    let mut codings = fields.get_all("transfer-encoding");
    let Some(coding) = codings.next() else {
        return length.map(content_length).transpose();
    };
    if length.is_some() {
        return Err(WireError::Malformed("Content-Length and Transfer-Encoding together"));
    }
    if version < Version::HTTP_11 {
        return Err(WireError::Malformed("Transfer-Encoding in HTTP/1.0"));
    }
    if codings.next().is_some() {
        return Err(WireError::Malformed("more than one Transfer-Encoding"));
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(Framing::Chunked));
    }
    let only_chunked = coding.split(|&byte| byte == b',').all(|token| {
        let token = token.trim_ascii();
        token.is_empty() || token.eq_ignore_ascii_case(b"chunked")
    });
    if only_chunked { Err(WireError::Malformed("odd Transfer-Encoding")) } else { Err(WireError::Coding) }
}

fn content_length(value: &[u8]) -> Result<Framing, WireError> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    if !digits {
        return Err(WireError::Malformed("Content-Length is not a number"));
    }
    let length = value.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Framing::Length(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value);
        }
        fields
    }

    #[test]
    fn a_length_and_a_coding_together_are_refused() {
        let both = fields(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]);
        assert!(matches!(of_request(&both, Version::HTTP_11), Err(WireError::Malformed(_))));
    }

    #[test]
    fn odd_lengths_are_refused() {
        for odd in ["+1", "1,1", " 1", "-1", "0x1", "18446744073709551616", "", "1 "] {
            let odd = fields(&[("content-length", odd)]);
            assert!(matches!(of_request(&odd, Version::HTTP_11), Err(WireError::Malformed(_))), "{odd:?}");
        }
        let twice = fields(&[("Content-Length", "1"), ("content-length", "1")]);
        assert!(of_request(&twice, Version::HTTP_11).is_err());
    }

    #[test]
    fn only_plain_chunked_is_a_coding() {
        for (coding, unsupported) in
            [("chunked, chunked", false), (", chunked", false), ("gzip, chunked", true), ("identity", true)]
        {
            let odd = fields(&[("Transfer-Encoding", coding)]);
            let error = of_request(&odd, Version::HTTP_11).expect_err("refused");
            assert_eq!(matches!(error, WireError::Coding), unsupported, "{coding}");
        }
        let chunked = fields(&[("Transfer-Encoding", "Chunked")]);
        assert_eq!(of_request(&chunked, Version::HTTP_11).expect("fine"), Framing::Chunked);
        assert!(of_request(&chunked, Version::HTTP_10).is_err());
    }

    #[test]
    fn responses_without_body_have_none_whatever_they_declare() {
        let length = fields(&[("Content-Length", "5")]);
        let of = |status, method| of_response(&length, Version::HTTP_11, status, &method).expect("fine");
        assert_eq!(of(StatusCode::OK, Method::GET), Framing::Length(5));
        assert_eq!(of(StatusCode::OK, Method::HEAD), Framing::Empty);
        assert_eq!(of(StatusCode::NOT_MODIFIED, Method::GET), Framing::Empty);
    }
}
