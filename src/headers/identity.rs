//! Identity headers: who is asking, in the words the application expects.
//!
//! Comes in: an identity, rendered at login, and the configured names, templates and encoding. Goes out: fields, added
//! last. Whatever is more than a copy of what login rendered is kept for those who ask again. Never adds any for somebody
//! who is not logged in; the client's own copies are gone long before. Never more bytes than configured: groups that do
//! not fit are left out.

use std::cell::RefCell;

use super::template::{self, Encoding, Style, Template};
use crate::identity::Identity;
use crate::message::Fields;

/// How it is said who is asking (`identity:`).
#[derive(Clone, Debug)]
pub struct IdentityNames {
    /// Default `X-Auth-User`.
    pub user: String,
    /// Default `X-Auth-Email`.
    pub email: String,
    /// Default `X-Auth-Groups`.
    pub groups: String,
    /// Default `X-Auth-Name`.
    pub name: String,
    /// Further names, with what stands under them.
    pub extra: Vec<(String, Template)>,
    /// Stands between members of a list (default `,`).
    pub separator: String,
    /// How values say what is not visible ASCII.
    pub encoding: Encoding,
    /// Bytes of all these headers, with their names (default 8 KiB).
    pub max_bytes: usize,
}

impl Default for IdentityNames {
    fn default() -> Self {
        Self {
            user: "X-Auth-User".to_owned(),
            email: "X-Auth-Email".to_owned(),
            groups: "X-Auth-Groups".to_owned(),
            name: "X-Auth-Name".to_owned(),
            extra: Vec::new(),
            separator: ",".to_owned(),
            encoding: Encoding::Percent,
            max_bytes: 8 << 10,
        }
    }
}

impl IdentityNames {
    /// Every name.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let four = [&self.user, &self.email, &self.groups, &self.name].into_iter();
        four.chain(self.extra.iter().map(|(name, _)| name)).map(String::as_str)
    }

    /// Whether all that is said is what login has rendered.
    fn is_plain(&self) -> bool {
        self.extra.is_empty() && self.separator == "," && self.encoding == Encoding::Percent
    }
}

/// For how many people a worker keeps what it says of them.
const KEPT: usize = 1024;

/// What `": "` and the end of the line take.
const AROUND: usize = 4;

/// Introduces people to applications.
#[derive(Debug)]
pub(super) struct Introduction {
    names: IdentityNames,
    /// Bytes of an identity that surely fits when nothing but a copy is said.
    copied: usize,
    kept: RefCell<Vec<Option<(Identity, Lines)>>>,
}

/// Which of the names, and the value.
type Lines = Box<[(usize, Box<str>)]>;

impl Introduction {
    pub fn new(names: IdentityNames) -> Self {
        let around: usize = names.all().map(|name| name.len() + AROUND).sum();
        let copied = if names.is_plain() { names.max_bytes.saturating_sub(around) } else { 0 };
        Self { names, copied, kept: RefCell::default() }
    }

    /// The names it is said under.
    pub fn names(&self) -> &IdentityNames {
        &self.names
    }

    /// Says who is asking. What is not known of them is left out.
    #[inline]
    pub fn append(&self, fields: &mut Fields, identity: &Identity) {
        if identity.size() > self.copied {
            return self.append_kept(fields, identity);
        }
        let (names, rendered) = (&self.names, identity.rendered());
        fields.append(&names.user, rendered.user.as_bytes());
        let facts =
            [(&names.email, rendered.email), (&names.groups, rendered.groups), (&names.name, rendered.name)];
        for (name, value) in facts {
            if let Some(value) = value {
                fields.append(name, value.as_bytes());
            }
        }
    }

    /// The same, worked out once for each person.
    fn append_kept(&self, fields: &mut Fields, identity: &Identity) {
        let mut kept = self.kept.borrow_mut();
        if kept.is_empty() {
            kept.resize_with(KEPT, || None);
        }
        // Texts lie at multiples of 16, and mostly of more.
        let place = &mut kept[(identity.place() / 32) % KEPT];
        // What is kept is held, so that no other can come to be at its place.
        if place.as_ref().is_none_or(|(known, _)| known.place() != identity.place()) {
            *place = Some((identity.clone(), self.lines(identity)));
        }
        let Some((_, lines)) = place else { return };
        for (at, value) in &**lines {
            let name = self.names.all().nth(*at).unwrap_or_default();
            fields.append(name, value.as_bytes());
        }
    }

