//! Claims: which of a token's claims say what of a person.
//!
//! Comes in: their names as written. Goes out: the same, for a login method. Never lets somebody in who is called nothing.

use super::Context;
use crate::config::file;
use crate::login::token::ClaimNames;

pub(super) fn names(context: &mut Context, at: &str, given: &file::ClaimNames) -> ClaimNames {
    if given.user.is_empty() {
        context.error(&format!("{at}.user"), "a user must be called something\nwrite `sub`");
    }
    if given.keep.iter().any(String::is_empty) {
        context.error(&format!("{at}.keep"), "a claim without a name");
    }
    ClaimNames {
        user: given.user.clone(),
        email: given.email.clone(),
        name: given.name.clone(),
        groups: given.groups.clone(),
        keep: given.keep.clone(),
    }
}
