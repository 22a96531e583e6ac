//! Outer: what a proxy before us says of the user.
//!
//! Comes in: the fields of a request, before the names that only the gateway may say are removed, and the names to look
//! under. Goes out: who the proxy says is asking, as it says so. Never listens to anybody but a trusted proxy, and never to
//! one that says a thing twice: one of the two would be the client's word.

use super::Client;
use crate::message::Fields;

/// Names of the fields that a proxy before us says who is asking with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OuterNames {
    /// The user.
    pub user: String,
    /// The e-mail address, if it says that.
    pub email: Option<String>,
    /// The groups, if it says them.
    pub groups: Option<String>,
    /// The name for people, if it says that.
    pub name: Option<String>,
}

impl OuterNames {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let further = [&self.email, &self.groups, &self.name];
        std::iter::once(self.user.as_str()).chain(further.into_iter().filter_map(Option::as_deref))
    }
}

/// What a trusted proxy says of the user, as it stands in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Never empty.
    pub user: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The groups, as a list with commas.
    pub groups: Option<String>,
    /// The name for people.
    pub name: Option<String>,
}

impl Outer {
    /// What the proxy says; nothing where the client did not come through one, or where it is not clear.
    pub(super) fn heard(client: &Client, fields: &Fields, names: &OuterNames) -> Option<Box<Self>> {
        if !client.is_behind_proxy() {
            return None;
        }
        let user = said(fields, &names.user)??;
        let further = |name: &Option<String>| match name {
            Some(name) => said(fields, name),
            None => Some(None),
        };
        let (email, groups, name) = (further(&names.email)?, further(&names.groups)?, further(&names.name)?);
        Some(Box::new(Self { user, email, groups, name }))
    }
}

/// What is said under a name, if anything; `None` when that is said twice, or is no text.
fn said(fields: &Fields, name: &str) -> Option<Option<String>> {
    let mut all = fields.get_all(name);
    let Some(first) = all.next() else { return Some(None) };
    let text = std::str::from_utf8(first).ok().filter(|_| all.next().is_none())?;
    Some((!text.trim().is_empty()).then(|| text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Peer, Scheme};

    fn heard(from: [u8; 4], list: &[(&str, &str)]) -> Option<Outer> {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        let remote = Some((from, 5555).into());
        let peer = Peer { remote, local_port: Some(80), scheme: Scheme::Http, certificate: None };
        let client = Client::find(&peer, &fields, &["10.0.0.0/8".parse().expect("a network")]);
        let names = OuterNames {
            user: "Remote-User".to_owned(),
            email: None,
            groups: Some("Remote-Groups".to_owned()),
            name: None,
        };
        Outer::heard(&client, &fields, &names).map(|outer| *outer)
    }

    #[test]
    fn only_a_trusted_proxy_is_heard() {
        let said =
            [("remote-user", " alice "), ("Remote-Groups", "staff,finance"), ("Remote-Email", "a@b.c")];
        let outer = heard([10, 0, 0, 1], &said).expect("said once, by one that is trusted");
        assert_eq!((outer.user.as_str(), outer.groups.as_deref()), ("alice", Some("staff,finance")));
        assert_eq!((outer.email, outer.name), (None, None), "nobody asked for these");
        assert_eq!(heard([192, 0, 2, 1], &said), None);
    }

    #[test]
    fn what_is_said_twice_or_not_at_all_is_said_of_nobody() {
        let proxy = [10, 0, 0, 1];
        for said in [
            &[][..],
            &[("Remote-User", "")],
            &[("Remote-User", " ")],
            &[("Remote_User", "alice")],
            &[("Remote-User", "alice"), ("REMOTE-USER", "alice")],
            &[("Remote-User", "alice"), ("Remote-User", "")],
            &[("Remote-User", "alice"), ("Remote-Groups", "staff"), ("Remote-Groups", "admins")],
        ] {
            assert_eq!(heard(proxy, said), None, "{said:?}");
        }
        let without = heard(proxy, &[("Remote-User", "alice"), ("Remote-Groups", "")]).expect("a user");
        assert_eq!(without.groups, None);
    }
}
