//! Tap: one field of a form, read while the form streams by.
//!
//! Comes in: the pieces of a body, urlencoded or multipart. Goes out: the value of one field, or why there is none. Keeps
//! that value and little more, whatever the body holds. Applications read forms in different ways (the first of two, the
//! last, `user.name` as `user_name`, a field of the query instead): what could be read in two ways is not read at all.

use crate::login::form;
use crate::message::Fields;
use multipart::Multipart;

mod multipart;

/// Bytes of the longest name or value that is kept.
const LONGEST: usize = 1024;

/// Bytes of a body that are looked at.
const MOST: usize = 256 * 1024;

/// What was found.
pub type Field = Result<String, Unread>;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// There is no such field, or it is empty.
    #[error("the name of the user is missing")]
    Missing,
    /// There are several that an application may take for it.
    #[error("the name of the user is there more than once")]
    Twice,
    /// The field, or what stands before it, is too long.
    #[error("the form is too long to find the name of the user in it")]
    TooLong,
    /// It is no form that is read in one way only.
    #[error("the form can be read in more than one way")]
    Odd,
}

/// Reads one field.
#[derive(Debug)]
pub struct Tap {
    name: String,
    reader: Reader,
    seen: usize,
    found: Option<String>,
    unread: Option<Unread>,
}

#[derive(Debug)]
enum Reader {
    Urlencoded { pair: Vec<u8> },
    Multipart(Multipart),
    Neither,
}

impl Tap {
    /// A tap for the field `name` of a request with these fields and this query.
    pub fn new(name: &str, fields: &Fields, query: Option<&str>) -> Self {
        let (reader, mut unread) = match reader_for(fields) {
            Some(reader) => (reader, None),
            None => (Reader::Neither, Some(Unread::Odd)),
        };
        if query.is_some_and(|query| names_in(query).any(|found| is_taken_for(&found, name))) {
            unread = Some(Unread::Twice);
        }
        Self { name: name.to_owned(), reader, seen: 0, found: None, unread }
    }

    /// A piece of the body passes.
    pub fn pass(&mut self, piece: &[u8]) {
        if self.unread.is_some() {
            return;
        }
        self.seen = self.seen.saturating_add(piece.len());
        let outcome = if self.seen > MOST { Err(Unread::TooLong) } else { self.read(piece) };
        self.unread = outcome.err();
    }

    /// The value, once the body is whole.
    pub fn found(&self) -> Field {
        if let Some(unread) = self.unread {
            return Err(unread);
        }
        match &self.reader {
            Reader::Urlencoded { pair } => {
                // The last pair has no `&` behind it.
                let last = read_pair(pair, &self.name)?;
                match (last, &self.found) {
                    (Some(_), Some(_)) => Err(Unread::Twice),
                    (Some(value), None) => Ok(value),
                    (None, Some(value)) => Ok(value.clone()),
                    (None, None) => Err(Unread::Missing),
                }
            }
            Reader::Multipart(multipart) if !multipart.is_done() => Err(Unread::Odd),
            Reader::Multipart(_) | Reader::Neither => self.found.clone().ok_or(Unread::Missing),
        }
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), Unread> {
        let Self { name, reader, found, .. } = self;
        let mut find = |value: String| match found.replace(value) {
            Some(_) => Err(Unread::Twice),
            None => Ok(()),
        };
        match reader {
            Reader::Urlencoded { pair } => {
                // Some applications take `;` for `&`; browsers never send it raw.
                if piece.contains(&b';') {
                    return Err(Unread::Odd);
                }
                for &byte in piece {
                    if byte == b'&' {
                        read_pair(pair, name)?.map_or(Ok(()), &mut find)?;
                        pair.clear();
                    } else if pair.len() < 3 * LONGEST {
                        pair.push(byte);
                    } else if !pair.contains(&b'=') {
                        return Err(Unread::TooLong);
                    }
                }
                Ok(())
            }
            Reader::Multipart(multipart) => multipart.pass(piece, name, &mut find),
            Reader::Neither => Err(Unread::Odd),
        }
    }
}

