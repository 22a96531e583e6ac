//! Instructions: what a response says to the gateway, read strictly.
//!
//! Comes in: the `Session-*` fields of a response, under any spelling, on any number of lines. Goes out: [`Wishes`], and a
//! [`Problem`] for each header that could not be read, was too much, or said what its upstream may not. Such a header is
//! ignored as a whole; of several keys those count that may be used. The order of headers means nothing: what is deleted
//! goes first, then what is set, then what is added.

use std::borrow::Cow;
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
    let lines: Vec<Line<'_>> = fields.iter().filter(|(name, _)| is_instruction(name.as_bytes())).collect();
    let is_known = |line: &Line<'_>| INSTRUCTIONS.iter().any(|(header, _)| says(line, header));
    for (name, _) in lines.iter().filter(|line| !is_known(line)) {
        reading.problem("Session-*", format!("`{name}` is not an instruction"));
    }
    let mut room = MOST_BYTES;
    for (header, read) in INSTRUCTIONS {
        let Some(value) = said(&lines, header) else { continue };
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
    (reading.wishes, reading.problems)
}

/// A name and a value.
type Line<'f> = (&'f str, &'f [u8]);

/// What an instruction says, all its lines as one value (RFC 9651, section 4.2).
fn said<'f>(lines: &[Line<'f>], header: &str) -> Option<Cow<'f, [u8]>> {
    let mut values = lines.iter().filter(|line| says(line, header)).map(|(_, value)| *value);
    let mut all = Cow::Borrowed(values.next()?);
    for value in values {
        all.to_mut().extend_from_slice(b", ");
        all.to_mut().extend_from_slice(value);
    }
    Some(all)
}

