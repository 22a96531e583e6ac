//! Message: the head of a request or response, as it stands on the wire.
//!
//! A head is one buffer of text and an index of its fields: names keep their spelling, values their bytes, and all
//! keep their order, so what is not meant to change leaves as it came. Names compare without regard to case.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

/// Header or trailer fields, in order.
#[derive(Clone, Default)]
pub struct Fields {
    names: String,
    values: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    name: (u32, u32),
    value: (u32, u32),
}

impl Fields {
    /// No fields yet, with room for a usual head.
    pub fn new() -> Self {
        Self {
            names: String::with_capacity(256),
            values: Vec::with_capacity(768),
            entries: Vec::with_capacity(24),
        }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All fields: name as spelled, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|entry| (self.name_of(entry), self.value_of(entry)))
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.entries.iter().find(|entry| entry.is_called(name, &self.names));
        found.map(|entry| self.value_of(entry))
    }

    /// Every field of this name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.entries
            .iter()
            .filter(move |entry| entry.is_called(name, &self.names))
            .map(|entry| self.value_of(entry))
    }

    /// The first field of this name, where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the end. The caller vouches for name and value being well-formed (RFC 9110, section 5).
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let short = |length: usize| u32::try_from(length).expect("heads are far smaller than 4 GiB");
        let (name_start, value_start) = (self.names.len(), self.values.len());
        self.names.push_str(name);
        self.values.extend_from_slice(value);
        self.entries.push(Entry {
            name: (short(name_start), short(self.names.len())),
            value: (short(value_start), short(self.values.len())),
        });
    }

    /// Removes every field of this name and adds one with this value at the end.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.append(name, value);
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) {
        let Self { names, entries, .. } = self;
        entries.retain(|entry| !entry.is_called(name, names));
    }

    /// Keeps the fields for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        let Self { names, values, entries } = self;
        entries.retain(|entry| keep(entry.name(names), entry.value(values)));
    }

    /// Forgets all fields and keeps the room.
    pub fn clear(&mut self) {
        self.names.clear();
        self.values.clear();
        self.entries.clear();
    }

    /// Bytes of all names and values with their separators, as on an HTTP/1 wire.
    pub fn wire_size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len() + 4).sum()
    }

    /// Whether a comma-separated field lists `token` (RFC 9110, section 5.6.1), without regard to case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let members = self.get_all(name).flat_map(|value| value.split(|&byte| byte == b','));
        members.map(<[u8]>::trim_ascii).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The members of all comma-separated fields of this name; what is not ASCII is passed over.
    pub fn tokens<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.get_all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(|token| token.trim_matches([' ', '\t']))
            .filter(|token| !token.is_empty())
    }

    fn name_of(&self, entry: &Entry) -> &str {
        entry.name(&self.names)
    }

    fn value_of(&self, entry: &Entry) -> &[u8] {
        entry.value(&self.values)
    }
}

impl Entry {
    /// Whether it has this name; most fields are told apart by their length alone.
    fn is_called(&self, name: &str, names: &str) -> bool {
        (self.name.1 - self.name.0) as usize == name.len() && self.name(names).eq_ignore_ascii_case(name)
    }

    fn name<'a>(&self, names: &'a str) -> &'a str {
        &names[self.name.0 as usize..self.name.1 as usize]
    }

    fn value<'a>(&self, values: &'a [u8]) -> &'a [u8] {
        &values[self.value.0 as usize..self.value.1 as usize]
    }
}

/// For HTTP/2; what HTTP/2 cannot carry is left out.
impl From<&Fields> for HeaderMap {
    fn from(fields: &Fields) -> Self {
        let mut map = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields.iter() {
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
            {
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

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, in its own spelling.
    pub method: Method,
    /// The request target as received: `/path?query`, `http://host/path`, or `*`.
    pub target: String,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: StatusCode) -> Self {
        Self { status, fields: Fields::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.append(name, value);
        self
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
}