/// What reads a body of this kind, where every application reads it alike.
fn reader_for(fields: &Fields) -> Option<Reader> {
    let mut kinds = fields.get_all("content-type");
    let kind = std::str::from_utf8(kinds.next()?).ok()?;
    if kinds.next().is_some() || fields.contains("content-encoding") {
        return None;
    }
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let essence = essence.trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let utf8 = |given: &str| given.eq_ignore_ascii_case("charset=utf-8");
        let parameters = parameters.trim();
        return (parameters.is_empty() || utf8(parameters)).then(|| Reader::Urlencoded { pair: Vec::new() });
    }
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        return Multipart::new(parameters.trim()).map(Reader::Multipart);
    }
    None
}

/// The value of a pair called exactly `name`; a name that some applications take for it is refused.
fn read_pair(pair: &[u8], name: &str) -> Result<Option<String>, Unread> {
    let (found, value) = match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &b""[..]),
    };
    let Some(found) = form::decoded(found) else { return Err(Unread::Odd) };
    if !is_taken_for(&found, name) {
        return Ok(None);
    }
    if found != name {
        return Err(Unread::Twice);
    }
    if pair.len() >= 3 * LONGEST {
        return Err(Unread::TooLong);
    }
    form::decoded(value).map(Some).ok_or(Unread::Odd)
}

/// The names of a query's fields; those that are no text are of no use to anybody.
fn names_in(query: &str) -> impl Iterator<Item = String> {
    let names = query.split(['&', ';']).map(|pair| pair.split('=').next().unwrap_or_default());
    names.filter_map(|name| form::decoded(name.as_bytes()))
}