fn says((name, _): &Line<'_>, header: &str) -> bool {
    is_same_name(name.as_bytes(), header.as_bytes())
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
        let (mut edits, mut forbidden) = (Vec::with_capacity(members.len()), Vec::new());
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

    const NOW: Timestamp = Timestamp::from_unix_millis(1_772_377_200_000); // 2026-03-01T15:00:00Z

    fn heard_with(status: u16, rights: &Rights, lines: &[(&str, &str)]) -> (Wishes, Vec<String>) {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.append(name, value));
        let status = StatusCode::from_u16(status).expect("a status");
        let (wishes, problems) =
            read(&fields, &Hearing { rights, timezone: &TimeZone::UTC, status, now: NOW });
        (wishes, problems.into_iter().map(|problem| format!("{}: {}", problem.header, problem.why)).collect())
    }

    fn heard(lines: &[(&str, &str)]) -> (Wishes, Vec<String>) {
        heard_with(200, &Rights::new("app", None, None, true), lines)
    }

    /// What an instruction asks for, where nothing is wrong with it.
    #[track_caller]
    fn wishes(lines: &[(&str, &str)]) -> Wishes {
        let (wishes, problems) = heard(lines);
        assert_eq!(problems, [] as [String; 0], "{lines:?}");
        wishes
    }

    /// Why an instruction was ignored: as a whole, and nothing else.
    #[track_caller]
    fn problem(header: &str, value: &str) -> String {
        let (wishes, problems) = heard(&[(header, value)]);
        assert!(wishes.is_empty() && problems.len() == 1, "{header}: {value} gives {wishes:?} {problems:?}");
        problems[0].clone()
    }

    fn set_to(key: &str, value: Value<'static>) -> Edit {
        let (space, name) = key.split_once('.').expect("a key");
        Edit::Set { key: DataKey::new(space, name), value, expires: None, flash: false }
    }

    fn text_of(text: &str) -> Value<'static> {
        Value::Text(text.to_owned().into())
    }

    fn after(seconds: u64) -> Option<Timestamp> {
        Some(NOW.plus(Duration::from_secs(seconds)))
    }

    #[test]
    fn every_kind_of_value_can_be_set() {
        let list = "theme=\"a \\\"b\\\" \\\\\", name=%\"%ea%b9%80 c\", n=-42, d=4.50, hide, show=?0, shared.lang=\"ko\"";
        let expected = [
            set_to("app.theme", text_of("a \"b\" \\")),
            set_to("app.name", text_of("김 c")),
            set_to("app.n", Value::Integer(-42)),
            set_to("app.d", Value::Decimal(4_500)),
            set_to("app.hide", Value::Boolean(true)),
            set_to("app.show", Value::Boolean(false)),
            set_to("shared.lang", text_of("ko")),
        ];
        let edits = wishes(&[("Session-Set", list)]).edits;
        assert_eq!((edits.list, &*edits.space, edits.if_version), (expected.to_vec(), "app", None));
    }

    #[test]
    fn lines_are_one_value_under_any_spelling() {
        let lines =
            [("Session-Set", "a=1"), ("X-Other", "b=2"), ("session_set", "c=3"), ("SESSION.SET", "a=4")];
        let expected = [set_to("app.a", Value::Integer(4)), set_to("app.c", Value::Integer(3))];
        assert_eq!(wishes(&lines).edits.list, expected, "of two members with one key the later counts");
        let (wishes, problems) = heard(&[("Session-Logout", "this"), ("Session-Logout", "all")]);
        assert_eq!((wishes.logout, problems.len()), (None, 1), "an item has one line");
    }

    #[test]
    fn changes_have_an_order_of_their_own() {
        let lines = [("Session-Add", "n=1"), ("Session-Set", "n=5"), ("Session-Delete", "n, cart")];
        let key = |name| DataKey::new("app", name);
        let expected = [
            Edit::Delete { key: key("n") },
            Edit::Delete { key: key("cart") },
            set_to("app.n", Value::Integer(5)),
            Edit::Add { key: key("n"), by: 1 },
        ];
        assert_eq!(wishes(&lines).edits.list, expected);
    }

    #[test]
    fn a_value_can_have_an_end() {
        let end = |value: &str| match &wishes(&[("Session-Set", &format!("k={value}"))]).edits.list[..] {
            [Edit::Set { expires, flash, .. }] => (*expires, *flash),
            other => panic!("{value}: {other:?}"),
        };
        assert_eq!(end("1;max-age=60"), (after(60), false));
        assert_eq!(end("1;until=\"midnight\""), (after(9 * 3600), false));
        // It is midnight in Seoul just now, so the day that begins ends in 24 hours.
        assert_eq!(end("1;until=\"midnight\";timezone=\"Asia/Seoul\""), (after(24 * 3600), false));
        assert_eq!(end("1;until=midnight;timezone=Asia/Seoul"), (after(24 * 3600), false));
        assert_eq!(end("1;until=\"midnight\";max-age=60"), (after(60), false), "the earlier one");
        assert_eq!(end("1;flash"), (None, true));
        assert_eq!(end("1;flash=?0;unknown=7"), (None, false));
        assert!(end("1;max-age=999999999999999").0 > after(1));
        for over in ["max-age=0", "max-age=-5"] {
            let edits = wishes(&[("Session-Set", &format!("k=1;{over}"))]).edits.list;
            assert_eq!(edits, [Edit::Delete { key: DataKey::new("app", "k") }]);
        }
    }

    #[test]
    fn midnight_is_where_the_configuration_says() {
        let (rights, mut fields) = (Rights::new("app", None, None, false), Fields::new());
        fields.append("Session-Set", "k=1;until=\"midnight\"");
        let timezone = &midnight::zone("America/New_York").expect("a zone");
        let hearing = Hearing { rights: &rights, timezone, status: StatusCode::OK, now: NOW };
        let (wishes, _) = read(&fields, &hearing);
        let [Edit::Set { expires, .. }] = wishes.edits.list[..] else { panic!("{wishes:?}") };
        assert_eq!(expires, after(14 * 3600));
    }

    #[test]
    fn one_that_cannot_be_read_is_ignored_as_a_whole() {
        let cases = [
            "a=1, b=",
            "a=1,",
            ", a=1",
            "a=1;;b",
            "A=1",
            "a=1 b=2",
            "a=\"x",
            "a=\"\u{e9}\"",
            "a=%\"%e9\"",
            "a=%\"%EA\"",
            "a=1000000000000000",
            "a=1.2345",
            "a=1.",
            "a=(1 2)",
            "a=dark",
            "a=:aGk=:",
            "a=@1700000000",
            "a=1, b=dark",
            "a=1;max-age=\"60\"",
            "a=1;max-age=1.5",
            "a=1;until=\"noon\"",
            "a=1;until=1",
            "a=1;flash=1",
            "a=1;until=\"midnight\";timezone=\"Mars/Olympus\"",
            "a=1;timezone=1",
        ];
        for value in cases {
            assert!(problem("Session-Set", value).starts_with("Session-Set: "), "{value}");
        }
        problem("Session-Set", &format!("a=1, {}=2", "k".repeat(65)));
        wishes(&[("Session-Set", &format!("{}=2", "k".repeat(64)))]);
        for value in ["n", "n=1.5", "n=\"1\"", "m=1, n=?1"] {
            problem("Session-Add", value);
        }
        for value in ["a=1", "a=?0", "(a b)", "\"a\""] {
            problem("Session-Delete", value);
        }
        // What is wrong with one header is no reason to ignore another.
        let (wishes, problems) =
            heard(&[("Session-Set", "a=1"), ("Session-Add", "n=x"), ("Session-Expires", "60")]);
        assert_eq!((wishes.edits.list.len(), wishes.idle.is_some(), problems.len()), (1, true, 1));
    }

    #[test]
    fn an_upstream_writes_what_it_may_and_the_rest_is_said() {
        let (wishes, problems) = heard(&[("Session-Set", "shop.cart=1, theme=\"dark\", app..conflict=1")]);
        assert_eq!(wishes.edits.list, [set_to("app.theme", text_of("dark"))]);
        let expected = ["shop.cart", "app..conflict"]
            .map(|key| format!("Session-Set: this upstream may not write `{key}` on this route"));
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_condition_that_cannot_be_read_lets_nothing_change() {
        assert_eq!(wishes(&[("Session-If-Version", "7"), ("Session-Set", "a=1")]).edits.if_version, Some(7));
        for version in ["", "seven", "-1", "7.0", "7, 8", "1000000000000000"] {
            let lines = [
                ("Session-Set", "a=1"),
                ("Session-Add", "n=1"),
                ("Session-Delete", "b"),
                ("Session-If-Version", version),
                ("Session-Expires", "60"),
            ];
            let (wishes, problems) = heard(&lines);
            assert!(wishes.edits.is_empty() && wishes.edits.if_version.is_none(), "{version}: {wishes:?}");
            assert_eq!((problems.len(), wishes.idle.is_some()), (4, true), "{version}: {problems:?}");
        }
    }

    #[test]
    fn somebody_is_logged_in_where_the_route_allows_it() {
        let value = "%\"%ea%b9%80\";groups=\"staff  finance\";name=\"Alice\";email=\"a@b.c\"";
        let login = wishes(&[("Session-Login", value)]).login.expect("a login");
        assert_eq!((login.user(), login.name(), login.email()), ("김", Some("Alice"), Some("a@b.c")));
        assert_eq!(login.groups().collect::<Vec<_>>(), ["staff", "finance"]);
        let alone = wishes(&[("Session-Login", "\"alice\";name=\"\"")]).login.expect("a login");
        assert_eq!((alone.name(), alone.email(), alone.groups().count()), (None, None, 0));
        for value in
            ["alice", "1", "\"\"", "%\"a%0ab\"", "\"alice\";groups=1", "\"alice\";email=a", "\"a\", \"b\""]
        {
            problem("Session-Login", value);
        }
        let refused =
            heard_with(200, &Rights::new("app", None, None, false), &[("Session-Login", "\"alice\"")]);
        assert_eq!(refused.0.login, None);
        assert_eq!(refused.1, ["Session-Login: this route's `session.login` does not allow it"]);
    }

    #[test]
    fn a_session_ends_or_gets_a_limit_of_its_own() {
        for (value, scope) in [("this", Scope::This), ("others", Scope::Others), ("\"all\"", Scope::All)] {
            assert_eq!(wishes(&[("Session-Logout", value)]).logout, Some(scope));
        }
        for value in ["", "yes", "?1", "1", "This"] {
            problem("Session-Logout", value);
        }
        let idle = |value| wishes(&[("Session-Expires", value)]).idle;
        let seconds = |seconds| NonZeroU32::new(seconds).map(Idle::Seconds);
        assert_eq!((idle("600"), idle("999999999999999")), (seconds(600), seconds(u32::MAX)));
        assert_eq!((idle("browser"), idle("\"browser\"")), (Some(Idle::Browser), Some(Idle::Browser)));
        for value in ["0", "-1", "1.5", "never", "600, 700"] {
            problem("Session-Expires", value);
        }
    }

    #[test]
    fn a_response_that_failed_can_only_log_out() {
        let lines = [
            ("Session-Set", "a=1"),
            ("Session-Add", "n=x"),
            ("Session-Login", "\"alice\""),
            ("Session-Expires", "60"),
            ("Session-If-Version", "x"),
            ("Session-Logout", "all"),
        ];
        let rights = Rights::new("app", None, None, true);
        for status in [500, 503, 599] {
            let (wishes, problems) = heard_with(status, &rights, &lines);
            assert!(wishes.edits.is_empty() && wishes.login.is_none() && wishes.idle.is_none(), "{wishes:?}");
            assert_eq!((wishes.logout, problems.len()), (Some(Scope::All), 0));
        }
        let (wishes, _) = heard_with(404, &rights, &lines[..1]);
        assert_eq!(wishes.edits.list.len(), 1, "an error of the client's is an answer");
    }

    #[test]
    fn what_is_too_much_is_ignored_and_a_logout_finds_room() {
        let (many, long) = (
            |prefix: &str, count| (0..count).map(|n| format!("{prefix}{n}=1")).collect::<Vec<_>>().join(", "),
            format!("a=\"{}\"", "x".repeat(MOST_BYTES)),
        );
        assert_eq!(wishes(&[("Session-Set", &many("k", 256))]).edits.list.len(), 256);
        assert!(problem("Session-Set", &many("k", 257)).contains("more than 256 changes"));
        let (both, problems) = heard(&[("Session-Set", &many("k", 200)), ("Session-Add", &many("n", 57))]);
        assert_eq!((both.edits.list.len(), problems.len()), (200, 1));
        let (both, problems) =
            heard(&[("Session-Set", &long), ("Session-Add", "n=1"), ("Session-Logout", "this")]);
        assert_eq!((both.edits.list.len(), both.logout), (1, Some(Scope::This)));
        assert!(problems.len() == 1 && problems[0].starts_with("Session-Set: all instructions together"));
    }

    #[test]
    fn what_is_no_instruction_is_said() {
        let (wishes, problems) =
            heard(&[("Session-Sett", "a=1"), ("Session-Data", "a=1"), ("Sessions", "1")]);
        assert!(wishes.is_empty());
        let expected = ["Session-Sett", "Session-Data"];
        assert_eq!(problems, expected.map(|name| format!("Session-*: `{name}` is not an instruction")));
        assert!(self::wishes(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            lines in prop::collection::vec(
                (
                    prop::sample::select(INSTRUCTIONS.map(|(header, _)| header).to_vec()),
                    prop_oneof![
                        "[ -~]{0,40}".prop_map(String::into_bytes),
                        "[a-c]{1,2}(=(\"[ -~]{0,4}\"|%\"[a-f%0-9]{0,6}\"|-?[0-9.]{1,16}|\\?[01]))?(;(max-age|until|flash|timezone|groups)(=(\"(midnight|UTC|x)\"|-?[0-9]{1,15}))?){0,2}"
                            .prop_map(String::into_bytes),
                        prop::collection::vec(any::<u8>().prop_filter("no line feed", |byte| !b"\r\n\0".contains(byte)), 0..40),
                    ],
                ),
                0..6,
            ),
        ) {
            let mut fields = Fields::new();
            lines.iter().for_each(|(name, value)| fields.append(name, value));
            let rights = Rights::new("app", None, None, true);
            let hearing = Hearing { rights: &rights, timezone: &TimeZone::UTC, status: StatusCode::OK, now: NOW };
            let (wishes, _) = read(&fields, &hearing);
            for edit in &wishes.edits.list {
                prop_assert!(["app", "shared"].contains(&&*edit.key().space));
            }
            // Whatever was understood can be carried out, and is data afterwards.
            let data = wishes.edits.apply(&crate::session::data::Data::default(), NOW, 1 << 20).data;
            prop_assert_eq!(crate::session::data::Data::from_bytes(data.as_bytes()), Some(data));
        }
    }
}
