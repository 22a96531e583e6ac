//! Instructions: what a response says to the gateway, read strictly.
//!
//! Comes in: the `Session-*` fields of a response, under any spelling, on any number of lines. Goes out: [`Wishes`], and a
//! [`Problem`] for each header that could not be read, was too much, or said what its upstream may not. Such a header is
//! ignored as a whole; of several keys those count that may be used. The order of headers means nothing: what is deleted
//! goes first, then what is set, then what is added.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;
use jiff::tz::TimeZone;
use sfv::{BareItem, Dictionary, FieldType, Item, ListEntry, Parameters, Parser};

use super::{Idle, Problem, Scope, Wishes, midnight};
use crate::clock::Timestamp;
use crate::headers::{is_instruction, is_same_name};
use crate::identity::Identity;
use crate::message::Fields;
use crate::session::data::{DataKey, Value};
use crate::session::edit::{Edit, Edits};
use crate::session::rights::{LONGEST_NAME, Rights, Use};

/// What has to be known to understand an instruction.
#[derive(Clone, Copy, Debug)]
pub struct Hearing<'a> {
    /// What the upstream may say.
    pub rights: &'a Rights,
    /// Where midnight is, unless the instruction says so itself.
    pub timezone: &'a TimeZone,
    /// The response's status: one of 5xx can only log out.
    pub status: StatusCode,
    /// The time now.
    pub now: Timestamp,
}

/// Bytes of all instructions of one response.
const MOST_BYTES: usize = 16 * 1024;

/// Changes of one response.
const MOST_EDITS: usize = 256;

const LOGOUT: &str = "Session-Logout";
const IF_VERSION: &str = "Session-If-Version";

/// All instructions, in the order in which they are read. The end of a session must find room before anything else.
const INSTRUCTIONS: [(&str, Read); 7] = [
    (LOGOUT, |reading, header, value| reading.logout(header, value)),
    ("Session-Login", |reading, header, value| reading.login(header, value)),
    ("Session-Expires", |reading, header, value| reading.expires(header, value)),
    (IF_VERSION, |reading, header, value| reading.if_version(header, value)),
    ("Session-Delete", |reading, header, value| reading.delete(header, value)),
    ("Session-Set", |reading, header, value| reading.set(header, value)),
    ("Session-Add", |reading, header, value| reading.add(header, value)),
];

type Read = fn(&mut Reading<'_>, &'static str, &[u8]) -> Result<(), String>;

/// Reads the instructions of a response.
pub fn read(fields: &Fields, hearing: &Hearing<'_>) -> (Wishes, Vec<Problem>) {
    let edits = Edits { space: hearing.rights.space().into(), ..Edits::default() };
    let wishes = Wishes { edits, ..Wishes::default() };
    let mut reading = Reading { hearing, wishes, problems: Vec::new(), unconditional: true };
    let mut room = MOST_BYTES;
    for (header, read) in INSTRUCTIONS {
        let Some(value) = joined(fields, header) else { continue };
        if hearing.status.is_server_error() && header != LOGOUT {
            continue;
        }
        let outcome = match room.checked_sub(value.len()) {
            Some(rest) => {
                room = rest;
                read(&mut reading, header, &value)
            }
            None => Err(format!("all instructions together are longer than {MOST_BYTES} bytes")),
        };
        if let Err(why) = outcome {
            // Changes with a condition that cannot be read must not be carried out without it.
            reading.unconditional &= header != IF_VERSION;
            reading.problem(header, why);
        }
    }
    let known =
        |name: &str| INSTRUCTIONS.iter().any(|(header, _)| is_same_name(name.as_bytes(), header.as_bytes()));
    for (name, _) in fields.iter().filter(|(name, _)| is_instruction(name.as_bytes()) && !known(name)) {
        reading.problem("Session-*", format!("`{name}` is not an instruction"));
    }
    (reading.wishes, reading.problems)
}