/// Whether some application takes a field called `found` for the one called `wanted`.
fn is_taken_for(found: &str, wanted: &str) -> bool {
    let folded = |name: &str| -> String {
        let fold = |c: char| if c.is_alphanumeric() { c.to_lowercase().next().unwrap_or(c) } else { '_' };
        name.trim().chars().map(fold).collect()
    };
    let start = |mark| found.split(mark).next().unwrap_or_default();
    let wanted = folded(wanted);
    [found, start('['), start('\0')].iter().any(|name| folded(name) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URLENCODED: &str = "application/x-www-form-urlencoded";

    /// What is found in a body, in pieces of every size.
    fn found(kind: &str, query: Option<&str>, body: &[u8]) -> Field {
        let mut fields = Fields::new();
        fields.append("Content-Type", kind);
        let read = |size: usize| {
            let mut tap = Tap::new("user_name", &fields, query);
            body.chunks(size).for_each(|piece| tap.pass(piece));
            tap.found()
        };
        let whole = read(body.len().max(1));
        for size in [1, 2, 3, 7, 50] {
            assert_eq!(read(size), whole, "in pieces of {size}");
        }
        whole
    }

    fn ok(value: &str) -> Field {
        Ok(value.to_owned())
    }

    #[test]
    fn a_field_of_a_form_is_found() {
        for (body, expected) in [
            ("user_name=alice&password=x", ok("alice")),
            ("a=1&user_name=%EA%B9%80+%EC%B2%A0", ok("김 철")),
            ("user%5fname=al%26ice", ok("al&ice")),
            ("user_name", ok("")),
            ("a=b", Err(Unread::Missing)),
            ("", Err(Unread::Missing)),
            ("user_name=%ff", Err(Unread::Odd)),
        ] {
            assert_eq!(found(URLENCODED, None, body.as_bytes()), expected, "{body}");
        }
        let long = format!("a={}&user_name=alice", "x".repeat(100_000));
        assert_eq!(found(URLENCODED, Some("next=/x"), long.as_bytes()), ok("alice"));
    }

    #[test]
    fn what_an_application_may_read_otherwise_is_not_read() {
        for body in [
            "user_name=alice&user_name=mallory",
            "user_name=alice&user+name=mallory",
            "user_name=alice&user.name=mallory",
            "user_name=alice&User_Name=mallory",
            "user_name=alice&user_name[]=mallory",
            "user_name=alice&user_name%00x=mallory",
            "user_name=alice&+user_name=mallory",
        ] {
            assert_eq!(found(URLENCODED, None, body.as_bytes()), Err(Unread::Twice), "{body}");
        }
        assert_eq!(found(URLENCODED, None, b"a=b;user_name=mallory&user_name=alice"), Err(Unread::Odd));
        for query in ["user_name=mallory", "a=b&user%5Fname=mallory", "a;user.name=x"] {
            assert_eq!(found(URLENCODED, Some(query), b"user_name=alice"), Err(Unread::Twice), "{query}");
        }
        for kind in [
            "application/json",
            "",
            "application/x-www-form-urlencoded; charset=utf-16",
            "multipart/form-data",
        ] {
            assert_eq!(found(kind, None, b"user_name=alice"), Err(Unread::Odd), "{kind}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let long = format!("user_name={}", "x".repeat(4000));
        assert_eq!(found(URLENCODED, None, long.as_bytes()), Err(Unread::TooLong));
        let name = format!("{}=x&user_name=alice", "x".repeat(4000));
        assert_eq!(found(URLENCODED, None, name.as_bytes()), Err(Unread::TooLong));
        let late = format!("a={}&user_name=alice", "x".repeat(MOST));
        assert_eq!(found(URLENCODED, None, late.as_bytes()), Err(Unread::TooLong));
    }

    fn part(head: &str, body: &str) -> String {
        format!("--b\r\n{head}\r\n\r\n{body}\r\n")
    }

    #[test]
    fn a_field_of_a_multipart_form_is_found() {
        let kind = "multipart/form-data; boundary=b";
        let other = part(
            "Content-Disposition: form-data; name=\"a\"; filename=\"x\"\r\nContent-Type: image/png",
            "\r\n--x\r\n-\r",
        );
        let user = part("Content-Disposition: form-data; name=\"user_name\"", "김철수");
        for parts in [format!("{other}{user}"), format!("{user}{other}")] {
            assert_eq!(found(kind, None, format!("{parts}--b--\r\n").as_bytes()), ok("김철수"));
        }
        assert_eq!(
            found("Multipart/Form-Data; Boundary=\"b\"", None, format!("{user}--b--").as_bytes()),
            ok("김철수")
        );
        assert_eq!(found(kind, None, format!("{other}--b--\r\n").as_bytes()), Err(Unread::Missing));
        assert_eq!(found(kind, None, format!("{user}{user}--b--\r\n").as_bytes()), Err(Unread::Twice));
        assert_eq!(found(kind, None, user.as_bytes()), Err(Unread::Odd), "it has no end");
    }

    #[test]
    fn a_multipart_form_that_can_be_read_in_two_ways_is_not_read() {
        let kind = "multipart/form-data; boundary=b";
        for head in [
            "Content-Disposition: form-data; name=user_name",
            "Content-Disposition: form-data; name=\"user_name\"; filename=\"x\"",
            "Content-Disposition: form-data; name=\"a\"; name=\"user_name\"",
            "Content-Disposition: form-data; name*=utf-8''user_name",
            "Content-Disposition: form-data; name=\"user_name\"\r\nContent-Type: text/plain; charset=utf-16",
            "Content-Disposition: form-data; name=\"user\\_name\"",
            "Content-Disposition: attachment; name=\"user_name\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"user_name\"",
            "Content-Disposition: form-data;\r\n name=\"user_name\"",
            "X: y",
        ] {
            let body = format!("{}--b--\r\n", part(head, "alice"));
            assert_eq!(found(kind, None, body.as_bytes()), Err(Unread::Odd), "{head}");
        }
        let before = format!("x{}--b--\r\n", part("Content-Disposition: form-data; name=\"user_name\"", "a"));
        assert_eq!(found(kind, None, before.as_bytes()), Err(Unread::Odd));
        for kind in [
            "multipart/form-data; boundary=b; boundary=c",
            "multipart/form-data; boundary=",
            "multipart/form-data; x=y",
        ] {
            assert_eq!(found(kind, None, b""), Err(Unread::Odd), "{kind}");
        }
    }
}
