//! Multipart: the parts of a `multipart/form-data` body as it streams by (RFC 7578), as browsers write it and no other way.
//!
//! Comes in: pieces of the body. Goes out: the value of each part that is called as wanted. Keeps the head of one part or
//! the value of the wanted one, never more. Whatever is not written as browsers write it is odd.

use super::{LONGEST, Unread, is_taken_for};

/// Bytes of the longest head of a part.
const LONGEST_HEAD: usize = 4096;

/// Told the value of a part.
pub(super) type Find<'f> = dyn FnMut(String) -> Result<(), Unread> + 'f;

/// Reads the parts.
#[derive(Debug)]
pub(super) struct Multipart {
    /// What stands before every part: line break, two dashes, boundary.
    delimiter: Vec<u8>,
    state: State,
    /// What belongs to a delimiter, the line behind it, a head or a value, as far as it has come.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter, which lacks the line break.
    Start,
    /// Behind a delimiter: a line break or two dashes follow.
    Line,
    /// In the head of a part.
    Head,
    /// In the content of a part; whether it is wanted.
    Content { wanted: bool },
    /// Behind the last delimiter.
    Done,
}

impl Multipart {
    /// A reader for bodies with these parameters of their `Content-Type`.
    pub fn new(parameters: &str) -> Option<Self> {
        let (name, value) = parameters.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
        let good = name.trim().eq_ignore_ascii_case("boundary")
            && (1..=70).contains(&bare.len())
            && bare.bytes().all(known);
        good.then(|| Self {
            delimiter: format!("\r\n--{bare}").into_bytes(),
            state: State::Start,
            held: Vec::new(),
        })
    }

    /// Whether the last delimiter has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// A piece passes; `find` is told the value of each part called `name`.
    pub fn pass(&mut self, piece: &[u8], name: &str, find: &mut Find<'_>) -> Result<(), Unread> {
        for &byte in piece {
            if self.state == State::Done {
                return Ok(());
            }
            self.held.push(byte);
            match self.state {
                State::Start if self.held == self.delimiter[2..] => self.enter(State::Line),
                State::Start if self.delimiter[2..].starts_with(&self.held) => {}
                State::Start => return Err(Unread::Odd),
                State::Line => match &self.held[..] {
                    b"\r\n" => self.enter(State::Head),
                    b"--" => self.enter(State::Done),
                    b"\r" | b"-" => {}
                    _ => return Err(Unread::Odd),
                },
                State::Head if self.held.ends_with(b"\r\n\r\n") => {
                    let wanted = is_wanted(&self.held, name)?;
                    self.enter(State::Content { wanted });
                }
                State::Head if self.held.len() > LONGEST_HEAD => return Err(Unread::TooLong),
                State::Head | State::Done => {}
                State::Content { wanted } => self.content(wanted, find)?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.held.clear();
        // A part without content ends with the line break that ends its head.
        if matches!(state, State::Content { .. }) {
            self.held.reserve(LONGEST);
        }
    }

    fn content(&mut self, wanted: bool, find: &mut Find<'_>) -> Result<(), Unread> {
        let room = self.delimiter.len();
        if self.held.ends_with(&self.delimiter) {
            let value = &self.held[..self.held.len() - room];
            if wanted {
                find(String::from_utf8(value.to_vec()).map_err(|_| Unread::Odd)?)?;
            }
            self.enter(State::Line);
        } else if wanted && self.held.len() > LONGEST + room {
            return Err(Unread::TooLong);
        } else if !wanted && self.held.len() >= LONGEST {
            let surplus = self.held.len() - room;
            self.held.drain(..surplus);
        }
        Ok(())
    }
}

/// Whether the head of a part says that it is the field called `name`.
fn is_wanted(head: &[u8], name: &str) -> Result<bool, Unread> {
    const FIELD: &str = "content-disposition:";
    let head = std::str::from_utf8(head).map_err(|_| Unread::Odd)?.trim_end_matches("\r\n");
    let is_disposition = |line: &&str| line.get(..FIELD.len()).is_some_and(|s| s.eq_ignore_ascii_case(FIELD));
    let mut dispositions = head.split("\r\n").filter(is_disposition);
    let (Some(disposition), None) = (dispositions.next(), dispositions.next()) else {
        return Err(Unread::Odd);
    };
    if head.contains('\\') || head.contains("\r\n ") || head.contains("\r\n\t") {
        return Err(Unread::Odd);
    }
    let value = disposition[FIELD.len()..].trim();
    let Some(rest) = value.strip_prefix("form-data; name=\"") else { return Err(Unread::Odd) };
    let Some((found, rest)) = rest.split_once('"') else { return Err(Unread::Odd) };
    // Behind the name a file's name may follow, and nothing else.
    let file = rest.strip_prefix("; filename=\"").and_then(|rest| rest.strip_suffix('"'));
    if !rest.is_empty() && file.is_none_or(|file| file.contains('"')) {
        return Err(Unread::Odd);
    }
    if !is_taken_for(found, name) {
        return Ok(false);
    }
    let plain = found == name && rest.is_empty() && !head.contains("\r\n");
    if plain { Ok(true) } else { Err(Unread::Odd) }
}
