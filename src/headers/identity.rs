//! Identity headers: who is asking, in the words the application expects.
//!
//! Comes in: an identity, rendered at login, and the configured names. Goes out: fields, added last. Never adds any
//! for somebody who is not logged in; the client's own copies are gone long before.

use super::IdentityNames;
use crate::identity::Identity;
use crate::message::Fields;

/// Says who is asking. What is not known of them is left out.
pub(super) fn append(fields: &mut Fields, identity: &Identity, names: &IdentityNames) {
    let rendered = identity.rendered();
    fields.append(&names.user, rendered.user.as_bytes());
    let facts =
        [(&names.email, rendered.email), (&names.groups, rendered.groups), (&names.name, rendered.name)];
    for (name, value) in facts {
        if let Some(value) = value {
            fields.append(name, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_somebody_is_left_out() {
        let names = IdentityNames { user: "Remote-User".to_owned(), ..IdentityNames::default() };
        let staff = ["staff".to_owned(), "경리".to_owned()];
        let identity = Identity::new("é", None, Some("A B"), &staff).expect("valid");
        let mut fields = Fields::new();
        append(&mut fields, &identity, &names);
        let expected: [(&str, &[u8]); 3] = [
            ("Remote-User", b"%C3%A9"),
            ("X-Auth-Groups", b"staff,%EA%B2%BD%EB%A6%AC"),
            ("X-Auth-Name", b"A B"),
        ];
        assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
    }
}
