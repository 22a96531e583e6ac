//! Target: what stands between method and version.
//!
//! Comes in: a method and a request target as received. Goes out: its authority, path and query, cut apart
//! (RFC 9112, section 3.2). Never changes a byte.

use http::Method;

use super::BadRequest;

/// A request target, cut apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Of an absolute target; it replaces Host.
    pub authority: Option<&'a str>,
    /// Raw, with its leading slash; `*` when OPTIONS asks about the whole server.
    pub path: &'a str,
    /// Raw, without its question mark.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Cuts a target apart. CONNECT's own form is not known here.
    pub fn parse(method: &Method, target: &'a str) -> Result<Self, BadRequest> {
        let fine = |byte: u8| byte.is_ascii_graphic() & (byte != b'#');
        // Without an early end the compiler looks at many bytes at a time.
        let valid = target.bytes().fold(true, |valid, byte| valid & fine(byte));
        if !valid {
            return Err(BadRequest::Target);
        }
        if target == "*" {
            let whole_server = Self { authority: None, path: target, query: None };
            return if *method == Method::OPTIONS { Ok(whole_server) } else { Err(BadRequest::Target) };
        }
        let (authority, rest) = if target.starts_with('/') {
            (None, target)
        } else {
            let absolute = without_scheme(target).ok_or(BadRequest::Target)?;
            let (authority, rest) = absolute.split_at(absolute.find(['/', '?']).unwrap_or(absolute.len()));
            (Some(authority), rest)
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = match path {
            "" if query.is_none() && *method == Method::OPTIONS => "*", // RFC 9112, section 3.2.4
            "" => "/",
            path => path,
        };
        Ok(Self { authority, path, query })
    }
}

/// What follows `http://` or `https://`; schemes compare without regard to case (RFC 3986, section 3.1).
fn without_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Option<(Option<&str>, &str, Option<&str>)> {
        Target::parse(&Method::GET, target).ok().map(|target| (target.authority, target.path, target.query))
    }

    #[test]
    fn targets_come_in_three_forms() {
        assert_eq!(get("/a/b?c?d"), Some((None, "/a/b", Some("c?d"))));
        assert_eq!(get("/?"), Some((None, "/", Some(""))));
        assert_eq!(get("http://a:80"), Some((Some("a:80"), "/", None)));
        assert_eq!(get("HTTPS://a?b=/"), Some((Some("a"), "/", Some("b=/"))));
        assert_eq!(get("http:///a"), Some((Some(""), "/a", None)), "and an empty host is refused next");
        let whole_server = Target { authority: None, path: "*", query: None };
        assert_eq!(Target::parse(&Method::OPTIONS, "*"), Ok(whole_server));
        assert_eq!(Target::parse(&Method::OPTIONS, "http://a").map(|target| target.path), Ok("*"));
    }

    #[test]
    fn anything_else_is_no_target() {
        for target in
            ["", "*", "a", "a/b", "a:80", "ftp://a/", "http:/a", "/a#b", "/a b", "/\t", "/é", "/?한", "/?a#b"]
        {
            assert_eq!(get(target), None, "{target}");
        }
    }
}
