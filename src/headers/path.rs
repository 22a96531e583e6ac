//! Path: the one form in which route, rule and upstream see a path.
//!
//! Comes in: the path of a request target, raw. Goes out: a [`NormalPath`], or why there is none. Percent-encoded
//! unreserved characters are decoded (RFC 3986, section 6.2.2.2), `//` is one slash, `.` and `..` are resolved; all
//! else stays byte for byte, letters and hex digits in the case they came in. Never guesses: what servers are known
//! to read in different ways is refused.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path in normal form: starts with `/`, holds visible ASCII only, and no empty, `.` or `..` segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath {
    text: String,
    encoded_slash: bool,
    parameters: bool,
}

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It does not start with `/`.
    #[error("it does not start with a slash")]
    Relative,
    /// A byte that is not visible ASCII, or `#`.
    #[error("it contains a byte that must be percent-encoded")]
    Byte,
    /// `%` without two hex digits.
    #[error("it contains a percent sign without two hex digits")]
    Encoding,
    /// `%00`.
    #[error("it contains an encoded NUL")]
    Nul,
    /// `\` or `%5C`, which some servers take for a slash.
    #[error("it contains a backslash")]
    Backslash,
    /// More `..` than segments before it.
    #[error("it leads above the root")]
    AboveRoot,
    /// `..;x` or `..%2F`, which some servers take for `..`.
    #[error("it hides a dot segment")]
    HiddenDots,
}

impl NormalPath {
    /// The normal form of a raw path; the normal form of a normal form is itself.
    pub fn parse(raw: impl AsRef<str> + Into<String>) -> Result<Self, InvalidPath> {
        if is_normal(raw.as_ref())? {
            return Ok(Self { text: raw.into(), encoded_slash: false, parameters: false });
        }
        let text = resolve(&decode_unreserved(raw.as_ref())?)?;
        let encoded_slash = text.contains("%2F") || text.contains("%2f");
        let parameters = text.contains(';') || text.contains("%3B") || text.contains("%3b");
        Ok(Self { text, encoded_slash, parameters })
    }

    /// The path as it goes upstream.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to go on with.
    pub fn into_string(self) -> String {
        self.text
    }

    /// Whether it holds `%2F`, which only routes with `encoded_slash: keep` let through.
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// Whether servers may see another path in it: it holds `%2F`, or parameters after `;`.
    pub fn has_other_readings(&self) -> bool {
        self.encoded_slash || self.parameters
    }

    /// The path for comparing: all is decoded, so `%40` is `@` and `%ed` is `%ED`. An encoded slash becomes NUL, which
    /// no path holds otherwise.
    pub fn decoded(&self) -> Cow<'_, [u8]> {
        if !self.text.contains('%') {
            return Cow::Borrowed(self.text.as_bytes());
        }
        let mut decoded = Vec::with_capacity(self.text.len());
        for_each_byte(&self.text, |byte, encoded| {
            decoded.push(if encoded && byte == b'/' { 0 } else { byte })
        });
        Cow::Owned(decoded)
    }

    /// The decoded path as the most generous server reads it: encoded slashes separate, parameters are cut off.
    pub fn loosely_decoded(&self) -> Vec<u8> {
        let decoded = self.decoded();
        let mut loose = Vec::with_capacity(decoded.len());
        for segment in decoded.split(|&byte| byte == b'/' || byte == 0) {
            let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
            if !name.is_empty() {
                loose.push(b'/');
                loose.extend_from_slice(name);
            }
        }
        if loose.is_empty() {
            loose.push(b'/');
        }
        loose
    }

    /// The path without `prefix`, which matches whole segments, decoded; never empty. Unchanged where it does not
    /// match.
    pub fn without_prefix(&self, prefix: &str) -> &str {
        let prefix = prefix.trim_end_matches('/');
        let depth = prefix.matches('/').count();
        let end = self.text.match_indices('/').nth(depth).map_or(self.text.len(), |(at, _)| at);
        let (start, rest) = self.text.split_at(end);
        if !percent_decode_str(start).eq(percent_decode_str(prefix)) {
            return &self.text;
        }
        if rest.is_empty() { "/" } else { rest }
    }
}

