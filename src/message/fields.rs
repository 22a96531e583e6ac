//! Fields: the header or trailer fields of one message.
//!
//! All lines stand in one buffer as they do on an HTTP/1 wire, with an index beside it: names keep their spelling,
//! values their bytes, and all keep their order, so what is not meant to change leaves as it came. Names compare
//! without regard to case.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header or trailer fields, in order.
#[derive(Clone, Default)]
pub struct Fields {
    /// `Name: value` and CRLF for each field ever added; lines that were removed stay here and leave the index.
    text: Vec<u8>,
    lines: Vec<Line>,
    /// One bit for the [`mark`] of each name: most questions are about fields that are not there, and end here.
    marks: u64,
}

/// One line of the text.
#[derive(Clone, Copy)]
struct Line {
    start: u32,
    colon: u32,
    /// Behind the CRLF.
    end: u32,
    mark: u8,
}

thread_local! {
    /// Room that fields have left behind: the next head fills it again, while it is still in the processor's cache.
    static SPARE: RefCell<Vec<(Vec<u8>, Vec<Line>)>> = const { RefCell::new(Vec::new()) };
}

/// How much room a thread keeps: that of so many heads of at most so many bytes.
const MOST_SPARE: usize = 16;
const LARGEST_SPARE: usize = 4 * 1024;

impl Drop for Fields {
    fn drop(&mut self) {
        if !(1..=LARGEST_SPARE).contains(&self.text.capacity()) {
            return;
        }
        let (mut text, mut lines) = (std::mem::take(&mut self.text), std::mem::take(&mut self.lines));
        text.clear();
        lines.clear();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push((text, lines));
            }
        });
    }
}

impl Fields {
    /// No fields yet, with room for a usual head.
    pub fn new() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let (text, lines) = spare.unwrap_or_else(|| (Vec::with_capacity(1024), Vec::with_capacity(24)));
        Self { text, lines, marks: 0 }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All fields: name as spelled, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let text = |name| std::str::from_utf8(name).expect("names are ASCII");
        self.lines.iter().map(move |line| (text(line.name(&self.text)), line.value(&self.text)))
    }

    /// The first field of this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mark = mark(name.as_bytes());
        if self.may_contain(mark) { self.find(mark, name) } else { None }
    }

    fn find(&self, mark: u8, name: &str) -> Option<&[u8]> {
        let found = self.lines.iter().find(|line| line.is_called(mark, name, &self.text));
        found.map(|line| line.value(&self.text))
    }

    /// Every field of this name, in order.
    #[inline]
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let mark = mark(name.as_bytes());
        let lines = if self.may_contain(mark) { &self.lines[..] } else { &[] };
        let called = lines.iter().filter(move |line| line.is_called(mark, name, &self.text));
        called.map(|line| line.value(&self.text))
    }

    /// The first field of this name, where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a field of this name.
    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the end. The caller vouches for name and value being well-formed (RFC 9110, section 5).
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let line = self.write(name.as_ref(), value.as_ref());
        self.lines.push(line);
    }

    /// Adds a field whose value is written by `write`.
    pub fn append_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        write(&mut self.text);
        self.text.extend_from_slice(b"\r\n");
        let line = self.line(name.as_bytes(), self.text.len() - start);
        self.lines.push(line);
    }

    /// Adds a field that is in canonical form already: `Name: value` and CRLF, without further blanks around the value.
    pub(crate) fn append_line(&mut self, line: &[u8], name_length: usize) {
        self.text.extend_from_slice(line);
        let line = self.line(&line[..name_length], line.len());
        self.lines.push(line);
    }

    /// Removes every field of this name and adds one with this value at the end.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.append(name, value);
    }

    /// The same, with the one field at the beginning. Where it stands there already, the caller vouches for it being the
    /// only one of its name.
    pub fn set_first(&mut self, name: &str, value: &[u8]) {
        let (first, mark) = (self.lines.first(), mark(name.as_bytes()));
        if first.is_some_and(|line| line.is_called(mark, name, &self.text) && line.value(&self.text) == value)
        {
            return;
        }
        self.remove(name);
        let line = self.write(name.as_bytes(), value);
        self.lines.insert(0, line);
    }

    /// Removes every field of this name.
    #[inline]
    pub fn remove(&mut self, name: &str) {
        let mark = mark(name.as_bytes());
        if self.may_contain(mark) {
            let Self { text, lines, .. } = self;
            lines.retain(|line| !line.is_called(mark, name, text));
        }
    }

    /// Keeps the fields for which `keep` is true of name and value. A loop of its own, because it goes over every head
    /// and the standard one does not grow together with `keep`.
    #[inline(always)]
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut kept = 0;
        for at in 0..self.lines.len() {
            let line = self.lines[at];
            if keep(line.name(&self.text), line.value(&self.text)) {
                self.lines[kept] = line;
                kept += 1;
            }
        }
        self.lines.truncate(kept);
    }

    /// Bytes of all lines, as on an HTTP/1 wire.
    pub fn wire_size(&self) -> usize {
        self.lines.iter().map(|line| (line.end - line.start) as usize).sum()
    }

    /// Writes all lines, as on an HTTP/1 wire. Lines that stand next to each other leave in one piece.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let (mut start, mut end) = (0, 0);
        for line in &self.lines {
            if line.start != end {
                out.extend_from_slice(&self.text[start as usize..end as usize]);
                start = line.start;
            }
            end = line.end;
        }
        out.extend_from_slice(&self.text[start as usize..end as usize]);
    }

    /// Whether a comma-separated field lists `token` (RFC 9110, section 5.6.1), without regard to case.
    #[inline]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let is_token = |member: &[u8]| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.get_all(name).any(|value| value.split(|&byte| byte == b',').any(is_token))
    }

    /// The members of all comma-separated fields of this name; what is not ASCII is passed over.
    pub fn tokens<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.get_all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(|token| token.trim_matches([' ', '\t']))
            .filter(|token| !token.is_empty())
    }

    #[inline]
    fn may_contain(&self, mark: u8) -> bool {
        self.marks >> mark & 1 == 1
    }

    /// Writes a line at the end of the text.
    fn write(&mut self, name: &[u8], value: &[u8]) -> Line {
        self.text.reserve(name.len() + value.len() + 4);
        [name, b": ", value, b"\r\n"].iter().for_each(|part| self.text.extend_from_slice(part));
        self.line(name, name.len() + value.len() + 4)
    }

    /// The index entry of the line that ends the text and is `length` bytes long.
    #[inline]
    fn line(&mut self, name: &[u8], length: usize) -> Line {
        let end = u32::try_from(self.text.len()).expect("heads are far smaller than 4 GiB");
        let start = end - length as u32;
        let mark = mark(name);
        self.marks |= 1 << mark;
        Line { start, colon: start + name.len() as u32, end, mark }
    }
}

