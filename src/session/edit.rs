//! Edit: how data changes.
//!
//! Comes in: data as it is now, and what an application wants changed in it. Goes out: the data afterwards, and what could
//! not be done. Changes are merged key by key, so of two responses at the same time both count. Never changes anything
//! half: an edit is carried out or refused with its reason.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::session::data::{Data, DataKey, Entry, LARGEST, Value, length, space_cost};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Gives a key a value, whatever it held.
    Set {
        /// Which.
        key: DataKey,
        /// What it holds from now on.
        value: Value<'static>,
        /// Until when.
        expires: Option<Timestamp>,
        /// Whether it is delivered once only.
        flash: bool,
    },
    /// Adds to an integer; one that is not there counts as 0. It expires when it would have.
    Add {
        /// Which.
        key: DataKey,
        /// How much.
        by: i64,
    },
    /// Removes a key.
    Delete {
        /// Which.
        key: DataKey,
    },
}

/// What one response wants changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The name space of the upstream that says so: it is told of a conflict.
    pub space: Box<str>,
    /// The changes, in the order in which they are carried out.
    pub list: Vec<Edit>,
    /// Only if the data's version is still this.
    pub if_version: Option<u64>,
}

/// What came of [`Edits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What is to be kept from now on; after a conflict with a note of it, for the next request.
    pub data: Data,
    /// The version was another one: nothing was carried out.
    pub conflict: bool,
    /// Edits that were refused; all others were carried out.
    pub rejected: Vec<(DataKey, Rejected)>,
}

/// Why an edit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Only integers can be added to.
    #[error("it does not hold an integer")]
    NotAnInteger,
    /// The sum has more digits than a structured field can carry.
    #[error("the sum has more than fifteen digits")]
    OutOfRange,
    /// The session would hold more than `session.max_bytes`.
    #[error("the session's data would go beyond `session.max_bytes`")]
    Full,
}

impl Edits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Carries the changes out on data as it is now. What has expired is dropped in passing.
    pub fn apply(&self, data: &Data, now: Timestamp, max_bytes: usize) -> Applied {
        if !self.is_empty() && self.if_version.is_some_and(|version| version != data.version()) {
            return Applied { data: self.noting_conflict(data, now), conflict: true, rejected: Vec::new() };
        }
        let mut sheet = Sheet::new(data, now, max_bytes);
        let mut rejected = Vec::new();
        for edit in &self.list {
            if let Err(why) = sheet.carry_out(edit) {
                rejected.push((edit.key().clone(), why));
            }
        }
        let entries = sheet.entries;
        let changed = !data.iter(now).eq(entries.iter().cloned());
        let version = data.version().saturating_add(u64::from(changed));
        Applied { data: Data::new(version, entries), conflict: false, rejected }
    }

    fn noting_conflict(&self, data: &Data, now: Timestamp) -> Data {
        let name = format!("{CONFLICT}{}", self.space);
        let mut entries: Vec<_> = data.iter(now).collect();
        entries.push(Entry {
            space: HIDDEN,
            name: &name,
            value: Value::Boolean(true),
            expires: None,
            flash: true,
        });
        Data::new(data.version(), entries)
    }
}

impl Edit {
    /// The key it is about.
    pub fn key(&self) -> &DataKey {
        match self {
            Edit::Set { key, .. } | Edit::Add { key, .. } | Edit::Delete { key } => key,
        }
    }
}

/// The name space of our own notes. An application's key starts with a letter or `*`, so none can name one in here.
pub(in crate::session) const HIDDEN: &str = "";
const CONFLICT: &str = "conflict.";

/// Whether an entry notes a conflict that the upstream of this name space has not been told of.
pub fn notes_conflict(entry: &Entry<'_>, space: &str) -> bool {
    entry.space == HIDDEN && entry.name.strip_prefix(CONFLICT) == Some(space)
}