/// All lines of a field as one value (RFC 9651, section 4.2).
fn joined(fields: &Fields, header: &str) -> Option<Vec<u8>> {
    let ours = fields.iter().filter(|(name, _)| is_same_name(name.as_bytes(), header.as_bytes()));
    ours.map(|(_, value)| value.to_vec()).reduce(|mut all, value| {
        all.extend_from_slice(b", ");
        all.extend_from_slice(&value);
        all
    })
}

struct Reading<'a> {
    hearing: &'a Hearing<'a>,
    wishes: Wishes,
    problems: Vec<Problem>,
    /// No condition was given that could not be read.
    unconditional: bool,
}

impl Reading<'_> {
    fn problem(&mut self, header: &'static str, why: String) {
        self.problems.push(Problem { header, why });
    }

    fn logout(&mut self, _: &'static str, value: &[u8]) -> Result<(), String> {
        let item: Item = parsed(value)?;
        self.wishes.logout = Some(match word(&item.bare_item) {
            Some("this") => Scope::This,
            Some("others") => Scope::Others,
            Some("all") => Scope::All,
            _ => return Err("expected `this`, `others` or `all`".to_owned()),
        });
        Ok(())
    }

    fn login(&mut self, _: &'static str, value: &[u8]) -> Result<(), String> {
        if !self.hearing.rights.may_log_in() {
            return Err("this route's `session.login` does not allow it".to_owned());
        }
        let item: Item = parsed(value)?;
        let user = text(&item.bare_item).ok_or("the user name is not a string")?;
        let fact = |name: &str| match item.params.get(name) {
            None => Ok(None),
            Some(value) => text(value).map(Some).ok_or(format!("`{name}` is not a string")),
        };
        let (email, name, groups) = (fact("email")?, fact("name")?, fact("groups")?.unwrap_or_default());
        let groups: Vec<_> = groups.split_ascii_whitespace().map(str::to_owned).collect();
        let known = |fact: Option<&'_ str>| fact.filter(|fact| !fact.is_empty()).map(str::to_owned);
        let identity = Identity::new(user, known(email).as_deref(), known(name).as_deref(), &groups);
        self.wishes.login = Some(identity.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn expires(&mut self, _: &'static str, value: &[u8]) -> Result<(), String> {
        let item: Item = parsed(value)?;
        let seconds = item.bare_item.as_integer().map(i64::from).filter(|seconds| *seconds > 0);
        let seconds = seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        self.wishes.idle = Some(match (seconds.and_then(NonZeroU32::new), word(&item.bare_item)) {
            (Some(seconds), _) => Idle::Seconds(seconds),
            (None, Some("browser")) => Idle::Browser,
            _ => return Err("expected seconds, more than 0, or `browser`".to_owned()),
        });
        Ok(())
    }

    fn if_version(&mut self, _: &'static str, value: &[u8]) -> Result<(), String> {
        let item: Item = parsed(value)?;
        let version = item.bare_item.as_integer().and_then(|version| u64::try_from(i64::from(version)).ok());
        self.wishes.edits.if_version = Some(version.ok_or("expected a version: a whole number")?);
        Ok(())
    }

    fn delete(&mut self, header: &'static str, value: &[u8]) -> Result<(), String> {
        self.each_member(header, value, |_, key, item| match item.bare_item {
            BareItem::Boolean(true) => Ok(Edit::Delete { key }),
            _ => Err("expected names of keys only".to_owned()),
        })
    }

    fn add(&mut self, header: &'static str, value: &[u8]) -> Result<(), String> {
        self.each_member(header, value, |_, key, item| match item.bare_item {
            BareItem::Integer(by) => Ok(Edit::Add { key, by: by.into() }),
            _ => Err(format!("`{}` is not given a whole number", key.name)),
        })
    }

    fn set(&mut self, header: &'static str, value: &[u8]) -> Result<(), String> {
        self.each_member(header, value, set)
    }

    /// Makes an edit of each member of a dictionary. One that cannot be read spoils all of them.
    fn each_member(
        &mut self,
        header: &'static str,
        value: &[u8],
        edit: impl Fn(&Hearing<'_>, DataKey, &Item) -> Result<Edit, String>,
    ) -> Result<(), String> {
        if !self.unconditional {
            return Err(format!("the condition, `{IF_VERSION}`, was ignored"));
        }
        let members: Dictionary = parsed(value)?;
        let (mut edits, mut forbidden) = (Vec::new(), Vec::new());
        for (key, member) in &members {
            let key = key.as_str();
            let ListEntry::Item(item) = member else { return Err(format!("`{key}` is given a list")) };
            let name = key.split_once('.').map_or(key, |(_, name)| name);
            if name.len() > LONGEST_NAME {
                return Err(format!("a key is longer than {LONGEST_NAME} bytes"));
            }
            let internal = self.hearing.rights.to_internal(key, Use::Write);
            let permitted = internal.is_some();
            let internal = internal.unwrap_or_else(|| DataKey::new("", name));
            let edit = edit(self.hearing, internal, item)?;
            if permitted { edits.push(edit) } else { forbidden.push(key) }
        }
        if self.wishes.edits.list.len() + edits.len() > MOST_EDITS {
            return Err(format!("more than {MOST_EDITS} changes in one response"));
        }
        self.wishes.edits.list.append(&mut edits);
        for key in forbidden {
            self.problem(header, format!("this upstream may not write `{key}` on this route"));
        }
        Ok(())
    }
}

/// `theme="dark"`, with its parameters; those that we do not know are passed over, as RFC 9651 wants it.
fn set(hearing: &Hearing<'_>, key: DataKey, item: &Item) -> Result<Edit, String> {
    let value = match &item.bare_item {
        BareItem::Integer(number) => Value::Integer((*number).into()),
        BareItem::Decimal(number) => Value::Decimal(number.as_integer_scaled_1000().into()),
        BareItem::Boolean(value) => Value::Boolean(*value),
        other => match text(other) {
            Some(text) => Value::Text(text.to_owned().into()),
            None => {
                return Err(format!("`{}` is not given a string, a number or a boolean", key.name));
            }
        },
    };
    let flash = match item.params.get("flash") {
        None => false,
        Some(BareItem::Boolean(flash)) => *flash,
        Some(_) => return Err("`flash` is true or false".to_owned()),
    };
    let (age, end) = (max_age(&item.params, hearing.now)?, until(&item.params, hearing)?);
    let expires = [age, end].into_iter().flatten().min();
    if expires.is_some_and(|expires| expires <= hearing.now) {
        return Ok(Edit::Delete { key });
    }
    Ok(Edit::Set { key, value, expires, flash })
}

fn max_age(params: &Parameters, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let Some(age) = params.get("max-age") else { return Ok(None) };
    let age = age.as_integer().ok_or("`max-age` is not a number of seconds")?;
    // A negative age is over, as it is with cookies.
    Ok(Some(now.plus(Duration::from_secs(u64::try_from(i64::from(age)).unwrap_or(0)))))
}

fn until(params: &Parameters, hearing: &Hearing<'_>) -> Result<Option<Timestamp>, String> {
    let zone = match params.get("timezone") {
        None => None,
        Some(name) => {
            let zone = word(name).and_then(midnight::zone);
            Some(zone.ok_or("`timezone` is not one that is known, such as `Asia/Seoul`")?)
        }
    };
    match params.get("until").map(word) {
        None => Ok(None),
        Some(Some("midnight")) => {
            let midnight = midnight::next(hearing.now, zone.as_ref().unwrap_or(hearing.timezone));
            midnight.map(Some).ok_or("there is no midnight any more".to_owned())
        }
        Some(_) => Err("`until` can be `midnight`".to_owned()),
    }
}

fn parsed<T: FieldType>(value: &[u8]) -> Result<T, String> {
    Parser::new(value).parse().map_err(|error: sfv::Error| error.to_string())
}

/// A string, in whichever form it was written.
fn text(item: &BareItem) -> Option<&str> {
    match item {
        BareItem::String(text) => Some(text.as_str()),
        BareItem::DisplayString(text) => Some(text),
        _ => None,
    }
}

/// A word that we know, as a token or a string.
fn word(item: &BareItem) -> Option<&str> {
    match item {
        BareItem::Token(word) => Some(word.as_str()),
        other => text(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_000);

    fn heard_by(rights: &Rights, status: u16, lines: &[(&str, &[u8])]) -> (Wishes, Vec<Problem>) {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value);
        }
        let status = StatusCode::from_u16(status).expect("a status");
        read(&fields, &Hearing { rights, timezone: &TimeZone::UTC, status, now: NOW })
    }

    fn heard(lines: &[(&str, &str)]) -> (Wishes, Vec<Problem>) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        heard_by(&Rights::new("app", None, None, true), 200, &lines)
    }

    fn set(name: &str, value: Value<'static>) -> Edit {
        Edit::Set { key: DataKey::new("app", name), value, expires: None, flash: false }
    }

    #[test]
    fn values_of_every_kind_are_understood() {
        let (wishes, problems) = heard(&[(
            "Session-Set",
            "t=\"dark\", n=-3, d=4.5, yes, no=?0, k=%\"%ea%b9%80\", shared.x=1;new",
        )]);
        let expected = [
            set("t", Value::Text("dark".into())),
            set("n", Value::Integer(-3)),
            set("d", Value::Decimal(4_500)),
            set("yes", Value::Boolean(true)),
            set("no", Value::Boolean(false)),
            set("k", Value::Text("김".into())),
            Edit::Set {
                key: DataKey::new("shared", "x"),
                value: Value::Integer(1),
                expires: None,
                flash: false,
            },
        ];
        assert_eq!((wishes.edits.list, problems), (expected.to_vec(), Vec::new()));
    }

    #[test]
    fn values_end_when_they_are_told_to() {
        let midnight = Timestamp::from_unix_millis(86_400_000);
        let seoul = Timestamp::from_unix_millis(15 * 3_600_000);
        let cases = [
            ("a=1;max-age=60", Some(Timestamp::from_unix_millis(61_000))),
            ("a=1;until=\"midnight\"", Some(midnight)),
            ("a=1;until=midnight;timezone=\"Asia/Seoul\"", Some(seoul)),
            ("a=1;until=midnight;max-age=999999999", Some(midnight)),
        ];
        for (line, end) in cases {
            let (wishes, problems) = heard(&[("Session-Set", line)]);
            let [Edit::Set { expires, flash: false, .. }] = &wishes.edits.list[..] else { panic!("{line}") };
            assert_eq!((*expires, problems), (end, Vec::new()), "{line}");
        }
        for over in ["a=1;max-age=0", "a=1;max-age=-5;flash"] {
            let deleted = [Edit::Delete { key: DataKey::new("app", "a") }];
            assert_eq!(heard(&[("Session-Set", over)]).0.edits.list, deleted);
        }
        let (wishes, _) = heard(&[("Session-Set", "a=1;flash")]);
        assert!(matches!(&wishes.edits.list[..], [Edit::Set { flash: true, .. }]));
    }

    #[test]
    fn lines_under_any_spelling_are_one_field_and_deleting_goes_first() {
        let lines =
            [("session_set", "a=1"), ("SESSION-SET", "b=2"), ("Session-Add", "n=1"), ("Session-Delete", "a")];
        let (wishes, problems) = heard(&lines);
        let key = |name| DataKey::new("app", name);
        let expected = [
            Edit::Delete { key: key("a") },
            set("a", Value::Integer(1)),
            set("b", Value::Integer(2)),
            Edit::Add { key: key("n"), by: 1 },
        ];
        assert_eq!((wishes.edits.list, problems), (expected.to_vec(), Vec::new()));
    }

    #[test]
    fn what_cannot_be_understood_is_passed_over_whole() {
        for (header, value) in [
            ("Session-Set", "a=1, b=(1 2)"),
            ("Session-Set", "a=1, b=token"),
            ("Session-Set", "a=\"open"),
            ("Session-Set", "a=1;until=noon"),
            ("Session-Set", "a=1;max-age=soon"),
            ("Session-Set", "a=1;flash=1"),
            ("Session-Set", "a=1;until=midnight;timezone=\"Mars\""),
            ("Session-Add", "a=1, b=1.5"),
            ("Session-Delete", "a, b=1"),
            ("Session-Expires", "0"),
            ("Session-Expires", "soon"),
            ("Session-Logout", "everybody"),
            ("Session-Login", "7"),
            ("Session-Login", "\"\""),
            ("Session-Login", "\"a\", \"b\""),
            ("Session-If-Version", "-1"),
            ("Session-Data", "a=1"),
        ] {
            let (wishes, problems) = heard(&[(header, value)]);
            assert!(wishes.is_empty() && problems.len() == 1, "{header}: {value}: {wishes:?}, {problems:?}");
        }
        let long = format!("{}=1", "a".repeat(LONGEST_NAME + 1));
        assert!(heard(&[("Session-Set", &long)]).0.is_empty());
    }

    #[test]
    fn of_several_keys_those_count_that_may_be_used() {
        let (wishes, problems) = heard(&[("Session-Set", "a=1, shop.b=2")]);
        assert_eq!(wishes.edits.list, [set("a", Value::Integer(1))]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].why.contains("`shop.b`"));
        let no_login = Rights::new("app", None, None, false);
        let (wishes, problems) = heard_by(&no_login, 200, &[("Session-Login", b"\"mallory\"")]);
        assert!(wishes.is_empty() && problems.len() == 1);
    }

    #[test]
    fn changes_with_a_condition_that_cannot_be_read_are_not_carried_out() {
        let (wishes, problems) =
            heard(&[("Session-Set", "a=1"), ("Session-If-Version", "new"), ("Session-Logout", "all")]);
        assert_eq!((wishes.edits.list, wishes.logout, problems.len()), (Vec::new(), Some(Scope::All), 2));
        let (wishes, _) = heard(&[("Session-Set", "a=1"), ("Session-If-Version", "7")]);
        assert_eq!((wishes.edits.list.len(), wishes.edits.if_version), (1, Some(7)));
    }

    #[test]
    fn an_error_can_only_log_out() {
        let rights = Rights::new("app", None, None, true);
        let lines: [(&str, &[u8]); 3] =
            [("Session-Set", b"a=1"), ("Session-Login", b"\"alice\""), ("Session-Logout", b"this")];
        let (wishes, problems) = heard_by(&rights, 503, &lines);
        assert_eq!((wishes.logout, wishes.login, problems), (Some(Scope::This), None, Vec::new()));
        assert!(wishes.edits.is_empty());
    }

    #[test]
    fn too_much_is_too_much_and_a_logout_finds_room() {
        let many: Vec<_> = (0..=MOST_EDITS).map(|n| format!("k{n}=1")).collect();
        let (wishes, problems) = heard(&[("Session-Set", &many.join(", ")), ("Session-Add", "n=1")]);
        assert_eq!((wishes.edits.list.len(), problems.len()), (1, 1));
        let long = format!("a=\"{}\"", "x".repeat(MOST_BYTES));
        let (wishes, problems) = heard(&[("Session-Set", &long), ("Session-Logout", "others")]);
        assert_eq!((wishes.edits.list, wishes.logout), (Vec::new(), Some(Scope::Others)));
        assert_eq!(problems.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_that_a_response_says_is_a_panic_or_reaches_further_than_its_rights(
            lines in prop::collection::vec(
                (
                    prop::sample::select(INSTRUCTIONS.map(|(header, _)| header).to_vec()),
                    prop_oneof![
                        prop::collection::vec(any::<u8>(), 0..40),
                        "[a-z.*=?0-9;\", %()-]{0,40}".prop_map(String::into_bytes),
                        "(shop|app|shared)?\\.?[a-c*]=[0-9]{1,3}(;max-age=-?[0-9]{1,15})?".prop_map(String::into_bytes),
                    ],
                ),
                0..6,
            ),
        ) {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            let (wishes, _) = heard_by(&Rights::new("app", None, None, false), 200, &lines);
            prop_assert!(wishes.login.is_none());
            for edit in &wishes.edits.list {
                prop_assert!(["app", "shared"].contains(&&*edit.key().space), "{edit:?}");
            }
        }
    }
}
