//! Identity: who a person is, and how that is said in header values.
//!
//! Comes in: what a login method proved. Goes out: values that are safe in any header, rendered once at login
//! and copied for each request. Never holds anything that proves the identity (no password, no token).

use std::fmt::Write as _;

use triomphe::{Arc, HeaderSlice};

/// A person who has proved who they are. Every copy shares the texts, which are one piece of memory: a million sessions may
/// hold one each, and whoever says who is asking has to fetch nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Arc<HeaderSlice<Ends, str>>);

/// Where each part of the text ends: user, e-mail address, name, groups; then the same four as header values, each only
/// where it differs; then the claims, a line for each value.
type Ends = [u16; PARTS];

const USER: usize = 0;
const EMAIL: usize = 1;
const NAME: usize = 2;
const GROUPS: usize = 3;
const FACTS: usize = 4;
const CLAIMS: usize = 2 * FACTS;
const PARTS: usize = 2 * FACTS + 1;

/// Stands between the name of a claim and its value.
const IS: char = '\t';

/// The identity as header values: visible ASCII only, everything else percent-encoded as UTF-8 (RFC 3986).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// Value for the user header.
    pub user: &'a str,
    /// Value for the e-mail header.
    pub email: Option<&'a str>,
    /// Value for the display name header.
    pub name: Option<&'a str>,
    /// Value for the groups header: comma-separated; absent without groups.
    pub groups: Option<&'a str>,
}

/// Why a set of claims cannot be an identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidIdentity {
    /// A user name is required.
    #[error("the user name is empty")]
    Empty,
    /// Control characters would end up in headers and logs.
    #[error("{0} contains a control character")]
    Control(&'static str),
    /// Longer than 256 bytes (user, group, name) would not fit into headers.
    #[error("{0} is longer than 256 bytes")]
    TooLong(&'static str),
    /// More than any header has room for.
    #[error("all groups and claims together are longer than 64 KiB")]
    TooMuch,
}

const LONGEST: usize = 256;

impl Identity {
    /// An identity from what a login method proved; refuses what cannot be said in a header or a log line.
    pub fn new(
        user: &str,
        email: Option<&str>,
        name: Option<&str>,
        groups: &[String],
    ) -> Result<Self, InvalidIdentity> {
        if user.is_empty() {
            return Err(InvalidIdentity::Empty);
        }
        let facts = [("the user name", Some(user)), ("the e-mail address", email), ("the name", name)];
        for (what, value) in
            facts.into_iter().chain(groups.iter().map(|group| ("a group", Some(group.as_str()))))
        {
            let value = value.unwrap_or_default();
            if value.chars().any(char::is_control) {
                return Err(InvalidIdentity::Control(what));
            }
            if value.len() > LONGEST {
                return Err(InvalidIdentity::TooLong(what));
            }
        }
        let groups_rendered =
            groups.iter().map(|group| header_safe(group, ",")).collect::<Vec<_>>().join(",");
        let [mut plain, rendered] = [
            [
                user.to_owned(),
                email.unwrap_or_default().to_owned(),
                name.unwrap_or_default().to_owned(),
                groups.join(","),
            ],
            [
                header_safe(user, ""),
                header_safe(email.unwrap_or_default(), ""),
                header_safe(name.unwrap_or_default(), ""),
                groups_rendered,
            ],
        ];
        let differs: [bool; FACTS] = std::array::from_fn(|fact| plain[fact] != rendered[fact]);
        if differs[GROUPS] {
            plain[GROUPS] = groups.join("\n");
        }
        let mut text = String::new();
        let mut ends = [0; PARTS];
        let rendered = rendered.iter().zip(differs).map(|(value, differs)| if differs { value } else { "" });
        for (end, part) in ends.iter_mut().zip(plain.iter().map(String::as_str).chain(rendered)) {
            text.push_str(part);
            *end = u16::try_from(text.len()).map_err(|_| InvalidIdentity::TooMuch)?;
        }
        ends[CLAIMS] = ends[CLAIMS - 1];
        Ok(Self(Arc::from_header_and_str(ends, &text)))
    }

    /// The same person with these claims, as names and values; a name may come again with another value. They take the
    /// place of those before.
    pub fn with_claims<'c>(
        &self,
        claims: impl IntoIterator<Item = (&'c str, &'c str)>,
    ) -> Result<Self, InvalidIdentity> {
        let mut ends = self.0.header;
        let mut text = self.0.slice[..usize::from(ends[CLAIMS - 1])].to_owned();
        for (name, value) in claims {
            if name.chars().chain(value.chars()).any(char::is_control) {
                return Err(InvalidIdentity::Control("a claim"));
            }
            if name.len() > LONGEST || value.len() > LONGEST {
                return Err(InvalidIdentity::TooLong("a claim"));
            }
            text.extend([name, IS.encode_utf8(&mut [0; 4]), value, "\n"]);
        }
        ends[CLAIMS] = u16::try_from(text.len()).map_err(|_| InvalidIdentity::TooMuch)?;
        Ok(Self(Arc::from_header_and_str(ends, &text)))
    }

    /// The canonical user name.
    pub fn user(&self) -> &str {
        self.part(USER)
    }

    /// The e-mail address, where the login method knows one.
    pub fn email(&self) -> Option<&str> {
        known(self.part(EMAIL))
    }

    /// The name for people to read, where the login method knows one.
    pub fn name(&self) -> Option<&str> {
        known(self.part(NAME))
    }

    /// The groups, in the order of the login method.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        // A group with a comma in it makes the header value differ: then line breaks, which no group has, stand between.
        let between = if self.part(FACTS + GROUPS).is_empty() { ',' } else { '\n' };
        known(self.part(GROUPS)).into_iter().flat_map(move |groups| groups.split(between))
    }

    /// Whether the person belongs to `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups().any(|mine| mine == group)
    }

    /// All claims, as names and values, in the order of the login method.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str)> {
        self.part(CLAIMS).split_terminator('\n').filter_map(|line| line.split_once(IS))
    }

    /// The values of one claim.
    pub fn claim(&self, name: &str) -> impl Iterator<Item = &str> {
        self.claims().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Where its texts are: the same for all copies, and for nobody else while one of them is held.
    pub fn place(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<Ends>().addr()
    }

    /// Bytes of all texts.
    pub fn size(&self) -> usize {
        self.0.slice.len()
    }

    /// The header values.
    pub fn rendered(&self) -> Rendered<'_> {
        let value = |fact| known(self.part(FACTS + fact)).or_else(|| known(self.part(fact)));
        Rendered {
            user: value(USER).unwrap_or_default(),
            email: value(EMAIL),
            name: value(NAME),
            groups: value(GROUPS),
        }
    }

    fn part(&self, at: usize) -> &str {
        let HeaderSlice { header: ends, slice: text } = &*self.0;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        &text[usize::from(start)..usize::from(ends[at])]
    }
}

