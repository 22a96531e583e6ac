//! Told: what a request says about its session.
//!
//! Comes in: a session's data and what is known of its life. Goes out: `Session-Id`, `Session-Data`, `Session-Meta`,
//! `Session-Conflict` and the headers of `route.session_headers`, at the end of a request's fields. Every request with a
//! session comes through here, so nothing is allocated but room in the fields.

use std::time::Duration;

use super::write::{integer, member, plain};
use crate::clock::Timestamp;
use crate::message::Fields;
use crate::session::data::{Data, DataKey, Entry, LARGEST};
use crate::session::edit::notes_conflict;
use crate::session::rights::{Rights, Spoken, is_name};

/// A key that is told as a header of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// The header's name.
    pub name: String,
    /// Which key.
    pub key: DataKey,
}

/// What an upstream is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What stands for the session at this upstream: never its id.
    pub id: &'a str,
    /// What applications keep in it.
    pub data: &'a Data,
    /// What this upstream may know of that.
    pub rights: &'a Rights,
    /// Keys with a header of their own.
    pub headers: &'a [SessionHeader],
    /// What is delivered once is in the data for this request, and was taken out for all others.
    pub delivers: bool,
    /// The session began with this request.
    pub new: bool,
    /// How long it lives without another request.
    pub expires_in: Duration,
    /// How long ago somebody logged in, if anybody has.
    pub auth_age: Option<Duration>,
    /// The time now.
    pub now: Timestamp,
}

/// Bytes of `Session-Data`, and of all headers for single keys: applications often take 8 KiB for one.
const MOST: usize = 8 * 1024;

/// Adds the fields. Answers with how many keys were left out, because there are too many bytes of them. What is
/// delivered once goes first and is the last to be left out.
pub fn tell(fields: &mut Fields, told: &Told<'_>) -> usize {
    fields.append("Session-Id", told.id);
    let found = Found::within(told);
    let mut left_out = 0;
    if found.visible {
        fields.append_with("Session-Data", |out| left_out = write_data(out, told, found.flash));
    }
    fields.append_with("Session-Meta", |out| write_meta(out, told));
    if found.conflict {
        fields.append("Session-Conflict", "?1");
    }
    let mut room = MOST;
    for header in told.headers {
        let found = told.data.find(&header.key.space, &header.key.name, told.now);
        let Some(entry) = found.filter(|entry| told.delivers || !entry.flash) else { continue };
        // A character becomes three at most; what surely fits need not be measured.
        let size = plain_size(&entry);
        if size > room {
            left_out += 1;
            continue;
        }
        room -= size;
        fields.append_with(&header.name, |out| plain(out, &entry.value));
    }
    left_out
}

/// What there is to say, before any of it is said.
#[derive(Default)]
struct Found {
    visible: bool,
    flash: bool,
    conflict: bool,
}

impl Found {
    fn within(told: &Told<'_>) -> Self {
        let mut found = Self::default();
        for entry in entries(told) {
            let visible = spoken(told, &entry).is_some();
            found.visible |= visible;
            found.flash |= visible && entry.flash;
            found.conflict |= notes_conflict(&entry, told.rights.space());
        }
        found
    }
}

/// What there is for this request.
fn entries<'a>(told: &Told<'a>) -> impl Iterator<Item = Entry<'a>> {
    let delivers = told.delivers;
    told.data.iter(told.now).filter(move |entry| delivers || !entry.flash)
}

/// What the upstream calls an entry, if it may know of it. A store may have been written by others: what is no key is
/// not said.
fn spoken<'a>(told: &Told<'_>, entry: &Entry<'a>) -> Option<Spoken<'a>> {
    told.rights.visible(entry.key()).filter(|spoken| is_name(spoken.name) && spoken.space.is_none_or(is_name))
}

fn write_data(out: &mut Vec<u8>, told: &Told<'_>, has_flash: bool) -> usize {
    let start = out.len();
    let mut left_out = 0;
    let rounds: &[bool] = if has_flash { &[true, false] } else { &[false] };
    for &flash in rounds {
        for entry in entries(told).filter(|entry| entry.flash == flash) {
            let Some(key) = spoken(told, &entry) else { continue };
            let before = out.len();
            if before > start {
                out.extend_from_slice(b", ");
            }
            member(out, key, &entry.value);
            if out.len() - start > MOST {
                out.truncate(before);
                left_out += 1;
            }
        }
    }
    left_out
}

fn write_meta(out: &mut Vec<u8>, told: &Told<'_>) {
    let number = |out: &mut Vec<u8>, name: &[u8], number: u64| {
        out.extend_from_slice(name);
        integer(out, i64::try_from(number).unwrap_or(LARGEST).min(LARGEST));
    };
    out.extend_from_slice(if told.new { b"new" } else { b"new=?0" });
    number(out, b", version=", told.data.version());
    number(out, b", expires-in=", told.expires_in.as_secs());
    if let Some(age) = told.auth_age {
        number(out, b", auth-age=", age.as_secs());
    }
}

