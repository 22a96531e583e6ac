//! Rights: which keys an upstream may read and write, and what it calls them.
//!
//! Comes in: a key as an application says it, or as the session holds it. Goes out: the other form, or nothing where it
//! is not this application's business. Every upstream has a name space of its own, and one is shared by all: `theme` is
//! the upstream's own, `shared.theme` everybody's, `shop.theme` another upstream's. Never lets two upstreams own a key.

use crate::session::data::{DataKey, Entry};
use crate::session::edit::notes_conflict;

/// The name space of all.
pub const SHARED: &str = "shared";

/// Bytes of a key's name.
pub const LONGEST_NAME: usize = 64;

/// What one upstream may do with sessions, on one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    space: Box<str>,
    read: Option<Vec<Pattern>>,
    write: Option<Vec<Pattern>>,
    login: bool,
}

/// One key, or all of a name space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    space: Box<str>,
    name: Option<Box<str>>,
}

/// What somebody wants to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Be told what it holds.
    Read,
    /// Change it.
    Write,
}

/// What an application calls a key: its own by their names, all others with their name space before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// Said first, with a dot behind it.
    pub space: Option<&'a str>,
    /// The rest.
    pub name: &'a str,
}

impl Rights {
    /// Rights of the upstream with this name space. What is not listed is not allowed; without a list it is the
    /// upstream's own keys and the shared ones. `login`: it may log people in.
    pub fn new(space: &str, read: Option<Vec<Pattern>>, write: Option<Vec<Pattern>>, login: bool) -> Self {
        Self { space: space.into(), read, write, login }
    }

    /// The upstream's name space.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// Whether the upstream may log people in.
    pub fn may_log_in(&self) -> bool {
        self.login
    }

    /// The key that an application means, if it may use it so. The key is well-formed.
    pub fn to_internal(&self, key: &str, to: Use) -> Option<DataKey> {
        let (space, name) = parts(&self.space, key);
        (is_name(name) && self.allow(space, name, to)).then(|| DataKey::new(space, name))
    }

    /// What the application calls this key, if it may read it.
    pub fn visible<'a>(&self, (space, name): (&'a str, &'a str)) -> Option<Spoken<'a>> {
        self.allow(space, name, Use::Read).then(|| Spoken {
            // An own name with a dot in it would be taken for one in another name space.
            space: (*space != *self.space || name.contains('.')).then_some(space),
            name,
        })
    }

    /// Whether the upstream is told of this entry: a key it may read, or a note that is meant for it.
    pub fn delivers(&self, entry: &Entry<'_>) -> bool {
        self.allow(entry.space, entry.name, Use::Read) || notes_conflict(entry, &self.space)
    }

    fn allow(&self, space: &str, name: &str, to: Use) -> bool {
        let list = match to {
            Use::Read => &self.read,
            Use::Write => &self.write,
        };
        match list {
            None => *space == *self.space || space == SHARED,
            Some(list) => list.iter().any(|pattern| pattern.covers(space, name)),
        }
    }
}

impl Pattern {
    /// What `theme`, `shared.theme`, `*` or `shop.*` means to the upstream with this name space; `None` where it is not
    /// a key.
    pub fn parse(own_space: &str, text: &str) -> Option<Self> {
        let (space, name) = parts(own_space, text);
        let name = if name == "*" { None } else { Some(name) };
        let sound = name.is_none_or(is_name) && !space.is_empty();
        sound.then(|| Self { space: space.into(), name: name.map(Into::into) })
    }

    /// The name space it is about.
    pub fn space(&self) -> &str {
        &self.space
    }

    fn covers(&self, space: &str, name: &str) -> bool {
        *self.space == *space && self.name.as_deref().is_none_or(|only| only == name)
    }
}

/// The name space of an upstream: its name in lower case, with `-` for what no key may hold. One that does not start
/// with a letter has `u-` before it, so that others can name it.
pub fn space_of(upstream: &str) -> String {
    let fold = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '-' | '*') => c,
        _ => '-',
    };
    let space: String = upstream.chars().map(fold).collect();
    if space.starts_with(|c: char| c.is_ascii_lowercase()) { space } else { format!("u-{space}") }
}

/// A key as it is said, in its parts: what stands before the first dot names the name space.
fn parts<'a>(own_space: &'a str, key: &'a str) -> (&'a str, &'a str) {
    key.split_once('.').unwrap_or((own_space, key))
}

