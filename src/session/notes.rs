//! Notes: what a login method keeps in a session for itself.
//!
//! Comes in: texts by name, at a login or when they have changed. Goes out: the session's data with them, and each of them
//! again. They are data like any other to stores and snapshots, and in a name space that no application can name: none is
//! ever told of them. Never mixes the notes of two logins.

use crate::clock::Timestamp;
use crate::session::data::{Data, Entry, Value};
use crate::session::edit::HIDDEN;

/// What the names of notes begin with, in the data.
const NOTE: &str = "login.";

/// A note to take: its name and its text.
pub type Note = (&'static str, String);

/// Data with these notes in the place of all before.
pub fn with_notes(data: &Data, notes: &[Note], now: Timestamp) -> Data {
    let is_note = |entry: &Entry<'_>| entry.space == HIDDEN && entry.name.starts_with(NOTE);
    if notes.is_empty() && !data.iter(now).any(|entry| is_note(&entry)) {
        return data.clone();
    }
    let names: Vec<_> = notes.iter().map(|(name, _)| format!("{NOTE}{name}")).collect();
    let taken = names.iter().zip(notes).map(|(name, (_, text))| Entry {
        space: HIDDEN,
        name,
        value: Value::Text(text.as_str().into()),
        expires: None,
        flash: false,
    });
    let entries = data.iter(now).filter(|entry| !is_note(entry)).chain(taken).collect();
    Data::new(data.version(), entries)
}

/// The text of one note.
pub fn note(data: &Data, name: &str, now: Timestamp) -> Option<String> {
    let found = data.iter(now).take_while(|entry| entry.space == HIDDEN);
    let mut notes = found.filter(|entry| entry.name.strip_prefix(NOTE) == Some(name));
    match notes.next()?.value {
        Value::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn notes_of_one_login_take_the_place_of_those_before_and_leave_the_rest() {
        let entry =
            |space, name| Entry { space, name, value: Value::Integer(1), expires: None, flash: false };
        let data = Data::new(3, vec![entry(HIDDEN, "conflict.app"), entry("app", "cart")]);
        let first = with_notes(&data, &[("token", "one".to_owned()), ("provider", "a".to_owned())], NOW);
        assert_eq!(note(&first, "token", NOW).as_deref(), Some("one"));
        let second = with_notes(&first, &[("token", "two".to_owned())], NOW);
        assert_eq!(note(&second, "token", NOW).as_deref(), Some("two"));
        assert_eq!(note(&second, "provider", NOW), None);
        assert_eq!(with_notes(&second, &[], NOW), data);
        assert_eq!(second.version(), 3);
    }
}
