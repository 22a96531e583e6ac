//! Identity: who a person is, and how that is said in header values.
//!
//! Comes in: what a login method proved. Goes out: values that are safe in any header, rendered once at login
//! and copied for each request. Never holds anything that proves the identity (no password, no token).

use std::fmt::Write as _;

/// A person who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: Box<str>,
    email: Option<Box<str>>,
    name: Option<Box<str>>,
    groups: Vec<Box<str>>,
    rendered: Rendered,
}

/// The identity as header values: visible ASCII only, everything else percent-encoded as UTF-8 (RFC 3986).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Value for the user header.
    pub user: Box<str>,
    /// Value for the e-mail header.
    pub email: Option<Box<str>>,
    /// Value for the display name header.
    pub name: Option<Box<str>>,
    /// Value for the groups header: comma-separated; absent without groups.
    pub groups: Option<Box<str>>,
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
        let rendered = Rendered {
            user: header_safe(user, false),
            email: email.map(|email| header_safe(email, false)),
            name: name.map(|name| header_safe(name, false)),
            groups: (!groups.is_empty()).then(|| {
                groups.iter().map(|group| header_safe(group, true)).collect::<Vec<_>>().join(",").into()
            }),
        };
        Ok(Self {
            user: user.into(),
            email: email.map(Into::into),
            name: name.map(Into::into),
            groups: groups.iter().map(|group| group.as_str().into()).collect(),
            rendered,
        })
    }

    /// The canonical user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The e-mail address, where the login method knows one.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The name for people to read, where the login method knows one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The groups, in the order of the login method.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| &**group)
    }

    /// Whether the person belongs to `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|mine| &**mine == group)
    }

    /// The header values.
    pub fn rendered(&self) -> &Rendered {
        &self.rendered
    }
}

/// Visible ASCII and inner spaces stay; `%`, everything beyond ASCII and (in lists) `,` are percent-encoded.
fn header_safe(value: &str, in_list: bool) -> Box<str> {
    let mut safe = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let inner_space = byte == b' ' && at != 0 && at != last;
        if (byte.is_ascii_graphic() && byte != b'%' && !(in_list && byte == b',')) || inner_space {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_header_safe() {
        let groups = ["staff".to_owned(), "a,b".to_owned()];
        let identity = Identity::new("é", Some("a@b.c"), Some("김 철수"), &groups).expect("valid");
        assert_eq!(&*identity.rendered().user, "%C3%A9");
        assert_eq!(identity.rendered().name.as_deref(), Some("%EA%B9%80 %EC%B2%A0%EC%88%98"));
        assert_eq!(identity.rendered().groups.as_deref(), Some("staff,a%2Cb"));
    }

    #[test]
    fn a_user_name_with_a_line_break_is_refused() {
        let refused = Identity::new("a\r\nX-Admin: 1", None, None, &[]);
        assert_eq!(refused, Err(InvalidIdentity::Control("the user name")));
    }
}