/// Whether nothing needs a closer look; an error if there is a byte that no path may hold.
fn is_normal(raw: &str) -> Result<bool, InvalidPath> {
    if !raw.starts_with('/') {
        return Err(InvalidPath::Relative);
    }
    let mut normal = true;
    let mut before = 0;
    for byte in raw.bytes() {
        match byte {
            b'\\' => return Err(InvalidPath::Backslash),
            b'#' | b'?' => return Err(InvalidPath::Byte),
            b'%' | b';' => normal = false,
            b'/' | b'.' if before == b'/' => normal = false,
            b'!'..=b'~' => {}
            _ => return Err(InvalidPath::Byte),
        }
        before = byte;
    }
    Ok(normal)
}

/// Decodes percent-encoded unreserved characters (RFC 3986, section 2.3) and leaves all other triplets as they are.
fn decode_unreserved(raw: &str) -> Result<String, InvalidPath> {
    let mut text = String::with_capacity(raw.len());
    let mut pieces = raw.split('%');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let byte = piece.get(..2).and_then(hex_byte).ok_or(InvalidPath::Encoding)?;
        match byte {
            0 => return Err(InvalidPath::Nul),
            b'\\' => return Err(InvalidPath::Backslash),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
                text.push_str(&piece[2..]);
            }
            _ => {
                text.push('%');
                text.push_str(piece);
            }
        }
    }
    Ok(text)
}

/// Resolves empty, `.` and `..` segments (RFC 3986, section 5.2.4), but does not stop at the root: that is an error.
fn resolve(path: &str) -> Result<String, InvalidPath> {
    let mut normal = String::with_capacity(path.len());
    let mut last = "";
    for segment in path[1..].split('/') {
        last = segment;
        match segment {
            "" | "." => {}
            ".." => normal.truncate(normal.rfind('/').ok_or(InvalidPath::AboveRoot)?),
            _ if hides_dots(segment) => return Err(InvalidPath::HiddenDots),
            _ => {
                normal.push('/');
                normal.push_str(segment);
            }
        }
    }
    if matches!(last, "" | "." | "..") {
        normal.push('/');
    }
    Ok(normal)
}

/// Whether a server that cuts parameters off, or decodes slashes, sees `.` or `..` in this segment.
fn hides_dots(segment: &str) -> bool {
    if !segment.contains(['%', ';']) {
        return false;
    }
    let mut decoded = Vec::with_capacity(segment.len());
    for_each_byte(segment, |byte, _| decoded.push(byte));
    decoded.split(|byte| matches!(byte, b';' | b'/')).any(|piece| piece == b"." || piece == b"..")
}

/// Calls `each` with every byte of a text whose triplets are valid, decoded, and whether it was encoded.
fn for_each_byte(text: &str, mut each: impl FnMut(u8, bool)) {
    let mut pieces = text.split('%');
    pieces.next().unwrap_or_default().bytes().for_each(|byte| each(byte, false));
    for piece in pieces {
        if let Some(byte) = piece.get(..2).and_then(hex_byte) {
            each(byte, true);
            piece[2..].bytes().for_each(|byte| each(byte, false));
        }
    }
}

