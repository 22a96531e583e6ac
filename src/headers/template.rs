//! Template: what a header says of a person, in the operator's words.
//!
//! Comes in: a text such as `{user} <{email}>` or `{groups|;}`, once; then a person. Goes out: the text with what is known
//! of them, in one of three encodings. Never lets a name end a line, and never two members of a list look like one or one
//! like two.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::identity::{Identity, header_safe};

/// How header values say what is not visible ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `%EA%B9%80`, and `%25` for `%`; a character that separates is encoded within a member of a list.
    #[default]
    Percent,
    /// `UTF-8''%EA%B9%80` for the whole value, where it holds anything beyond visible ASCII (RFC 8187, section 3.2).
    Rfc8187,
    /// The bytes of UTF-8.
    Utf8,
}

/// What stays as it is in a value of RFC 8187 (`attr-char`).
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What a value in the form of RFC 8187 begins with.
const EXTENDED_START: &str = "UTF-8''";

/// A text with places for what is known of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    One(Fact),
    Many(List, Option<String>),
}

/// What there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    User,
    Email,
    Name,
}

/// What there may be several of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum List {
    Groups,
    Claim(String),
}

/// Why a text is not a template. Each says what to write instead, after a line feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// `{` without `}`, or the other way round.
    #[error("a brace has no partner\nwrite `{{{{` and `}}}}` for braces that are meant as such")]
    Brace,
    /// Nobody knows what is meant.
    #[error(
        "`{{{0}}}` is not known\nwrite {{user}}, {{email}}, {{name}}, {{groups}} or {{claims.department}}"
    )]
    Unknown(String),
    /// A separator where there is nothing to separate, or one that would be taken for something else.
    #[error(
        "`{0}` does not separate the members of a list\nwrite {{groups|;}}: punctuation, without letters, digits or `%`"
    )]
    Separator(String),
    /// Control characters, blanks at the ends, or nothing at all.
    #[error("this cannot be sent as a header value\nno control characters, and no blanks at the ends")]
    Text,
}

