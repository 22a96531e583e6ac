//! Protocol: the headers between Cloakroom and an application.
//!
//! Comes in: the `Session-*` fields of a response, as [`Wishes`]; goes out: those of a request. They are structured fields
//! (RFC 9651), so texts in any script travel whole. Never lets a header that cannot be read stand in the way of a response:
//! it is ignored and said to be a [`Problem`]. Never says to one upstream what another one keeps to itself.

mod instructions;
mod midnight;
mod told;
mod write;

pub use instructions::{Hearing, read};
pub use told::{SessionHeader, Told, tell};

use std::num::NonZeroU32;

use crate::identity::Identity;
use crate::session::edit::Edits;

/// What a response asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `Session-Set`, `Session-Add`, `Session-Delete` and `Session-If-Version`.
    pub edits: Edits,
    /// `Session-Expires`
    pub idle: Option<Idle>,
    /// `Session-Login`: the application checked who this is.
    pub login: Option<Identity>,
    /// `Session-Logout`
    pub logout: Option<Scope>,
}

impl Wishes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.idle.is_none() && self.login.is_none() && self.logout.is_none()
    }
}

/// A session's own idle limit, within the configured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// So many seconds.
    Seconds(NonZeroU32),
    /// The configured one, and a cookie that goes with the browser.
    Browser,
}

/// Which sessions of a user end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    This,
    /// All but this one.
    Others,
    /// All.
    All,
}

impl Scope {
    /// As in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::This => "this",
            Scope::Others => "others",
            Scope::All => "all",
        }
    }
}

/// An instruction, or a part of one, that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The header, in our spelling; `Session-*` for one that is no instruction.
    pub header: &'static str,
    /// Why.
    pub why: String,
}
