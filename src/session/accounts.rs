//! Accounts: whether the account that somebody logged in with still stands.
//!
//! Comes in: a user's name, and the digest of what the login was proved with. Goes out: whether it still holds, or why the
//! session must end. A login method that knows its people implements it; never asked while a request is in a hurry.

use std::fmt::Debug;

use crate::session::record::EndReason;

/// Who knows whether accounts still stand.
pub trait Accounts: Debug + Send + Sync {
    /// Whether the account of `user` is still the one that was logged in to: [`EndReason::Disabled`] when it is gone or
    /// switched off, [`EndReason::Revoked`] when it has another password.
    fn accepts(&self, user: &str, credential: u64) -> Result<(), EndReason>;
}

/// Nobody has accounts here: every session stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAccounts;

impl Accounts for NoAccounts {
    fn accepts(&self, _: &str, _: u64) -> Result<(), EndReason> {
        Ok(())
    }
}