/// An empty text is one that nobody knows.
fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Visible ASCII and inner spaces stay; `%`, everything beyond ASCII and the `marks` between members of a list are
/// percent-encoded.
pub fn header_safe(value: &str, marks: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let inner_space = byte == b' ' && at != 0 && at != last;
        let separates = marks.as_bytes().contains(&byte);
        if (byte.is_ascii_graphic() && byte != b'%' || inner_space) && !separates {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_header_safe() {
        let groups = ["staff".to_owned(), "a,b".to_owned()];
        let identity = Identity::new("é", Some("a@b.c"), Some("김 철수"), &groups).expect("valid");
        assert_eq!(identity.rendered().user, "%C3%A9");
        assert_eq!(identity.rendered().email, Some("a@b.c"));
        assert_eq!(identity.rendered().name, Some("%EA%B9%80 %EC%B2%A0%EC%88%98"));
        assert_eq!(identity.rendered().groups, Some("staff,a%2Cb"));
        assert_eq!((identity.user(), identity.name()), ("é", Some("김 철수")));
        assert_eq!(identity.groups().collect::<Vec<_>>(), groups);
    }

    #[test]
    fn values_that_need_no_encoding_are_held_once() {
        let groups = ["staff".to_owned(), "finance".to_owned()];
        let identity = Identity::new("alice", None, Some("Alice"), &groups).expect("valid");
        assert_eq!(&identity.0.slice, "aliceAlicestaff,finance");
        assert_eq!(identity.rendered().groups, Some("staff,finance"));
        assert_eq!((identity.email(), identity.rendered().email), (None, None));
        assert!(identity.is_in("finance") && !identity.is_in("staff,finance"));
        let alone = Identity::new("alice", None, None, &[]).expect("valid");
        assert_eq!((alone.groups().count(), alone.rendered().groups), (0, None));
    }

    #[test]
    fn claims_are_kept_beside_the_facts() {
        let alice = Identity::new("é", None, None, &["staff".to_owned()]).expect("valid");
        let claims = [("department", "Finanzen, Recht"), ("role", "a"), ("role", "b")];
        let with = alice.with_claims(claims).expect("valid");
        assert_eq!(with.claims().collect::<Vec<_>>(), claims);
        assert_eq!(with.claim("role").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((with.user(), with.rendered().groups), ("é", Some("staff")));
        assert_eq!(with.with_claims([]), Ok(alice.clone()));
        assert_eq!(alice.claims().count(), 0);
        assert_eq!(alice.with_claims([("a", "b\nrole\tadmin")]), Err(InvalidIdentity::Control("a claim")));
    }

    #[test]
    fn more_groups_than_any_header_holds_are_refused() {
        let groups = vec!["g".repeat(256); 256];
        assert_eq!(Identity::new("alice", None, None, &groups), Err(InvalidIdentity::TooMuch));
    }

    #[test]
    fn a_user_name_with_a_line_break_is_refused() {
        let refused = Identity::new("a\r\nX-Admin: 1", None, None, &[]);
        assert_eq!(refused, Err(InvalidIdentity::Control("the user name")));
    }
}
