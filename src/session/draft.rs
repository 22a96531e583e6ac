//! Draft: a session that is to be.
//!
//! Comes in: who proved who they are, or nobody, and from where. Goes out: the session as a store is to keep it, under an id
//! that was minted just now. Never lives: what lives is a [`Session`](crate::session::record::Session).

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::data::Data;
use crate::session::id::SessionId;
use crate::session::origin::Origin;
use crate::session::stored::{Stored, Turn};

/// What a session shall hold; it becomes one under a freshly minted id.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who is logged in.
    pub identity: Option<Identity>,
    /// What the login was proved with, as [`Stored::credential`].
    pub credential: u64,
    /// Now.
    pub created: Timestamp,
    /// Beyond the end of the browser's own session.
    pub remember: bool,
    /// From where.
    pub origin: Origin,
    /// What is in it already.
    pub data: Data,
}

impl Draft {
    /// For a visitor nobody knows.
    pub fn anonymous(now: Timestamp) -> Self {
        Self {
            identity: None,
            credential: 0,
            created: now,
            remember: false,
            origin: Origin::default(),
            data: Data::default(),
        }
    }

    /// For somebody who has just proved who they are; `remember`: beyond the end of the browser's own session.
    pub fn signed_in(identity: Identity, remember: bool, now: Timestamp) -> Self {
        Self { identity: Some(identity), remember, ..Self::anonymous(now) }
    }

    /// As a store is to keep it under this id.
    pub(in crate::session) fn stored(self, id: &SessionId) -> Stored {
        let turn = Turn { proof: id.proof(), since: self.created, previous: None, shown: None };
        Stored {
            digest: id.digest(),
            turn,
            identity: self.identity,
            credential: self.credential,
            created: self.created,
            last_seen: self.created,
            remember: self.remember,
            idle: 0,
            origin: self.origin,
            data: self.data,
            revision: 1,
        }
    }
}