fn hex_byte(digits: &str) -> Option<u8> {
    let [high, low] = digits.as_bytes() else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(*high)? * 16 + value(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(raw: &str) -> Result<String, InvalidPath> {
        NormalPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn every_detour_has_one_normal_form() {
        let cases = [
            ("/", "/"),
            ("//", "/"),
            ("/a//b", "/a/b"),
            ("//a", "/a"),
            ("/./a/.", "/a/"),
            ("/a/..", "/"),
            ("/public/../admin", "/admin"),
            ("/a/b/..", "/a/"),
            ("/%2e%2E/x/..", "above"),
            ("/x/%2e%2e/a", "/a"),
            ("/x/.%2e/a", "/a"),
            ("/%61dmin/%7e", "/admin/~"),
            ("/%2561", "/%2561"),
            ("/a;b=1/c", "/a;b=1/c"),
            ("/Admin", "/Admin"),
            ("/%ed%95%9C", "/%ed%95%9C"),
            ("/a%20b%3fc%23", "/a%20b%3fc%23"),
            ("/...", "/..."),
            ("/.well-known/", "/.well-known/"),
            ("/a%2Fb", "/a%2Fb"),
            ("/{a}|^`\"<>", "/{a}|^`\"<>"),
        ];
        for (raw, expected) in cases {
            match normal(raw) {
                Ok(normal) => assert_eq!(normal, expected, "{raw}"),
                Err(error) => assert_eq!((expected, error), ("above", InvalidPath::AboveRoot), "{raw}"),
            }
        }
    }

    #[test]
    fn what_servers_read_in_different_ways_is_refused() {
        use InvalidPath::{AboveRoot, Backslash, Byte, Encoding, HiddenDots, Nul, Relative};
        let cases = [
            ("", Relative),
            ("a", Relative),
            ("/a#b", Byte),
            ("/a b", Byte),
            ("/\u{7f}", Byte),
            ("/\r\n", Byte),
            ("/한", Byte),
            ("/%", Encoding),
            ("/%2", Encoding),
            ("/%zz", Encoding),
            ("/%+1", Encoding),
            ("/%2한", Byte),
            ("/a%00", Nul),
            ("/a\\b", Backslash),
            ("/a%5cb", Backslash),
            ("/a%5Cb", Backslash),
            ("/..", AboveRoot),
            ("/a/../../b", AboveRoot),
            ("/%2e%2e/", AboveRoot),
            ("/a/..;/b", HiddenDots),
            ("/.;x", HiddenDots),
            ("/a/%2e%2e;x/b", HiddenDots),
            ("/a/..%3Bx/b", HiddenDots),
            ("/a%2f..%2fb", HiddenDots),
            ("/..%2Fb", HiddenDots),
            ("/a%2F.", HiddenDots),
        ];
        for (raw, expected) in cases {
            assert_eq!(normal(raw), Err(expected), "{raw}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_by_whole_segments() {
        let strip = |path: &str, prefix: &str| {
            NormalPath::parse(path).expect("valid").without_prefix(prefix).to_owned()
        };
        assert_eq!(strip("/admin/x/", "/admin"), "/x/");
        assert_eq!(strip("/admin", "/admin/"), "/");
        assert_eq!(strip("/administrator", "/admin"), "/administrator");
        assert_eq!(strip("/a/b/c%40", "/a/b"), "/c%40");
        assert_eq!(strip("/%ed%95%9c/x", "/한/"), "/x");
        assert_eq!(strip("/a", "/"), "/a");
    }

    #[test]
    fn other_readings_are_noticed() {
        let path = NormalPath::parse("/a%2fb;c/;d/%40").expect("valid");
        assert!(path.has_encoded_slash() && path.has_other_readings());
        assert_eq!(path.decoded(), &b"/a\0b;c/;d/@"[..]);
        assert_eq!(path.loosely_decoded(), b"/a/b/@");
        assert!(!NormalPath::parse("/a/b").expect("valid").has_other_readings());
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(
            raw in "(/|//|/\\.|/\\.\\.|%2[eEfF5]|%6[1-9]|%3[bB]|%ed%95%9c|;|[a-zA-Z.~!@=+]){0,12}",
        ) {
            if let Ok(path) = NormalPath::parse(format!("/{raw}")) {
                prop_assert_eq!(&NormalPath::parse(path.as_str()), &Ok(path.clone()));
                let inner = path.as_str()[1..].trim_end_matches('/');
                let fine = |segment: &str| !matches!(segment, "" | "." | "..");
                prop_assert!(inner.is_empty() || inner.split('/').all(fine), "{}", path.as_str());
                let loose = path.loosely_decoded();
                prop_assert!(loose[1..].split(|&byte| byte == b'/').all(|s| s != b"." && s != b".."));
            }
        }

        #[test]
        fn no_path_makes_it_panic(raw in "\\PC*") {
            let _ = NormalPath::parse(&raw);
            let _ = NormalPath::parse(format!("/{raw}"));
        }

        #[test]
        fn percent_encoded_korean_stays_byte_for_byte(word in "[가-힣]{1,9}") {
            let raw = format!("/{}", percent_encoding::utf8_percent_encode(&word, percent_encoding::NON_ALPHANUMERIC));
            prop_assert_eq!(normal(&raw), Ok(raw));
        }
    }
}