/// How lists and characters are written.
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// For what is not visible ASCII.
    pub encoding: Encoding,
    /// Between members of a list where the template names no other.
    pub separator: &'a str,
    /// Bytes of a value.
    pub room: usize,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return Err(InvalidTemplate::Text);
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let (inner, after) =
                rest.split_once('}').filter(|_| brace == "{").ok_or(InvalidTemplate::Brace)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::parse(inner)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether it says the same of everybody.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether everything in it can be sent with this encoding: the operator's own words are not encoded.
    pub fn suits(&self, encoding: Encoding) -> bool {
        let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        encoding != Encoding::Percent
            || self.0.iter().all(|part| !matches!(part, Part::Text(text) if !plain(text)))
    }

    /// The value for somebody, unless nothing of it is known or there is no room; and how much was left out.
    pub fn render(&self, identity: &Identity, style: Style<'_>) -> (Option<String>, usize) {
        let (mut value, mut known, mut left_out) = (String::new(), self.is_constant(), 0);
        // How long it is without blanks of the operator's at its end: what stood behind them is not known.
        let mut end = 0;
        for part in &self.0 {
            let before = value.len();
            match part {
                Part::Text(text) if value.is_empty() => value.push_str(text.trim_start()),
                Part::Text(text) => value.push_str(text),
                Part::One(fact) => {
                    let fact = fact.of(identity);
                    known |= fact.is_some();
                    value.push_str(&encoded(fact.unwrap_or_default(), style.encoding, ""));
                }
                Part::Many(list, own) => {
                    let separator = own.as_deref().unwrap_or(style.separator);
                    let room = style.room.saturating_sub(value.len());
                    let (text, out) = join(list.of(identity), Style { separator, room, ..style });
                    known |= !text.is_empty();
                    left_out += out;
                    value.push_str(&text);
                }
            }
            end = match part {
                Part::Text(_) => end.max(value.trim_end().len()),
                _ if value.len() == before => end,
                _ => value.len(),
            };
        }
        value.truncate(end);
        if !known {
            return (None, left_out);
        }
        let value = finished(value, style.encoding);
        if value.len() > style.room { (None, left_out + 1) } else { (Some(value), left_out) }
    }

    /// The plain text for somebody; `None` where something of it is not known.
    pub fn text(&self, identity: Option<&Identity>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::One(fact) => text.push_str(fact.of(identity?)?),
                Part::Many(list, separator) => {
                    let members: Vec<_> = list.of(identity?).collect();
                    text.push_str(&members.join(separator.as_deref().unwrap_or(",")));
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

impl Part {
    fn parse(inner: &str) -> Result<Self, InvalidTemplate> {
        let (name, separator) = match inner.split_once('|') {
            Some((name, separator)) => (name, Some(separator)),
            None => (inner, None),
        };
        let list = match name.strip_prefix("claims.") {
            Some(claim) if !claim.is_empty() => Some(List::Claim(claim.to_owned())),
            _ => (name == "groups").then_some(List::Groups),
        };
        if let Some(separator) = separator
            && (list.is_none() || !separates(separator))
        {
            return Err(InvalidTemplate::Separator(separator.to_owned()));
        }
        match (name, list) {
            (_, Some(list)) => Ok(Part::Many(list, separator.map(str::to_owned))),
            ("user", None) => Ok(Part::One(Fact::User)),
            ("email", None) => Ok(Part::One(Fact::Email)),
            ("name", None) => Ok(Part::One(Fact::Name)),
            _ => Err(InvalidTemplate::Unknown(inner.to_owned())),
        }
    }
}

impl Fact {
    fn of(self, identity: &Identity) -> Option<&str> {
        match self {
            Fact::User => Some(identity.user()),
            Fact::Email => identity.email(),
            Fact::Name => identity.name(),
        }
    }
}

impl List {
    fn of<'i>(&'i self, identity: &'i Identity) -> Box<dyn Iterator<Item = &'i str> + 'i> {
        match self {
            List::Groups => Box::new(identity.groups()),
            List::Claim(name) => Box::new(identity.claim(name)),
        }
    }
}

/// Whether a text can stand between the members of a list: nothing a member is encoded with.
pub fn separates(text: &str) -> bool {
    let punctuation = |byte: u8| byte.is_ascii_punctuation() && byte != b'%';
    !text.is_empty() && text.bytes().all(|byte| byte == b' ' || punctuation(byte))
}

/// The members of a list as one value, and how many were left out: for want of room, or because one that is not encoded
/// would look like two.
pub fn join<'m>(members: impl Iterator<Item = &'m str>, style: Style<'_>) -> (String, usize) {
    let Style { encoding, separator, room } = style;
    // Blanks around punctuation do not separate: members may hold them.
    let marks = if separator.trim().is_empty() { separator } else { separator.trim() };
    let mut text = String::new();
    let (mut used, mut left_out) = (0, 0);
    for member in members {
        let ambiguous = encoding != Encoding::Percent && member.contains(|c| marks.contains(c));
        let member = encoded(member, encoding, marks);
        let between = if text.is_empty() { "" } else { separator };
        let size = match encoding {
            Encoding::Rfc8187 => {
                utf8_percent_encode(&member, EXTENDED).map(str::len).sum::<usize>() + 3 * between.len()
            }
            _ => member.len() + between.len(),
        };
        if ambiguous || used + size > room {
            left_out += 1;
            continue;
        }
        used += size;
        text.push_str(between);
        text.push_str(&member);
    }
    (text, left_out)
}

/// One fact as a value of its own.
pub fn one(fact: &str, encoding: Encoding) -> String {
    finished(encoded(fact, encoding, ""), encoding)
}

/// A piece of a value.
fn encoded(piece: &str, encoding: Encoding, marks: &str) -> String {
    match encoding {
        Encoding::Percent => header_safe(piece, marks),
        Encoding::Rfc8187 | Encoding::Utf8 => piece.to_owned(),
    }
}