    /// What is said of somebody: the facts, then the operator's own, then as many groups as there is room for.
    fn lines(&self, identity: &Identity) -> Lines {
        let names = &self.names;
        let encoding = names.encoding;
        let mut room = names.max_bytes;
        let mut lines = Vec::new();
        let mut left_out = 0;
        let mut add = |at: usize, name: &str, value: String, room: &mut usize| {
            *room = room.saturating_sub(name.len() + value.len() + AROUND);
            lines.push((at, value.into_boxed_str()));
        };
        let facts = [
            (0, &names.user, Some(identity.user())),
            (1, &names.email, identity.email()),
            (3, &names.name, identity.name()),
        ];
        for (at, name, fact) in facts {
            if let Some(fact) = fact {
                add(at, name, template::one(fact, encoding), &mut room);
            }
        }
        for (at, (name, template)) in names.extra.iter().enumerate() {
            let within = room.saturating_sub(name.len() + AROUND);
            let style = Style { encoding, separator: &names.separator, room: within };
            let (value, out) = template.render(identity, style);
            left_out += out;
            if let Some(value) = value {
                add(4 + at, name, value, &mut room);
            }
        }
        let within = room.saturating_sub(names.groups.len() + AROUND + "UTF-8''".len());
        let style = Style { encoding, separator: &names.separator, room: within };
        let (groups, out) = template::join(identity.groups(), style);
        if !groups.is_empty() {
            add(2, &names.groups, template::finished(groups, encoding), &mut room);
        }
        if left_out + out > 0 {
            let user = identity.user();
            tracing::warn!(
                user,
                left_out = left_out + out,
                "not all groups and claims can be said in headers"
            );
        }
        lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: IdentityNames, identity: &Identity) -> Vec<String> {
        let introduction = Introduction::new(names);
        let introduce = || {
            let mut fields = Fields::new();
            introduction.append(&mut fields, identity);
            let text = |value| std::str::from_utf8(value).expect("UTF-8");
            fields.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>()
        };
        let first = introduce();
        assert_eq!(first, introduce(), "what is kept is the same");
        first
    }

    fn chulsoo() -> Identity {
        let groups = ["staff".to_owned(), "경리".to_owned(), "a,b".to_owned()];
        let chulsoo = Identity::new("é", None, Some("A B"), &groups).expect("valid");
        chulsoo.with_claims([("department", "재무")]).expect("valid")
    }

    #[test]
    fn what_is_not_known_of_somebody_is_left_out() {
        let names = IdentityNames { user: "Remote-User".to_owned(), ..IdentityNames::default() };
        let expected =
            ["Remote-User: %C3%A9", "X-Auth-Groups: staff,%EA%B2%BD%EB%A6%AC,a%2Cb", "X-Auth-Name: A B"];
        assert_eq!(said(names, &chulsoo()), expected);
    }

    #[test]
    fn the_operators_own_headers_stand_beside_the_usual_ones() {
        let template = |text| Template::parse(text).expect("valid");
        let names = IdentityNames {
            extra: vec![
                ("X-Who".to_owned(), template("{name} <{email}>")),
                ("X-Department".to_owned(), template("{claims.department}")),
                ("X-None".to_owned(), template("{claims.none}")),
            ],
            separator: "; ".to_owned(),
            ..IdentityNames::default()
        };
        let expected = [
            "X-Auth-User: %C3%A9",
            "X-Auth-Name: A B",
            "X-Who: A B <>",
            "X-Department: %EC%9E%AC%EB%AC%B4",
            "X-Auth-Groups: staff; %EA%B2%BD%EB%A6%AC; a,b",
        ];
        assert_eq!(said(names.clone(), &chulsoo()), expected);
        let expected = [
            "X-Auth-User: é",
            "X-Auth-Name: A B",
            "X-Who: A B <>",
            "X-Department: 재무",
            "X-Auth-Groups: staff; 경리; a,b",
        ];
        assert_eq!(said(IdentityNames { encoding: Encoding::Utf8, ..names }, &chulsoo()), expected);
    }

    #[test]
    fn groups_that_do_not_fit_are_left_out() {
        let groups: Vec<_> = (0..200).map(|n| format!("group-{n:04}")).collect();
        let identity = Identity::new("alice", None, None, &groups).expect("valid");
        for encoding in [Encoding::Percent, Encoding::Utf8, Encoding::Rfc8187] {
            let lines =
                said(IdentityNames { max_bytes: 1000, encoding, ..IdentityNames::default() }, &identity);
            let size: usize = lines.iter().map(|line| line.len() + 2).sum();
            assert!((800..=1000).contains(&size), "{size}");
            assert!(lines[1].starts_with("X-Auth-Groups: group-0000,group-0001"), "{lines:?}");
        }
    }
}
