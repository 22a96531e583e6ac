//! Data: what applications keep in a session.
//!
//! Comes in: keys with values, or the bytes a store gave back. Goes out: the same, in order. All of it is one piece of
//! memory that never changes: a change makes another one ([`edit`](crate::session::edit)). Never holds a key twice, and
//! never trusts bytes it did not write.

use std::borrow::Cow;

use triomphe::ThinArc;

use crate::clock::Timestamp;

/// Keys and values in one piece: a version, then every entry, in the order of name space and name. A million sessions
/// hold one each, so an entry costs three bytes more than its name and its text, and its name space is written once for
/// all entries in it. Every copy shares that piece, which is found through one pointer. Empty data is no memory at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(Option<Piece>);

/// As the cell of a session holds it.
pub(in crate::session) type Piece = ThinArc<(), u8>;

/// A value: what a bare item of RFC 9651 can be and an application may keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, in any script.
    Text(Cow<'a, str>),
    /// At most fifteen digits.
    Integer(i64),
    /// In thousandths; at most twelve digits before the point.
    Decimal(i64),
    /// True or false.
    Boolean(bool),
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whose key it is: an upstream's name space, `shared`, or none for what no application can name.
    pub space: &'a str,
    /// Its name in there.
    pub name: &'a str,
    /// What it holds.
    pub value: Value<'a>,
    /// From when on it is gone.
    pub expires: Option<Timestamp>,
    /// Delivered once, then gone.
    pub flash: bool,
}

/// A key on its own: a name space and a name in it, written `space.name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKey {
    /// Whose key it is.
    pub space: Box<str>,
    /// Its name in there.
    pub name: Box<str>,
}

impl DataKey {
    /// A key of these two parts.
    pub fn new(space: &str, name: &str) -> Self {
        Self { space: space.into(), name: name.into() }
    }
}

impl std::fmt::Display for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.space, self.name)
    }
}

/// The largest number of RFC 9651: an integer, or a decimal in thousandths, has at most fifteen digits.
pub const LARGEST: i64 = 999_999_999_999_999;

// The first byte of an entry: the kind of its value, and what else is written.
const KIND: u8 = 0b0000_0111;
const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const DECIMAL: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const EXPIRES: u8 = 0b0000_1000;
const FLASH: u8 = 0b0001_0000;
/// A name space begins here.
const SPACE: u8 = 0b0010_0000;
const KNOWN: u8 = KIND | EXPIRES | FLASH | SPACE;

impl Data {
    /// Data of these entries, in any order; of two with one name the later counts.
    pub fn new(version: u64, mut entries: Vec<Entry<'_>>) -> Self {
        if version == 0 && entries.is_empty() {
            return Self::default();
        }
        entries.sort_by(|one, other| one.key().cmp(&other.key()));
        let mut out = Vec::with_capacity(16 + entries.iter().map(Entry::most).sum::<usize>());
        put_number(&mut out, version);
        let mut space = None;
        for (at, entry) in entries.iter().enumerate() {
            if entries.get(at + 1).is_none_or(|next| next.key() != entry.key()) {
                entry.write(&mut out, space != Some(entry.space));
                space = Some(entry.space);
            }
        }
        Self::of(&out)
    }

    /// As a store keeps it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |piece| &piece.slice)
    }

    /// As a store gave it back; `None` where that is not data.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let data = Self::of(bytes);
        let mut entries = data.entries();
        let mut last = None;
        for entry in entries.by_ref() {
            if last.is_some_and(|last| last >= entry.key()) {
                return None;
            }
            last = Some(entry.key());
        }
        // Where reading stops before the end, something was not an entry.
        let whole = bytes.is_empty() || entries.rest.is_some_and(<[u8]>::is_empty);
        whole.then_some(data)
    }

    /// How often it was changed: one more with each response that changed something.
    pub fn version(&self) -> u64 {
        take_number(&mut self.as_bytes()).unwrap_or_default()
    }

    /// Whether there is no entry, not even an expired one.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// What counts against `session.max_bytes`.
    pub fn size(&self) -> usize {
        self.as_bytes().len()
    }

    /// The value of a key, given as `space.name`.
    pub fn get(&self, key: &str, now: Timestamp) -> Option<Value<'_>> {
        let (space, name) = key.split_once('.')?;
        self.find(space, name, now).map(|entry| entry.value)
    }

    /// The entry of this name in this name space.
    pub fn find(&self, space: &str, name: &str, now: Timestamp) -> Option<Entry<'_>> {
        self.iter(now).find(|entry| entry.key() == (space, name))
    }

    /// Every entry that has not expired, in order.
    pub fn iter(&self, now: Timestamp) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(move |entry| !entry.is_expired(now))
    }

    /// What a cell held.
    pub(in crate::session) fn of_piece(piece: Option<Piece>) -> Self {
        Self(piece)
    }

    /// For a cell to hold.
    pub(in crate::session) fn into_piece(self) -> Option<Piece> {
        self.0
    }

    fn of(bytes: &[u8]) -> Self {
        Self((!bytes.is_empty()).then(|| ThinArc::from_header_and_slice((), bytes)))
    }

    fn entries(&self) -> Entries<'_> {
        let mut rest = self.as_bytes();
        Entries { rest: take_number(&mut rest).map(|_| rest), space: None }
    }
}