/// A number below 64 that tells most names apart. The usual names and those that are asked about all the time, and
/// hardly ever there, have different ones.
#[inline]
fn mark(name: &[u8]) -> u8 {
    let first = name.first().map_or(0, |byte| byte | 0x20);
    first.wrapping_mul(35).wrapping_add(name.len() as u8) % 64
}

impl Line {
    #[inline]
    fn is_called(&self, mark: u8, name: &str, text: &[u8]) -> bool {
        self.mark == mark && self.name(text).eq_ignore_ascii_case(name.as_bytes())
    }

    #[inline]
    fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start as usize..self.colon as usize]
    }

    #[inline]
    fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.colon as usize + 2..self.end as usize - 2]
    }
}

/// For HTTP/2; what HTTP/2 cannot carry is left out.
impl From<&Fields> for HeaderMap {
    fn from(fields: &Fields) -> Self {
        let mut map = HeaderMap::with_capacity(fields.len());
        for line in &fields.lines {
            let name = HeaderName::from_bytes(line.name(&fields.text));
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(line.value(&fields.text))) {
                // What no other response says has no place in HPACK's table of what was said before.
                value.set_sensitive(name == "x-request-id" || name == http::header::SET_COOKIE);
                map.append(name, value);
            }
        }
        map
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Fields::new();
        for (name, value) in map {
            fields.append(name.as_str(), value.as_bytes());
        }
        fields
    }
}

impl std::fmt::Debug for Fields {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_spelling() {
        let mut fields = Fields::new();
        fields.append("Cookie", "a=1");
        fields.append("X-One", "1");
        fields.append("cookie", "b=2");
        assert_eq!(fields.get_all("COOKIE").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        fields.set("x-one", "2");
        let names: Vec<_> = fields.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["Cookie", "cookie", "x-one"]);
    }

    #[test]
    fn lists_are_read_over_several_lines() {
        let mut fields = Fields::new();
        fields.append("Connection", "keep-alive, X-A");
        fields.append("connection", " ,Close");
        assert!(fields.lists("connection", "close"));
        assert!(fields.lists("Connection", "x-a"));
        assert!(!fields.lists("Connection", "x"));
    }

    #[test]
    fn what_is_removed_does_not_leave_and_the_rest_leaves_in_order() {
        let mut fields = Fields::new();
        fields.append("A", "1");
        fields.append_line(b"B: 2\r\n", 1);
        fields.append("C", "3");
        fields.append("D", "");
        fields.remove("b");
        fields.set_first("Host", b"x");
        let mut out = Vec::new();
        fields.write_to(&mut out);
        assert_eq!(out, b"Host: x\r\nA: 1\r\nC: 3\r\nD: \r\n");
        assert_eq!(out.len(), fields.wire_size());
        assert_eq!(fields.get("B"), None);
        fields.retain(|name, _| name == b"C");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("C", &b"3"[..])]);
    }

    #[test]
    fn a_field_at_the_beginning_replaces_all_of_its_name() {
        let mut fields = Fields::new();
        fields.append("host", "a");
        fields.append("X", "1");
        fields.set_first("Host", b"a");
        assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["host", "X"]);
        fields.set_first("Host", b"b");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("Host", &b"b"[..]), ("X", &b"1"[..])]);
    }
}
