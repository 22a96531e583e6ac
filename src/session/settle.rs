//! Settle: what a response changes about its visitor's session, and what it has to say to the browser because of that.
//!
//! Comes in: a visitor, what the application wishes, and that an id is due to be replaced. Goes out: tickets. Wishes are
//! carried out in this order: logout, login, data, limits; what comes later is about the session that is there by then.
//! Never changes a session that has ended meanwhile, and never fails for a wish that cannot be granted: that is logged.

use std::net::IpAddr;
use std::sync::Arc;

use super::visitor::Shown;
use super::{Create, Keeper, Sessions, sign};
use crate::clock::Timestamp;
use crate::message::Fields;
use crate::session::data::{Data, Entry};
use crate::session::draft::Draft;
use crate::session::edit::{Applied, Edits, take_flash};
use crate::session::id::SessionId;
use crate::session::origin::Origin;
use crate::session::protocol::{Idle, Scope, Wishes};
use crate::session::recognise::{Memo, Named};
use crate::session::record::Session;
use crate::session::rights::Rights;
use crate::session::store::StoreError;
use crate::session::stored::Stored;
use crate::session::ticket::Ticket;
use crate::session::turn;
use crate::session::visitor::Visitor;

/// When, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Now.
    pub now: Timestamp,
    /// The client's address; none over a Unix socket.
    pub client: Option<IpAddr>,
    /// Its fields: what its browser says of itself is among them.
    pub fields: &'a Fields,
}

/// What a response has to say to the browser.
#[derive(Debug, Default)]
pub struct Settled {
    /// Cookies to set.
    pub tickets: Vec<Ticket>,
    /// Somebody was logged out: what the browser keeps of the pages is to go.
    pub logged_out: bool,
}

/// What becomes of a visitor while wishes are carried out.
#[derive(Default)]
struct Course {
    visitor: Visitor,
    /// The session was made just now, under this id; one that is sealed has none.
    fresh: Option<Option<SessionId>>,
    /// The cookie is to say something else than it does: its lifetime, or what is sealed in it.
    changed: bool,
    logged_out: bool,
}

impl Course {
    /// From now on all is about this session.
    fn goes_on_as(&mut self, kept: Option<sign::Kept>) {
        if let Some((id, session)) = kept {
            self.visitor.session = Some(session);
            self.fresh = Some(id);
        }
        self.visitor.due = false;
    }
}

impl Sessions {
    /// Whether the browser is to be told something, whatever the application wishes.
    #[inline]
    pub fn is_due(&self, visitor: &Visitor) -> bool {
        visitor.due
            || visitor.session.is_none()
                && self.settings.create == Create::Always
                && visitor.guest().is_none()
                && !self.is_bridge()
    }

    /// Carries out what a response wishes, and hands out what is due.
    pub async fn settle(
        &self,
        visitor: &Visitor,
        wishes: Wishes,
        occasion: Occasion<'_>,
    ) -> Result<Settled, StoreError> {
        if self.is_bridge() {
            if !wishes.is_empty() {
                tracing::warn!(
                    "sessions are those of a Django site, where nothing can be written: nothing is kept"
                );
            }
            return Ok(Settled::default());
        }
        let now = occasion.now;
        let mut course = Course { visitor: visitor.clone(), ..Course::default() };
        if let Some(scope) = wishes.logout {
            let left = Box::pin(self.leave(&course.visitor, scope, now)).await?;
            if scope != Scope::Others {
                course.logged_out = true;
                course.visitor.session = None;
                course.goes_on_as(left);
            }
        }
        if let Some(identity) = wishes.login {
            let browser = occasion.fields.get("user-agent").unwrap_or_default();
            let origin = Origin::of(occasion.client, browser);
            let arrival =
                sign::Arrival { identity, credential: 0, remember: false, origin, notes: Vec::new() };
            let entered = Box::pin(self.enter(&course.visitor, arrival, now)).await?;
            course.goes_on_as(Some(entered));
        }
        if !wishes.edits.is_empty() {
            self.edit(&mut course, &wishes.edits, now).await?;
        }
        if let (Some(idle), Some(session)) = (wishes.idle, course.visitor.session.clone()) {
            let (idle, remember) = match idle {
                Idle::Seconds(seconds) => (seconds.get(), session.remember()),
                Idle::Browser => (0, false),
            };
            Box::pin(self.set_limits(&mut course, &session, idle, remember)).await?;
        }
        let logged_out = course.logged_out;
        Ok(Settled { tickets: self.told(course, now).await?, logged_out })
    }

