//! Claims: which of a token's claims say what of a person.
//!
//! Comes in: their names as written. Goes out: the same, for a login method.

use crate::config::file;
use crate::login::token::ClaimNames;

pub(super) fn names(given: &file::ClaimNames) -> ClaimNames {
    ClaimNames {
        user: given.user.clone(),
        email: given.email.clone(),
        name: given.name.clone(),
        groups: given.groups.clone(),
        keep: given.keep.clone(),
    }
}