/// A whole value of such pieces.
pub fn finished(value: String, encoding: Encoding) -> String {
    let trimmed = value.trim() == value;
    match encoding {
        Encoding::Percent => value,
        // Blanks at the ends are lost on the way, and another name would arrive.
        Encoding::Utf8 if trimmed => value,
        Encoding::Utf8 => {
            let inner = value.trim();
            let (start, end) = value.split_once(inner).unwrap_or((&value, ""));
            let blanks = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            [blanks(start).as_str(), inner, &blanks(end)].concat()
        }
        Encoding::Rfc8187 => {
            let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if visible && trimmed && !value.starts_with(EXTENDED_START) {
                return value;
            }
            format!("{EXTENDED_START}{}", utf8_percent_encode(&value, EXTENDED))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        let groups = ["staff".to_owned(), "a;b".to_owned(), "경리".to_owned()];
        let alice = Identity::new("alice", Some("a@b.c"), Some("김 %"), &groups).expect("valid");
        alice.with_claims([("department", "R&D"), ("role", "x, y"), ("role", "z")]).expect("valid")
    }

    fn say(text: &str, encoding: Encoding) -> (Option<String>, usize) {
        let template = Template::parse(text).expect(text);
        template.render(&alice(), Style { encoding, separator: ",", room: 1000 })
    }

    fn percent(text: &str) -> String {
        say(text, Encoding::Percent).0.expect("known")
    }

    #[test]
    fn facts_and_claims_stand_where_the_operator_wants_them() {
        assert_eq!(percent("{user} <{email}>"), "alice <a@b.c>");
        assert_eq!(percent("{claims.department}"), "R&D");
        assert_eq!(percent("{claims.role}"), "x%2C y,z");
        assert_eq!(percent("{groups|;}"), "staff;a%3Bb;%EA%B2%BD%EB%A6%AC");
        assert_eq!(percent("{groups| | }"), "staff | a;b | %EA%B2%BD%EB%A6%AC");
        assert_eq!(percent("{{{user}}}"), "{alice}");
        assert_eq!(percent("{name}/100%"), "%EA%B9%80 %25/100%");
        assert_eq!(percent("gateway"), "gateway");
        assert_eq!(say("[{claims.none}]", Encoding::Percent), (None, 0));
        assert_eq!(percent("{user} ({claims.none})"), "alice ()");
        assert_eq!(percent("{claims.none} {user} {claims.none}"), "alice");
    }

    #[test]
    fn each_encoding_says_the_same() {
        assert_eq!(say("{name}", Encoding::Utf8).0.as_deref(), Some("김 %"));
        assert_eq!(say("{name}", Encoding::Rfc8187).0.as_deref(), Some("UTF-8''%EA%B9%80%20%25"));
        assert_eq!(say("{user} 100%", Encoding::Rfc8187).0.as_deref(), Some("alice 100%"));
        assert_eq!(one("UTF-8''root", Encoding::Rfc8187), "UTF-8''UTF-8%27%27root");
        for name in [" root", "root ", "\u{a0}root"] {
            assert!(one(name, Encoding::Utf8).contains('%') && one(name, Encoding::Rfc8187).contains('%'));
            assert_ne!(one(name, Encoding::Percent).trim(), "root");
        }
    }

    #[test]
    fn one_group_never_looks_like_two() {
        assert_eq!(say("{groups|;}", Encoding::Utf8), (Some("staff;경리".to_owned()), 1));
        assert_eq!(say("{groups|; }", Encoding::Utf8), (Some("staff; 경리".to_owned()), 1));
        let (value, left_out) = say("{groups|;}", Encoding::Rfc8187);
        assert_eq!((value.as_deref(), left_out), (Some("UTF-8''staff%3B%EA%B2%BD%EB%A6%AC"), 1));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let groups = ["aaaa".to_owned(), "bbbb".to_owned(), "c".to_owned()];
        let identity = Identity::new("alice", None, None, &groups).expect("valid");
        let say = |text, room| {
            Template::parse(text)
                .expect(text)
                .render(&identity, Style { encoding: Encoding::Percent, separator: ",", room })
        };
        assert_eq!(say("{groups}", 7), (Some("aaaa,c".to_owned()), 1));
        assert_eq!(say("{user}", 4), (None, 1));
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, why) in [
            ("{user", InvalidTemplate::Brace),
            ("user}", InvalidTemplate::Brace),
            ("{usr}", InvalidTemplate::Unknown("usr".to_owned())),
            ("{claims.}", InvalidTemplate::Unknown("claims.".to_owned())),
            ("{user|;}", InvalidTemplate::Separator(";".to_owned())),
            ("{groups|a}", InvalidTemplate::Separator("a".to_owned())),
            ("{groups|%}", InvalidTemplate::Separator("%".to_owned())),
            ("", InvalidTemplate::Text),
            (" {user}", InvalidTemplate::Text),
            ("{user}\r\nX: 1", InvalidTemplate::Text),
        ] {
            assert_eq!(Template::parse(text), Err(why), "{text}");
        }
        assert!(!Template::parse("안녕 {user}").expect("valid").suits(Encoding::Percent));
    }

    #[test]
    fn a_plain_text_is_whole_or_not_at_all() {
        let template = Template::parse("corp-{user}").expect("valid");
        assert_eq!(template.text(Some(&alice())).as_deref(), Some("corp-alice"));
        assert_eq!(template.text(None), None);
        assert_eq!(Template::parse("service").expect("valid").text(None).as_deref(), Some("service"));
        assert_eq!(
            Template::parse("{email}")
                .expect("valid")
                .text(Some(&Identity::new("a", None, None, &[]).expect("valid"))),
            None
        );
    }
}
