//! Roster: somebody's own sessions, as they see them.
//!
//! Comes in: a visitor who is logged in, and the name of a session on their page. Goes out: what they may know of each of
//! their sessions, and the end of one. A name stands for a session on this page only: it is no id, no digest, and nothing
//! that another page or upstream is told. Never touches a session of somebody else, whatever it is called.

use super::{Keeper, Sessions};
use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::origin::Origin;
use crate::session::protocol::Scope;
use crate::session::record::{EndReason, Session};
use crate::session::store::StoreError;
use crate::session::ticket::Ticket;
use crate::session::visitor::Visitor;

/// One of somebody's sessions.
#[derive(Clone, Debug)]
pub struct Own {
    /// What it is called in forms.
    pub name: String,
    /// It is the one that asks.
    pub is_this: bool,
    /// Where it was made.
    pub origin: Origin,
    /// When it was made: at a login.
    pub created: Timestamp,
    /// When a request last came with it, as far as that is known here.
    pub last_seen: Timestamp,
}

/// What came of ending one's own session.
#[derive(Debug)]
pub enum EndedOwn {
    /// It was the one that asked: what takes its ticket back.
    This(Vec<Ticket>),
    /// Another one.
    Another,
    /// There is none of this name, or no longer.
    Nothing,
}

impl Sessions {
    /// Whether anybody knows which sessions there are: of sealed ones nobody does.
    pub fn has_roster(&self) -> bool {
        !matches!(&*self.keeper, Keeper::Cookie(_))
    }

    /// The sessions of whoever asks, this one first and then those used last; nobody's are none.
    pub async fn own(&self, visitor: &Visitor) -> Result<Vec<Own>, StoreError> {
        let Some((this, user)) = signed_in(visitor) else { return Ok(Vec::new()) };
        let mut own: Vec<_> = self
            .of_user(user)
            .await?
            .iter()
            .map(|stored| {
                let here = self.keeper.memory().load(&stored.digest);
                let seen_here = here.map(|session| session.last_seen());
                Own {
                    name: self.own_name(&stored.digest),
                    is_this: stored.digest == *this.digest(),
                    origin: stored.origin,
                    created: stored.created,
                    last_seen: seen_here.map_or(stored.last_seen, |here| here.max(stored.last_seen)),
                }
            })
            .collect();
        own.sort_by_key(|own| std::cmp::Reverse((own.is_this, own.last_seen, own.created)));
        Ok(own)
    }

    /// Ends that one of the visitor's own sessions.
    pub async fn end_own(
        &self,
        visitor: &Visitor,
        name: &str,
        now: Timestamp,
    ) -> Result<EndedOwn, StoreError> {
        let Some((this, user)) = signed_in(visitor) else { return Ok(EndedOwn::Nothing) };
        if self.own_name(this.digest()) == name {
            let (tickets, _) = self.sign_out(visitor, Scope::This, now).await?;
            return Ok(EndedOwn::This(tickets));
        }
        let ended = self.end_of_user(user, EndReason::Logout, |digest| self.own_name(digest) == name).await?;
        Ok(if ended > 0 { EndedOwn::Another } else { EndedOwn::Nothing })
    }

    fn own_name(&self, digest: &Digest) -> String {
        let name = self.keys.name(digest, "sessions page");
        name.iter().map(|byte| char::from(*byte)).collect()
    }
}

fn signed_in(visitor: &Visitor) -> Option<(&Session, &str)> {
    let session = visitor.session()?;
    Some((session, session.identity()?.user()))
}
