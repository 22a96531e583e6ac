//! Settle: what a response changes about its visitor's session, and what it has to say to the browser because of that.
//!
//! Comes in: a visitor, what the application wishes, and that an id is due to be replaced. Goes out: tickets. Wishes are
//! carried out in this order: logout, login, data, limits; what comes later is about the session that is there by then.
//! Never changes a session that has ended meanwhile, and never fails for a wish that cannot be granted: that is logged.

use std::sync::Arc;

use super::visitor::Shown;
use super::{Create, Keeper, Sessions, sign};
use crate::clock::Timestamp;
use crate::session::data::{Data, Entry};
use crate::session::edit::{Applied, Edits, take_flash};
use crate::session::origin::Origin;
use crate::session::protocol::{Idle, Scope, Wishes};
use crate::session::recognise::{Memo, Named};
use crate::session::record::{Draft, Session};
use crate::session::rights::Rights;
use crate::session::store::StoreError;
use crate::session::stored::Stored;
use crate::session::ticket::Ticket;
use crate::session::turn;
use crate::session::visitor::Visitor;

/// When, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// Now.
    pub now: Timestamp,
    /// Where the request came from.
    pub origin: Origin,
}

/// What a response has to say to the browser.
#[derive(Debug, Default)]
pub struct Settled {
    /// Cookies to set.
    pub tickets: Vec<Ticket>,
    /// Somebody was logged out: what the browser keeps of the pages is to go.
    pub logged_out: bool,
}

impl Sessions {
    /// Whether the browser is to be told something, whatever the application wishes.
    #[inline]
    pub fn is_due(&self, visitor: &Visitor) -> bool {
        visitor.due
            || visitor.session.is_none() && self.settings.create == Create::Always && !self.is_bridge()
    }

    /// Carries out what a response wishes, and hands out what is due.
    pub async fn settle(
        &self,
        visitor: &Visitor,
        wishes: Wishes,
        occasion: Occasion,
    ) -> Result<Settled, StoreError> {
        if self.is_bridge() {
            if !wishes.is_empty() {
                tracing::warn!(
                    "sessions are those of a Django site, where nothing can be written: nothing is kept"
                );
            }
            return Ok(Settled::default());
        }
        let Occasion { now, origin } = occasion;
        let (mut settled, mut visitor) = (Settled::default(), visitor.clone());
        if let Some(scope) = wishes.logout {
            let (tickets, left) = self.sign_out(&visitor, scope, now).await?;
            if scope != Scope::Others {
                settled = Settled { tickets, logged_out: true };
                visitor = Visitor { session: left, due: false, by: visitor.by, ..Visitor::nobody() };
            }
        }
        if let Some(identity) = wishes.login {
            let arrival = sign::Arrival { identity, credential: 0, remember: false, origin };
            let (tickets, session) = self.sign_in(&visitor, arrival, now).await?;
            settled.tickets = tickets;
            visitor.session = Some(session);
            visitor.due = false;
        }
        let begun = self.edit(&mut visitor, &wishes.edits, now).await?;
        if let Some(tickets) = begun {
            settled.tickets = tickets;
        }
        if let (Some(idle), Some(session)) = (wishes.idle, visitor.session.clone()) {
            settled.tickets = self.limit(&session, idle, &visitor, now).await?;
        }
        if settled.tickets.is_empty() {
            settled.tickets = self.hand_out_due(&visitor, now).await?;
        }
        Ok(settled)
    }

    /// Changes data; a visitor without a session is given one for it. Answers with tickets where the browser must hear of
    /// that.
    async fn edit(
        &self,
        visitor: &mut Visitor,
        edits: &Edits,
        now: Timestamp,
    ) -> Result<Option<Vec<Ticket>>, StoreError> {
        if edits.is_empty() {
            return Ok(None);
        }
        let Some(session) = visitor.session.clone() else { return self.begin(visitor, edits, now).await };
        let max = self.settings.max_bytes;
        let change = |data: &Data| {
            let Applied { data, conflict, rejected } = edits.apply(data, now, max);
            (data, (conflict, rejected))
        };
        let told = match &*self.keeper {
            Keeper::Shared { shared, .. } => {
                let edits = edits.clone();
                let change = move |stored: &mut Stored| {
                    let applied = edits.apply(&stored.data, now, max);
                    stored.data = applied.data;
                    (applied.conflict, applied.rejected)
                };
                shared.change(&session, change).await?
            }
            keeper => {
                let before = size(&session);
                let told = session.change_data(change);
                keeper.memory().reweigh(&session, before, size(&session));
                Some(told)
            }
        };
        if let Some((conflict, rejected)) = told {
            if conflict {
                tracing::debug!(
                    session = format_args!("{:08x}", session.short()),
                    "the session had another version"
                );
            }
            log_rejected(&session, &rejected);
        }
        let becomes_lasting = session.identity().is_none()
            && !session.remember()
            && self.preferences_of(session.data().as_deref(), now).is_some();
        if becomes_lasting {
            return self.set_limits(&session, 0, true, visitor, now).await.map(Some);
        }
        match &*self.keeper {
            Keeper::Cookie(_) => Ok(Some(self.tickets(None, &session, visitor, now))),
            _ => Ok(None),
        }
    }