/// How many bytes a value is as a plain header.
fn plain_size(entry: &Entry<'_>) -> usize {
    const { assert!(MOST > 3 * 32) };
    match &entry.value {
        crate::session::data::Value::Text(text) => {
            text.bytes().map(|byte| if byte.is_ascii_graphic() && byte != b'%' { 1 } else { 3 }).sum()
        }
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::data::Value;
    use crate::session::edit::{Edit, Edits};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000);

    fn entry<'a>(space: &'a str, name: &'a str, value: Value<'a>) -> Entry<'a> {
        Entry { space, name, value, expires: None, flash: false }
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn heard(data: &Data, headers: &[SessionHeader]) -> (Vec<(String, String)>, usize) {
        let told = Told {
            id: "abc",
            data,
            rights: &Rights::new("app", None, None, false),
            headers,
            delivers: true,
            new: false,
            expires_in: Duration::from_millis(1_740_500),
            auth_age: Some(Duration::from_secs(312)),
            now: NOW,
        };
        let mut fields = Fields::new();
        let left_out = tell(&mut fields, &told);
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("ASCII");
        (fields.iter().map(|(name, value)| (name.to_owned(), text(value))).collect(), left_out)
    }

    fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn an_upstream_is_told_what_it_may_know() {
        let data = Data::new(
            7,
            vec![
                entry("app", "theme", text("dark")),
                entry("app", "cart", Value::Integer(3)),
                entry("app", "name", text("김 철수")),
                Entry { expires: Some(NOW), ..entry("app", "old", Value::Boolean(true)) },
                Entry { flash: true, ..entry("app", "saved", text("ok")) },
                entry("shared", "lang", text("ko")),
                entry("shop", "secret", text("x")),
            ],
        );
        let header = SessionHeader { name: "X-Theme".to_owned(), key: DataKey::new("app", "theme") };
        let none = SessionHeader { name: "X-None".to_owned(), key: DataKey::new("app", "none") };
        let (fields, left_out) = heard(&data, &[header, none]);
        let expected = [
            ("Session-Id", "abc"),
            (
                "Session-Data",
                "saved=\"ok\", cart=3, name=%\"%ea%b9%80 %ec%b2%a0%ec%88%98\", theme=\"dark\", shared.lang=\"ko\"",
            ),
            ("Session-Meta", "new=?0, version=7, expires-in=1740, auth-age=312"),
            ("X-Theme", "dark"),
        ];
        assert_eq!((pairs(&fields), left_out), (expected.to_vec(), 0));
    }

    #[test]
    fn a_session_without_data_says_so_by_silence() {
        let (fields, left_out) = heard(&Data::default(), &[]);
        let expected =
            [("Session-Id", "abc"), ("Session-Meta", "new=?0, version=0, expires-in=1740, auth-age=312")];
        assert_eq!((pairs(&fields), left_out), (expected.to_vec(), 0));
    }

    #[test]
    fn a_conflict_is_told_to_whom_it_concerns() {
        let list = vec![Edit::Delete { key: DataKey::new("app", "x") }];
        let edits = |space: &str| Edits { space: space.into(), list: list.clone(), if_version: Some(9) };
        let conflict = ("Session-Conflict".to_owned(), "?1".to_owned());
        let ours = edits("app").apply(&Data::default(), NOW, 1024).data;
        let theirs = edits("shop").apply(&Data::default(), NOW, 1024).data;
        assert!(heard(&ours, &[]).0.contains(&conflict));
        assert!(!heard(&theirs, &[]).0.contains(&conflict));
        assert!(heard(&ours, &[]).0.iter().all(|(name, _)| name != "Session-Data"));
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let (big, small) = ("x".repeat(6_000), "y".repeat(1_000));
        let data = Data::new(
            1,
            vec![
                entry("app", "a", text(&big)),
                entry("app", "b", text(&big)),
                entry("app", "c", text(&small)),
                Entry { flash: true, ..entry("app", "d", text(&small)) },
            ],
        );
        let header = |name: &str| SessionHeader { name: format!("X-{name}"), key: DataKey::new("app", name) };
        let (fields, left_out) = heard(&data, &[header("a"), header("b"), header("c")]);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Session-Id", "Session-Data", "Session-Meta", "X-a", "X-c"]);
        assert_eq!(left_out, 2);
        assert!(fields[1].1.starts_with("d=\"yyy") && fields[1].1.len() <= MOST);
    }

    #[test]
    fn a_store_that_holds_what_is_no_key_does_no_harm() {
        let data = Data::new(1, vec![entry("app", "a\r\nX-Admin: 1", text("")), entry("app", "", text(""))]);
        assert_eq!(heard(&data, &[]).0.len(), 2);
    }
}