    /// What the browser is told in the end. A session that has ended meanwhile is none of its business.
    async fn told(&self, course: Course, now: Timestamp) -> Result<Vec<Ticket>, StoreError> {
        let Course { visitor, fresh, changed, logged_out } = course;
        let Some(session) = &visitor.session else {
            if logged_out {
                return Ok(self.take_back(&visitor));
            }
            return Box::pin(self.hand_out_due(&visitor, now)).await;
        };
        if let Some(id) = fresh {
            return Ok(self.tickets(id.as_ref(), session, &visitor, now));
        }
        if session.ended().is_some() {
            return Ok(Vec::new());
        }
        if visitor.due {
            return Box::pin(self.hand_out_due(&visitor, now)).await;
        }
        match &visitor.by {
            Shown::Pieces(_) if changed => Ok(self.tickets(None, session, &visitor, now)),
            // Only the present id is worth showing again: one that was replaced must not come back.
            Shown::Id(value) if changed => {
                let id = self.keys.open(value);
                let present =
                    id.filter(|id| id.digest() == *session.digest() && id.proof() == session.turns().proof());
                Ok(present.map_or_else(Vec::new, |id| self.tickets(Some(&id), session, &visitor, now)))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Changes data; a visitor without a session is given one for it.
    async fn edit(&self, course: &mut Course, edits: &Edits, now: Timestamp) -> Result<(), StoreError> {
        let Some(session) = course.visitor.session.clone() else {
            return Box::pin(self.begin(course, edits, now)).await;
        };
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
                Box::pin(shared.change(&session, change)).await?
            }
            keeper => {
                let before = session.data_size();
                let told = session.change_data(change);
                keeper.memory().reweigh(&session, before, session.data_size());
                course.changed |= self.sealed.is_some();
                Some(told)
            }
        };
        if let Some((conflict, rejected)) = told {
            if conflict {
                let session = format_args!("{:08x}", session.short());
                tracing::debug!(session, "the session had another version");
            }
            log_rejected(&session, &rejected);
        }
        let becomes_lasting = session.identity().is_none()
            && !session.remember()
            && self.preferences_of(&session.data(), now).is_some();
        if becomes_lasting {
            Box::pin(self.set_limits(course, &session, 0, true)).await?;
        }
        Ok(())
    }

    async fn begin(&self, course: &mut Course, edits: &Edits, now: Timestamp) -> Result<(), StoreError> {
        if self.settings.create == Create::Never {
            tracing::debug!("nobody is logged in, and `session.create: never` keeps nothing for visitors");
            return Ok(());
        }
        let Applied { data, rejected, .. } = edits.apply(&Data::default(), now, self.settings.max_bytes);
        if data.is_empty() {
            return Ok(());
        }
        let remember = self.preferences_of(&data, now).is_some();
        let draft = Draft { data, remember, ..Draft::anonymous(now) };
        let kept = self.create(draft).await?;
        log_rejected(&kept.1, &rejected);
        course.goes_on_as(Some(kept));
        Ok(())
    }

    /// Gives a session an idle limit of its own, and says whether its cookie outlasts the browser's session.
    async fn set_limits(
        &self,
        course: &mut Course,
        session: &Arc<Session>,
        idle: u32,
        remember: bool,
    ) -> Result<(), StoreError> {
        course.changed |= self.sealed.is_some() || remember != session.remember();
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            let change = move |stored: &mut Stored| (stored.idle, stored.remember) = (idle, remember);
            shared.change(session, change).await?;
        } else {
            session.limit(idle, remember);
        }
        Ok(())
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
        session.data().iter(now).any(|entry| entry.flash && rights.delivers(&entry))
    }

    /// Takes out what is delivered once to this upstream. Of many who do so at the same time one gets it: the data with
    /// it; the others get the data without.
    pub async fn take_flash(
        &self,
        session: &Arc<Session>,
        rights: &Rights,
        now: Timestamp,
    ) -> Result<Data, StoreError> {
        let take = move |data: &Data, rights: &Rights| {
            let delivers = |entry: &Entry<'_>| rights.delivers(entry);
            take_flash(data, now, delivers).map(|rest| (rest, data.clone()))
        };
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            let rights = rights.clone();
            let change = move |stored: &mut Stored| {
                let (rest, whole) = take(&stored.data, &rights)?;
                stored.data = rest;
                Some(whole)
            };
            let taken = shared.change(session, change).await?;
            return Ok(taken.flatten().unwrap_or_else(|| session.data()));
        }
        let taken = session.change_data(|data| match take(data, rights) {
            Some((rest, whole)) => (rest, Some(whole)),
            None => (data.clone(), None),
        });
        Ok(taken.unwrap_or_else(|| session.data()))
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
        let name = self.keys.name(&digest, space);
        memo.named = Some(Named { digest, upstream, by: self.serial, name });
        name
    }
}

fn log_rejected<K: std::fmt::Debug, E: std::fmt::Display>(session: &Session, rejected: &[(K, E)]) {
    for (key, why) in rejected {
        tracing::warn!(session = format_args!("{:08x}", session.short()), ?key, "not kept: {why}");
    }
}