    async fn begin(
        &self,
        visitor: &mut Visitor,
        edits: &Edits,
        now: Timestamp,
    ) -> Result<Option<Vec<Ticket>>, StoreError> {
        if self.settings.create == Create::Never {
            tracing::debug!("nobody is logged in, and `session.create: never` keeps nothing for visitors");
            return Ok(None);
        }
        let Applied { data, rejected, .. } = edits.apply(&Data::default(), now, self.settings.max_bytes);
        if data.is_empty() {
            return Ok(None);
        }
        let remember = self.preferences_of(Some(&data), now).is_some();
        let draft = Draft { data: Some(Arc::new(data)), remember, ..Draft::anonymous(now) };
        let (id, session) = self.create(draft).await?;
        log_rejected(&session, &rejected);
        let tickets = self.tickets(id.as_ref(), &session, visitor, now);
        visitor.session = Some(session);
        Ok(Some(tickets))
    }

    async fn limit(
        &self,
        session: &Arc<Session>,
        idle: Idle,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<Vec<Ticket>, StoreError> {
        match idle {
            Idle::Seconds(seconds) => {
                self.set_limits(session, seconds.get(), session.remember(), visitor, now).await
            }
            Idle::Browser => self.set_limits(session, 0, false, visitor, now).await,
        }
    }

    async fn set_limits(
        &self,
        session: &Arc<Session>,
        idle: u32,
        remember: bool,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<Vec<Ticket>, StoreError> {
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            let change = move |stored: &mut Stored| (stored.idle, stored.remember) = (idle, remember);
            shared.change(session, change).await?;
        } else {
            session.limit(idle, remember);
        }
        let id = match &visitor.by {
            Shown::Id(value) => self.keys.open(value).filter(|id| id.digest() == *session.digest()),
            Shown::Pieces(_) | Shown::Nothing => None,
        };
        if id.is_none() && self.sealed.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.tickets(id.as_ref(), session, visitor, now))
    }

    /// A new id for a session whose id is due, a session for whoever is to have one, a sealed one anew.
    async fn hand_out_due(&self, visitor: &Visitor, now: Timestamp) -> Result<Vec<Ticket>, StoreError> {
        if !self.is_due(visitor) {
            return Ok(Vec::new());
        }
        let Some(session) = &visitor.session else {
            let (id, session) = self.create(Draft::anonymous(now)).await?;
            return Ok(self.tickets(id.as_ref(), &session, visitor, now));
        };
        let id = match &visitor.by {
            Shown::Id(value) => self.keys.open(value),
            Shown::Pieces(_) | Shown::Nothing => None,
        };
        let Some(id) = id else { return Ok(self.tickets(None, session, visitor, now)) };
        let (by, next) = (id.proof(), id.renewed());
        let proof = next.proof();
        let taken = match &*self.keeper {
            Keeper::Shared { shared, .. } => {
                let since = session.turns().now(session.created()).since;
                let take = move |stored: &mut Stored| {
                    let mine = stored.turn.since == since;
                    let turn = turn::taken(stored.turn, by, proof, now).filter(|_| mine);
                    stored.turn = turn.unwrap_or(stored.turn);
                    turn.is_some()
                };
                shared.change(session, take).await?.unwrap_or(false)
            }
            _ => session.turns().take(by, proof, session.created(), now),
        };
        Ok(if taken { self.tickets(Some(&next), session, visitor, now) } else { Vec::new() })
    }

    /// Whether something that is delivered once waits for this upstream.
    pub fn has_flash(&self, session: &Session, rights: &Rights, now: Timestamp) -> bool {
        session.data().is_some_and(|data| data.iter(now).any(|entry| entry.flash && rights.delivers(&entry)))
    }

    /// Takes out what is delivered once to this upstream. Of many who do so at the same time one gets it: the data with
    /// it; the others get the data without.
    pub async fn take_flash(
        &self,
        session: &Arc<Session>,
        rights: &Rights,
        now: Timestamp,
    ) -> Result<Option<Arc<Data>>, StoreError> {
        let take = move |data: &Data, rights: &Rights| {
            let delivers = |entry: &Entry<'_>| rights.delivers(entry);
            take_flash(data, now, delivers).map(|rest| (rest, Arc::new(data.clone())))
        };
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            let rights = rights.clone();
            let change = move |stored: &mut Stored| {
                let (rest, whole) = take(&stored.data, &rights)?;
                stored.data = rest;
                Some(whole)
            };
            let taken = shared.change(session, change).await?;
            return Ok(taken.flatten().or_else(|| session.data()));
        }
        let taken = session.change_data(|data| match take(data, rights) {
            Some((rest, whole)) => (rest, Some(whole)),
            None => (data.clone(), None),
        });
        Ok(taken.or_else(|| session.data()))
    }

    /// What stands for a session at one upstream: never its id, and another at each.
    pub fn name_at(&self, session: &Session, upstream: usize, space: &str, memo: &mut Memo) -> [u8; 22] {
        let digest = *session.digest();
        if let Some(named) = &memo.named
            && named.by == self.serial
            && named.upstream == upstream
            && named.digest == digest
        {
            return named.name;
        }
        let name = self.keys.name(&[space.as_bytes(), digest.bytes()]);
        memo.named = Some(Named { digest, upstream, by: self.serial, name });
        name
    }
}

fn size(session: &Session) -> usize {
    session.data().map_or(0, |data| data.as_bytes().len())
}

fn log_rejected<K: std::fmt::Debug, E: std::fmt::Display>(session: &Session, rejected: &[(K, E)]) {
    for (key, why) in rejected {
        tracing::warn!(session = format_args!("{:08x}", session.short()), ?key, "not kept: {why}");
    }
}