impl<'a> Entry<'a> {
    /// What it is sorted by.
    pub fn key(&self) -> (&'a str, &'a str) {
        (self.space, self.name)
    }

    /// Whether it is gone.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// How many bytes it takes, without its name space.
    pub fn cost(&self) -> usize {
        let value = match &self.value {
            Value::Text(text) => sized(text),
            Value::Integer(number) | Value::Decimal(number) => length(zigzag(*number)),
            Value::Boolean(_) => 0,
        };
        1 + sized(self.name) + self.expires.map_or(0, |expires| length(expires.unix_millis())) + value
    }

    /// So many bytes it takes at most, with its name space: quicker to say than how many.
    fn most(&self) -> usize {
        let text = if let Value::Text(text) = &self.value { text.len() } else { 0 };
        40 + self.space.len() + self.name.len() + text
    }

    fn write(&self, out: &mut Vec<u8>, opens_space: bool) {
        let kind = match self.value {
            Value::Text(_) => TEXT,
            Value::Integer(_) => INTEGER,
            Value::Decimal(_) => DECIMAL,
            Value::Boolean(false) => FALSE,
            Value::Boolean(true) => TRUE,
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            kind | flag(self.expires.is_some(), EXPIRES) | flag(self.flash, FLASH) | flag(opens_space, SPACE),
        );
        if opens_space {
            put_text(out, self.space);
        }
        put_text(out, self.name);
        if let Some(expires) = self.expires {
            put_number(out, expires.unix_millis());
        }
        match &self.value {
            Value::Text(text) => put_text(out, text),
            Value::Integer(number) | Value::Decimal(number) => put_number(out, zigzag(*number)),
            Value::Boolean(_) => {}
        }
    }
}

/// How many bytes a name space takes, once for all entries in it.
pub fn space_cost(space: &str) -> usize {
    sized(space)
}

/// Reads entry after entry; stops at the end, or where something is not one.
struct Entries<'a> {
    rest: Option<&'a [u8]>,
    space: Option<&'a str>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = self.rest.filter(|rest| !rest.is_empty())?;
        // Nothing is left to read, unless this is an entry.
        self.rest = None;
        let (entry, rest) = read_entry(rest, self.space)?;
        (self.rest, self.space) = (Some(rest), Some(entry.space));
        Some(entry)
    }
}

fn read_entry<'a>(mut bytes: &'a [u8], space: Option<&'a str>) -> Option<(Entry<'a>, &'a [u8])> {
    let (&head, rest) = bytes.split_first()?;
    bytes = rest;
    if head & !KNOWN != 0 {
        return None;
    }
    let space = if head & SPACE == 0 { space? } else { take_text(&mut bytes)? };
    let name = take_text(&mut bytes)?;
    let expires = match head & EXPIRES {
        0 => None,
        _ => Some(Timestamp::from_unix_millis(take_number(&mut bytes)?)),
    };
    let number = |bytes: &mut &'a [u8]| {
        let number = take_number(bytes)?;
        let number = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        (-LARGEST..=LARGEST).contains(&number).then_some(number)
    };
    let value = match head & KIND {
        TEXT => Value::Text(Cow::Borrowed(take_text(&mut bytes)?)),
        INTEGER => Value::Integer(number(&mut bytes)?),
        DECIMAL => Value::Decimal(number(&mut bytes)?),
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        _ => return None,
    };
    Some((Entry { space, name, value, expires, flash: head & FLASH != 0 }, bytes))
}

