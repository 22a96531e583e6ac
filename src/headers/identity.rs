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
        [(&names.email, &rendered.email), (&names.groups, &rendered.groups), (&names.name, &rendered.name)];
    for (name, value) in facts {
        if let Some(value) = value {
            fields.append(name, value.as_bytes());
        }
    }
}