/// Whether this can be the name of a key (RFC 9651, section 3.1.2), and is not too long.
pub fn is_name(name: &str) -> bool {
    let follows = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
    let first = name.bytes().next();
    name.len() <= LONGEST_NAME
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*')
        && name.as_bytes().iter().all(follows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::data::Value;

    fn patterns(list: &[&str]) -> Option<Vec<Pattern>> {
        Some(list.iter().map(|text| Pattern::parse("app", text).expect("a pattern")).collect())
    }

    fn meant(rights: &Rights, key: &str, to: Use) -> Option<String> {
        rights.to_internal(key, to).map(|key| key.to_string())
    }

    fn said(rights: &Rights, space: &str, name: &str) -> Option<String> {
        let spoken = rights.visible((space, name))?;
        Some(spoken.space.map_or(name.to_owned(), |space| format!("{space}.{name}")))
    }

    #[test]
    fn an_upstream_has_its_own_keys_and_the_shared_ones() {
        let rights = Rights::new("app", None, None, false);
        for to in [Use::Read, Use::Write] {
            assert_eq!(meant(&rights, "theme", to).as_deref(), Some("app.theme"));
            assert_eq!(meant(&rights, "app.theme", to).as_deref(), Some("app.theme"));
            assert_eq!(meant(&rights, "shared.theme", to).as_deref(), Some("shared.theme"));
            assert_eq!(meant(&rights, "shop.theme", to), None);
        }
        assert_eq!(said(&rights, "app", "theme").as_deref(), Some("theme"));
        assert_eq!(said(&rights, "app", "a.b").as_deref(), Some("app.a.b"));
        assert_eq!(said(&rights, "shared", "theme").as_deref(), Some("shared.theme"));
        assert_eq!(said(&rights, "shop", "theme"), None);
        assert!(!rights.may_log_in());
    }

    #[test]
    fn a_list_allows_what_it_lists() {
        let rights = Rights::new("app", patterns(&["theme", "shared.x", "shop.*"]), patterns(&["*"]), true);
        assert_eq!(meant(&rights, "theme", Use::Read).as_deref(), Some("app.theme"));
        assert_eq!(meant(&rights, "cart", Use::Read), None);
        assert_eq!(meant(&rights, "shared.y", Use::Read), None);
        assert_eq!(meant(&rights, "shop.any", Use::Read).as_deref(), Some("shop.any"));
        assert_eq!(meant(&rights, "shop.any", Use::Write), None);
        assert_eq!(meant(&rights, "cart", Use::Write).as_deref(), Some("app.cart"));
        assert_eq!(meant(&rights, "shared.x", Use::Write), None);
        assert_eq!(said(&rights, "shop", "any").as_deref(), Some("shop.any"));
        let nothing = Rights::new("app", patterns(&[]), None, false);
        assert_eq!(said(&nothing, "app", "theme"), None);
    }

    #[test]
    fn no_application_can_name_our_own_notes() {
        let rights = Rights::new("app", None, None, false);
        for key in [".conflict.app", "app..conflict", "conflict.app", "", ".", "app.", "Theme", "app.이름"]
        {
            assert_eq!(meant(&rights, key, Use::Write), None, "{key}");
            assert!(meant(&rights, key, Use::Read).is_none(), "{key}");
        }
        let name = "conflict.app";
        let note = Entry { space: "", name, value: Value::Boolean(true), expires: None, flash: true };
        assert_eq!(rights.visible(note.key()), None);
        assert!(rights.delivers(&note));
        assert!(!Rights::new("shop", None, None, false).delivers(&note));
        assert_eq!(Pattern::parse("app", ".*"), None);
    }

    #[test]
    fn names_of_upstreams_are_folded() {
        let spaces = ["App", "my app", "가게", "1st", "a.b", "shared"].map(space_of);
        assert_eq!(spaces, ["app", "my-app", "u---", "u-1st", "a-b", "shared"]);
        assert!(spaces.iter().all(|space| is_name(space)));
    }

    #[test]
    fn names_have_an_end() {
        assert!(is_name(&"a".repeat(64)) && !is_name(&"a".repeat(65)));
    }

    proptest! {
        #[test]
        fn what_an_application_is_told_it_may_say(space in "(app|shared|shop)", name in "[a-z*][a-z.*_0-9-]{0,9}") {
            let rights = Rights::new("app", patterns(&["*", "shared.*", "shop.*"]), None, false);
            let said = said(&rights, &space, &name).expect("visible");
            prop_assert_eq!(rights.to_internal(&said, Use::Read), Some(DataKey::new(&space, &name)));
            prop_assert!(said.parse::<String>().is_ok_and(|said| sfv::KeyRef::from_str(&said).is_ok()));
        }
    }
}