/// The data without those flash entries that `delivers` is true of; `None` where there are none. Its version stays: it
/// is a delivery, not a change, and an application may go on with the version it was told along with it.
pub fn take_flash(data: &Data, now: Timestamp, delivers: impl Fn(&Entry<'_>) -> bool) -> Option<Data> {
    let taken = |entry: &Entry<'_>| entry.flash && delivers(entry);
    if !data.iter(now).any(|entry| taken(&entry)) {
        return None;
    }
    Some(Data::new(data.version(), data.iter(now).filter(|entry| !taken(entry)).collect()))
}

/// Entries on their way from one piece of data to the next.
struct Sheet<'a> {
    /// In order, as the data has them.
    entries: Vec<Entry<'a>>,
    /// Bytes of all entries and their name spaces.
    used: usize,
    room: usize,
}

impl<'a> Sheet<'a> {
    fn new(data: &'a Data, now: Timestamp, max_bytes: usize) -> Self {
        // Whether or not the version becomes one more, it is counted so.
        let room = max_bytes.saturating_sub(length(data.version().saturating_add(1)));
        let mut sheet = Self { entries: Vec::with_capacity(8), used: 0, room };
        for entry in data.iter(now) {
            let opens = sheet.entries.last().is_none_or(|last| last.space != entry.space);
            sheet.used += entry.cost() + if opens { space_cost(entry.space) } else { 0 };
            sheet.entries.push(entry);
        }
        sheet
    }

    fn carry_out(&mut self, edit: &'a Edit) -> Result<(), Rejected> {
        let DataKey { space, name } = edit.key();
        let entry = match edit {
            Edit::Set { value, expires, flash, .. } => {
                Entry { space, name, value: borrowed(value), expires: *expires, flash: *flash }
            }
            Edit::Add { by, .. } => self.sum(space, name, *by)?,
            Edit::Delete { .. } => {
                self.remove(space, name);
                return Ok(());
            }
        };
        let used = self.used_with(&entry);
        if used > self.room && used > self.used {
            return Err(Rejected::Full);
        }
        self.used = used;
        self.insert(entry);
        Ok(())
    }

    fn sum(&self, space: &'a str, name: &'a str, by: i64) -> Result<Entry<'a>, Rejected> {
        let known = self.find(space, name).cloned();
        let entry =
            known.unwrap_or(Entry { space, name, value: Value::Integer(0), expires: None, flash: false });
        let Value::Integer(number) = entry.value else { return Err(Rejected::NotAnInteger) };
        let sum = number.checked_add(by).filter(|sum| (-LARGEST..=LARGEST).contains(sum));
        Ok(Entry { value: Value::Integer(sum.ok_or(Rejected::OutOfRange)?), ..entry })
    }

    /// Where the entry of this key is, or would be.
    fn place(&self, space: &str, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key().cmp(&(space, name)))
    }

    fn find(&self, space: &str, name: &str) -> Option<&Entry<'a>> {
        self.place(space, name).ok().map(|at| &self.entries[at])
    }

    fn has_space(&self, space: &str) -> bool {
        let first = self.entries.partition_point(|entry| entry.space < space);
        self.entries.get(first).is_some_and(|entry| entry.space == space)
    }

    /// Bytes of everything once this entry is in.
    fn used_with(&self, entry: &Entry<'a>) -> usize {
        let cost = entry.cost();
        match self.find(entry.space, entry.name) {
            Some(before) => self.used - before.cost() + cost,
            None if self.has_space(entry.space) => self.used + cost,
            None => self.used + cost + space_cost(entry.space),
        }
    }

    fn insert(&mut self, entry: Entry<'a>) {
        match self.place(entry.space, entry.name) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    fn remove(&mut self, space: &str, name: &str) {
        let Ok(at) = self.place(space, name) else { return };
        self.used -= self.entries.remove(at).cost();
        if !self.has_space(space) {
            self.used -= space_cost(space);
        }
    }
}

fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::Integer(number) => Value::Integer(*number),
        Value::Decimal(number) => Value::Decimal(*number),
        Value::Boolean(value) => Value::Boolean(*value),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000);
    const ROOM: usize = 16 * 1024;

    fn key(key: &str) -> DataKey {
        let (space, name) = key.split_once('.').expect("a key");
        DataKey::new(space, name)
    }

    fn set(of: &str, value: Value<'static>) -> Edit {
        Edit::Set { key: key(of), value, expires: None, flash: false }
    }

    fn text(of: &str, value: &str) -> Edit {
        set(of, Value::Text(value.to_owned().into()))
    }

    fn add(of: &str, by: i64) -> Edit {
        Edit::Add { key: key(of), by }
    }

    fn edits(list: Vec<Edit>) -> Edits {
        Edits { space: "app".into(), list, if_version: None }
    }

    fn applied(data: &Data, list: Vec<Edit>) -> Applied {
        edits(list).apply(data, NOW, ROOM)
    }

    #[test]
    fn changes_are_merged_into_what_is_there() {
        let first = applied(&Data::default(), vec![text("app.theme", "dark")]).data;
        let second = applied(&first, vec![text("shared.lang", "ko"), add("app.visits", 2)]).data;
        let third = applied(&second, vec![add("app.visits", 3), Edit::Delete { key: key("app.theme") }]).data;
        assert_eq!(third.version(), 3);
        assert_eq!(third.get("app.visits", NOW), Some(Value::Integer(5)));
        assert_eq!(third.get("shared.lang", NOW), Some(Value::Text("ko".into())));
        assert_eq!(third.get("app.theme", NOW), None);
    }

    #[test]
    fn what_changes_nothing_leaves_the_version() {
        let data = applied(&Data::default(), vec![text("app.theme", "dark")]).data;
        let again = vec![Edit::Delete { key: key("app.theme") }, text("app.theme", "dark")];
        assert_eq!(applied(&data, again).data, data);
        assert_eq!(applied(&data, vec![Edit::Delete { key: key("app.x") }]).data, data);
        assert_eq!(applied(&data, Vec::new()).data, data);
    }

    #[test]
    fn sums_stay_integers_that_a_field_can_carry() {
        let data =
            applied(&Data::default(), vec![text("app.a", "1"), set("app.b", Value::Integer(LARGEST))]).data;
        let applied =
            applied(&data, vec![add("app.a", 1), add("app.b", 1), add("app.c", i64::MIN), add("app.d", -1)]);
        let why: Vec<_> = applied.rejected.iter().map(|(key, why)| (key.to_string(), *why)).collect();
        let expected = [
            ("app.a".to_owned(), Rejected::NotAnInteger),
            ("app.b".to_owned(), Rejected::OutOfRange),
            ("app.c".to_owned(), Rejected::OutOfRange),
        ];
        assert_eq!(why, expected);
        assert_eq!(applied.data.get("app.d", NOW), Some(Value::Integer(-1)));
    }

    #[test]
    fn an_edit_beyond_the_cap_is_refused_and_the_others_count() {
        let long = "x".repeat(80);
        let list = vec![text("app.a", &long), text("app.b", &long), text("app.c", "1")];
        let applied = edits(list).apply(&Data::default(), NOW, 100);
        assert_eq!(applied.rejected, [(key("app.b"), Rejected::Full)]);
        assert_eq!(applied.data.iter(NOW).count(), 2);
        assert!(applied.data.size() <= 100);
        // A cap that was lowered refuses what grows only.
        let shorter = edits(vec![text("app.a", &long[1..])]).apply(&applied.data, NOW, 10);
        assert_eq!(shorter.rejected, []);
    }

    #[test]
    fn what_has_expired_is_gone_and_a_sum_starts_anew() {
        let expires = Some(Timestamp::from_unix_millis(500));
        let old = Edit::Set { key: key("app.n"), value: Value::Integer(9), expires, flash: false };
        let data = edits(vec![old]).apply(&Data::default(), Timestamp::from_unix_millis(1), ROOM).data;
        assert_eq!(applied(&data, Vec::new()).data, Data::new(1, Vec::new()));
        let sum = applied(&data, vec![add("app.n", 1)]).data;
        let expires = sum.iter(Timestamp::from_unix_millis(0)).find_map(|entry| entry.expires);
        assert_eq!((sum.get("app.n", NOW), expires), (Some(Value::Integer(1)), None));
    }

    #[test]
    fn another_version_changes_nothing_and_is_told_once() {
        let data = applied(&Data::default(), vec![text("app.theme", "dark")]).data;
        let late = Edits { if_version: Some(0), ..edits(vec![text("app.theme", "light")]) };
        let refused = late.apply(&data, NOW, ROOM);
        assert!(refused.conflict);
        assert_eq!(
            (refused.data.version(), refused.data.get("app.theme", NOW)),
            (1, Some(Value::Text("dark".into())))
        );
        let told = |entry: &Entry<'_>| notes_conflict(entry, "app");
        assert_eq!(take_flash(&refused.data, NOW, |entry| notes_conflict(entry, "shop")), None);
        assert_eq!(take_flash(&refused.data, NOW, told), Some(data.clone()));
        assert_eq!(take_flash(&data, NOW, told), None);
        let right = Edits { if_version: Some(1), ..late };
        assert!(!right.apply(&data, NOW, ROOM).conflict);
    }

    #[test]
    fn a_flash_is_taken_where_it_is_delivered() {
        let flash = |of| Edit::Set { key: key(of), value: Value::Boolean(true), expires: None, flash: true };
        let data =
            applied(&Data::default(), vec![flash("app.saved"), flash("shop.saved"), add("app.n", 1)]).data;
        let rest = take_flash(&data, NOW, |entry| entry.space == "app").expect("there is one");
        let names: Vec<_> = rest.iter(NOW).map(|entry| entry.key()).collect();
        assert_eq!((names, rest.version()), (vec![("app", "n"), ("shop", "saved")], 1));
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        let key = ("(app|shared|shop)", "[a-h]").prop_map(|(space, name)| DataKey::new(&space, &name));
        let value = prop_oneof![
            "[a-z]{0,9}".prop_map(|text| Value::Text(text.into())),
            (0..9_i64).prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Boolean),
        ];
        let expires = prop::option::of((500..2_000_u64).prop_map(Timestamp::from_unix_millis));
        (key, value, expires, any::<bool>(), 0..3, -5..5_i64).prop_map(
            |(key, value, expires, flash, kind, by)| match kind {
                0 => Edit::Set { key, value, expires, flash },
                1 => Edit::Add { key, by },
                _ => Edit::Delete { key },
            },
        )
    }

    /// What a plain table would hold.
    type Model = HashMap<DataKey, (Value<'static>, Option<Timestamp>, bool)>;

    fn model(model: &mut Model, edit: &Edit, now: Timestamp) {
        model.retain(|_, (_, expires, _)| expires.is_none_or(|expires| expires > now));
        match edit.clone() {
            Edit::Set { key, value, expires, flash } => drop(model.insert(key, (value, expires, flash))),
            Edit::Delete { key } => drop(model.remove(&key)),
            Edit::Add { key, by } => {
                let entry = model.entry(key).or_insert((Value::Integer(0), None, false));
                if let Value::Integer(number) = &mut entry.0 {
                    *number += by;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_thousand_edits_leave_what_a_plain_table_would_hold(
            list in prop::collection::vec(any_edit(), 1_000),
            portion in 1..40_usize,
        ) {
            let (mut data, mut table) = (Data::default(), Model::new());
            for (at, some) in list.chunks(portion).enumerate() {
                let now = Timestamp::from_unix_millis(at as u64);
                some.iter().for_each(|edit| model(&mut table, edit, now));
                // What is set in the past is dropped with the next edits only.
                table.retain(|_, (_, expires, _)| expires.is_none_or(|expires| expires > now));
                data = edits(some.to_vec()).apply(&data, now, ROOM).data;
                prop_assert_eq!(Data::from_bytes(data.as_bytes()), Some(data.clone()));
                let held: Model = data
                    .iter(now)
                    .map(|entry| {
                        let value = match entry.value {
                            Value::Text(text) => Value::Text(text.into_owned().into()),
                            Value::Integer(number) => Value::Integer(number),
                            Value::Decimal(number) => Value::Decimal(number),
                            Value::Boolean(value) => Value::Boolean(value),
                        };
                        (DataKey::new(entry.space, entry.name), (value, entry.expires, entry.flash))
                    })
                    .collect();
                prop_assert_eq!(&held, &table);
            }
        }

        #[test]
        fn no_edits_go_beyond_the_cap(list in prop::collection::vec(any_edit(), 200), cap in 0..200_usize) {
            let data = edits(list).apply(&Data::default(), Timestamp::from_unix_millis(0), cap).data;
            prop_assert!(data.size() <= cap.max(1), "{} > {cap}", data.size());
        }
    }
}
