//! Looks: what an operator gives the pages: templates, a style sheet, a logo.
//!
//! Comes in: files that have been read. Goes out: the logo as an answer, and what is wrong with a picture. Never lets a
//! picture do anything but be seen.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;

use crate::login::page::Reply;
use crate::message::{Fields, ResponseHead};

/// Bytes of the largest logo.
pub const LARGEST_LOGO: usize = 256 * 1024;

/// What an operator gives the pages; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// Names (`login.html`) and sources of templates that take the place of ours.
    pub templates: Vec<(String, String)>,
    /// A style sheet that takes the place of ours.
    pub style: Option<String>,
    /// A picture in the place of the title.
    pub logo: Option<Logo>,
}

/// A picture.
#[derive(Clone)]
pub struct Logo {
    kind: &'static str,
    bytes: Bytes,
    /// What it says.
    pub alt: String,
    /// Changes with its bytes.
    pub version: String,
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logo({}, {} bytes)", self.kind, self.bytes.len())
    }
}

impl Logo {
    /// A picture from a file's bytes, or why it cannot be one.
    pub fn new(bytes: Vec<u8>, alt: &str) -> Result<Self, &'static str> {
        let kind = if bytes.len() > LARGEST_LOGO {
            return Err("it is larger than 256 KiB");
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else if is_svg(&bytes) {
            "image/svg+xml"
        } else {
            return Err("it is neither SVG nor PNG");
        };
        let version = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &bytes).as_ref()[..9]);
        Ok(Self { kind, bytes: bytes.into(), alt: alt.to_owned(), version })
    }

    /// The picture, as the answer to a request with these fields and this query.
    pub fn answer(&self, query: Option<&str>, fields: &Fields) -> Reply {
        let tag = format!("\"{}\"", self.version);
        let named = query.is_some_and(|query| query.strip_prefix("v=") == Some(self.version.as_str()));
        let lasting = if named { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
        let is_known = fields.lists("if-none-match", &tag);
        let head = ResponseHead::new(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
            .with("Content-Type", self.kind)
            .with("Cache-Control", lasting)
            .with("ETag", tag)
            .with(
                "Content-Security-Policy",
                "script-src 'none'; object-src 'none'; connect-src 'none'; sandbox",
            )
            .with("X-Content-Type-Options", "nosniff")
            .with("Cross-Origin-Resource-Policy", "same-origin");
        Reply { head, body: if is_known { Bytes::new() } else { self.bytes.clone() } }
    }
}

/// Whether bytes are an SVG picture: text whose first element is `svg`.
fn is_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<!") {
            ">"
        } else {
            return rest
                .strip_prefix("<svg")
                .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '>']));
        };
        let Some((_, behind)) = rest.split_once(end) else { return false };
        rest = behind.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &[u8] =
        b"<?xml version=\"1.0\"?>\n<!-- a > b -->\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

    #[test]
    fn svg_and_png_are_pictures_and_nothing_else_is() {
        assert_eq!(Logo::new(SVG.to_vec(), "a").expect("a picture").kind, "image/svg+xml");
        assert_eq!(Logo::new(b"\x89PNG\r\n\x1a\n...".to_vec(), "a").expect("a picture").kind, "image/png");
        for bad in [&b""[..], b"GIF89a", b"<html><svg></svg>", b"<svgx>", b"\xff\xd8\xff", b"<!-- <svg>"] {
            assert!(Logo::new(bad.to_vec(), "a").is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(Logo::new(vec![b' '; LARGEST_LOGO + 1], "a").err(), Some("it is larger than 256 KiB"));
    }

    #[test]
    fn a_logo_is_kept_as_long_as_its_address_names_it() {
        let logo = Logo::new(SVG.to_vec(), "a").expect("a picture");
        let none = Fields::new();
        let named = logo.answer(Some(&format!("v={}", logo.version)), &none);
        assert!(named.head.fields.text("cache-control").is_some_and(|value| value.ends_with("immutable")));
        let other = logo.answer(Some("v=x"), &none);
        assert_eq!(other.head.fields.text("cache-control"), Some("public, max-age=300"));
        assert!(
            other.head.fields.text("content-security-policy").is_some_and(|value| value.ends_with("sandbox"))
        );
        let mut fields = Fields::new();
        fields.append("If-None-Match", format!("\"x\", \"{}\"", logo.version));
        let known = logo.answer(None, &fields);
        assert_eq!((known.head.status.as_u16(), known.body.len()), (304, 0));
    }
}