/// Small numbers of either sign become small ones without.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// Seven bits in a byte, the low ones first; the highest bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// How many bytes `put_number` writes.
pub fn length(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// How many bytes [`put_text`] writes.
fn sized(text: &str) -> usize {
    length(text.len() as u64) + text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn entry<'a>(space: &'a str, name: &'a str, value: Value<'a>) -> Entry<'a> {
        Entry { space, name, value, expires: None, flash: false }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn what_was_put_in_comes_out_in_order() {
        let entries = vec![
            entry("shared", "theme", text("dark")),
            entry("app", "이름", text("김 철수")),
            entry("app", "cart", Value::Integer(-3)),
            Entry { expires: Some(at(100)), ..entry("app", "old", Value::Boolean(true)) },
            Entry { flash: true, ..entry("app", "rate", Value::Decimal(1_500)) },
        ];
        let data = Data::new(7, entries);
        assert_eq!(Data::from_bytes(data.as_bytes()).as_ref(), Some(&data));
        let names: Vec<_> = data.iter(at(99)).map(|entry| entry.name).collect();
        assert_eq!(names, ["cart", "old", "rate", "이름", "theme"]);
        assert_eq!((data.version(), data.iter(at(0)).find_map(|entry| entry.expires)), (7, Some(at(100))));
        assert_eq!(data.get("app.old", at(99)), Some(Value::Boolean(true)));
        assert_eq!(data.get("app.old", at(100)), None);
        assert_eq!(data.get("app.이름", at(0)), Some(text("김 철수")));
        assert_eq!(data.get("shared.cart", at(0)), None);
        assert_eq!(data.iter(at(100)).count(), 4);
        assert!(data.iter(at(0)).any(|entry| entry.flash));
    }

    #[test]
    fn no_data_is_no_memory() {
        let data = Data::default();
        assert_eq!((data.version(), data.size(), data.is_empty()), (0, 0, true));
        assert_eq!((Data::from_bytes(&[]), Data::new(0, Vec::new())), (Some(data.clone()), data));
        assert!(Data::new(3, Vec::new()).is_empty());
    }

    #[test]
    fn two_hundred_bytes_cost_little_more() {
        let long = "x".repeat(95);
        let one = Data::new(9, vec![entry("app", "name", text(&long)), entry("app", "other", text(&long))]);
        assert!(one.size() <= 4 + 95 + 5 + 95 + 12, "{}", one.size());
    }

    #[test]
    fn bytes_out_of_order_or_with_something_unknown_are_refused() {
        let two = Data::new(1, vec![entry("a", "a", text("")), entry("a", "b", text(""))]);
        let bytes = two.as_bytes();
        for length in 1..bytes.len() {
            let cut = Data::from_bytes(&bytes[..length]);
            assert!(cut.is_none_or(|cut| cut.as_bytes().len() == length && cut.iter(at(0)).count() < 2));
        }
        let mut swapped = bytes.to_vec();
        let b = swapped.iter().rposition(|byte| *byte == b'b').expect("the second name");
        swapped[b] = b'a';
        assert_eq!(Data::from_bytes(&swapped), None);
        let mut unknown = bytes.to_vec();
        unknown[1] |= 0b1000_0000;
        assert_eq!(Data::from_bytes(&unknown), None);
        assert_eq!(Data::from_bytes(&[0xff; 11]), None);
        assert_eq!(Data::from_bytes(&[1, TEXT, 1, b'a', 0]), None, "no name space");
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            any::<String>().prop_map(|text| Value::Text(text.into())),
            (-LARGEST..=LARGEST).prop_map(Value::Integer),
            (-LARGEST..=LARGEST).prop_map(Value::Decimal),
            any::<bool>().prop_map(Value::Boolean),
        ]
    }

    proptest! {
        #[test]
        fn any_entries_come_back(
            version: u64,
            entries in prop::collection::btree_map(
                ("[a-z]{0,3}", "[a-z.가-힣]{0,200}"),
                (any_value(), any::<Option<u64>>(), any::<bool>()),
                0..12,
            ),
        ) {
            let entries: Vec<_> = entries
                .iter()
                .map(|((space, name), (value, expires, flash))| Entry {
                    space,
                    name,
                    value: value.clone(),
                    expires: expires.map(at),
                    flash: *flash,
                })
                .collect();
            let data = Data::new(version, entries.iter().rev().cloned().collect());
            prop_assert_eq!(data.entries().collect::<Vec<_>>(), entries.clone());
            prop_assert_eq!(data.version(), version);
            prop_assert_eq!(Data::from_bytes(data.as_bytes()), Some(data.clone()));
            let mut spaces: Vec<_> = entries.iter().map(|entry| entry.space).collect();
            spaces.dedup();
            let cost = entries.iter().map(Entry::cost).sum::<usize>()
                + spaces.iter().map(|space| space_cost(space)).sum::<usize>();
            let version = if data.size() == 0 { 0 } else { length(version) };
            prop_assert_eq!(data.size(), version + cost);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(prop_oneof![0..64_u8, any::<u8>()], 0..200),
        ) {
            if let Some(data) = Data::from_bytes(&bytes) {
                prop_assert_eq!(data.as_bytes(), &*bytes);
                prop_assert_eq!(data.entries().count(), data.entries().filter(|entry| entry.key() >= ("", "")).count());
                let again = Data::new(data.version(), data.entries().collect());
                prop_assert_eq!(again.entries().collect::<Vec<_>>(), data.entries().collect::<Vec<_>>());
            }
        }
    }
}
