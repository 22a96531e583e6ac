//! Sign: people come and go.
//!
//! Comes in: a visitor and who they have proved to be, or that they want to leave. Goes out: a session under a new id, or
//! the end of one, of all others, or of all. What an anonymous visitor gathered is kept at login, unless somebody else was
//! logged in before; preferences are kept in any case, and beyond logout. Never answers that a session has ended before
//! whoever keeps it has said so.

use std::sync::Arc;

use super::visitor::Shown;
use super::{Keeper, Sessions, log_end};
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::cookie::pieces::Pieces;
use crate::session::data::{Data, DataKey, Entry};
use crate::session::draft::Draft;
use crate::session::id::{Digest, SessionId};
use crate::session::notes::{Note, with_notes};
use crate::session::origin::Origin;
use crate::session::protocol::Scope;
use crate::session::record::{EndReason, Session};
use crate::session::store::StoreError;
use crate::session::stored::Stored;
use crate::session::ticket::Ticket;
use crate::session::visitor::Visitor;

/// Somebody who has just proved who they are.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who.
    pub identity: Identity,
    /// By what, as [`Stored::credential`].
    pub credential: u64,
    /// "Keep me signed in" was ticked.
    pub remember: bool,
    /// From where.
    pub origin: Origin,
    /// What the login method keeps in the session for itself.
    pub notes: Vec<Note>,
}

/// A new session, and its id unless it is sealed.
pub(super) type Kept = (Option<SessionId>, Arc<Session>);

impl Sessions {
    /// Lets somebody in: always a new session, and whatever session they had before is dead when this returns. Too many
    /// sessions of one person: the oldest end.
    pub async fn sign_in(
        &self,
        visitor: &Visitor,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<(Vec<Ticket>, Arc<Session>), StoreError> {
        let (id, session) = self.enter(visitor, arrival, now).await?;
        Ok((self.tickets(id.as_ref(), &session, visitor, now), session))
    }

    /// The same, for somebody who hands out the ticket later.
    pub(super) async fn enter(
        &self,
        visitor: &Visitor,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let Arrival { identity, credential, remember, origin, notes } = arrival;
        let (user, remember) = (identity.user().to_owned(), remember && self.can_remember());
        let data = with_notes(&self.data_to_keep(visitor, identity.user(), now), &notes, now);
        let draft = Draft { credential, origin, data, ..Draft::signed_in(identity, remember, now) };
        let kept = match visitor.session().or(visitor.beside.as_deref()) {
            Some(old) => self.replace(old, draft).await?,
            None => self.create(draft).await?,
        };
        self.keep_to_limit(&user, kept.1.digest()).await?;
        Ok(kept)
    }

    /// Ends the visitor's session, the others of the same person, or all of them; takes the ticket back where it was this
    /// one, or hands out one for the preferences that stay.
    pub async fn sign_out(
        &self,
        visitor: &Visitor,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(Vec<Ticket>, Option<Arc<Session>>), StoreError> {
        Ok(match self.leave(visitor, scope, now).await? {
            Some((id, session)) => (self.tickets(id.as_ref(), &session, visitor, now), Some(session)),
            None if scope == Scope::Others => (Vec::new(), None),
            None => (self.take_back(visitor), None),
        })
    }

    /// The same, for somebody who hands out the ticket later: the session of the preferences that stay.
    pub(super) async fn leave(
        &self,
        visitor: &Visitor,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Option<Kept>, StoreError> {
        if self.is_bridge() {
            return Err(not_ours());
        }
        let session = visitor.session();
        let user = session.and_then(Session::identity).map(Identity::user);
        if let (Scope::Others | Scope::All, Some(user)) = (scope, user) {
            let this = session.map(Session::digest);
            self.end_of_user(user, EndReason::Logout, |digest| Some(digest) != this).await?;
        }
        if scope == Scope::Others {
            return Ok(None);
        }
        if let Some(session) = session {
            self.end(session, EndReason::Logout).await?;
        }
        let stays = session.and_then(|session| self.preferences_of(&session.data(), now));
        let Some(data) = stays else { return Ok(None) };
        let draft = Draft { data, remember: true, ..Draft::anonymous(now) };
        self.create(draft).await.map(Some)
    }

    /// Ends a session and what has taken its place. False when there was nothing left to end.
    pub async fn end(&self, session: &Session, reason: EndReason) -> Result<bool, StoreError> {
        let ended = match &*self.keeper {
            Keeper::Shared { shared, .. } => shared.end(session, reason).await?,
            keeper => keeper.memory().end(session, reason),
        };
        if ended {
            log_end(session.short(), session.identity(), reason);
        }
        Ok(ended)
    }

    /// Ends a session that is known by its digest only.
    pub async fn end_digest(&self, digest: Digest, reason: EndReason) -> Result<bool, StoreError> {
        match (&*self.keeper, self.keeper.memory().load(&digest)) {
            (_, Some(session)) => self.end(&session, reason).await,
            (Keeper::Shared { shared, .. }, None) => shared.end_digest(digest, reason).await,
            (_, None) => Ok(false),
        }
    }

    /// Ends the sessions of a user of which `which` is true; says how many there were.
    pub async fn end_of_user(
        &self,
        user: &str,
        reason: EndReason,
        which: impl Fn(&Digest) -> bool,
    ) -> Result<u64, StoreError> {
        let mut ended = 0;
        for stored in self.of_user(user).await? {
            if which(&stored.digest) {
                ended += u64::from(self.end_digest(stored.digest, reason).await?);
            }
        }
        Ok(ended)
    }

    /// The living session of this digest.
    pub async fn of_digest(&self, digest: Digest) -> Result<Option<Stored>, StoreError> {
        match &*self.keeper {
            Keeper::Shared { shared, .. } => shared.of_digest(digest).await,
            keeper => Ok(keeper.memory().load(&digest).map(|session| session.stored())),
        }
    }

    /// The living sessions of a user, the oldest first.
    pub async fn of_user(&self, user: &str) -> Result<Vec<Stored>, StoreError> {
        match &*self.keeper {
            Keeper::Shared { shared, .. } => shared.of_user(user).await,
            keeper => Ok(keeper.memory().of_user(user).iter().map(|session| session.stored()).collect()),
        }
    }

    /// Living sessions in the order of their digests, at most `most`, those behind `after`.
    pub async fn page(&self, after: Option<Digest>, most: usize) -> Result<Vec<Stored>, StoreError> {
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            return shared.page(after, most).await;
        }
        let behind = |session: &Arc<Session>| after.is_none_or(|after| *session.digest() > after);
        // The lowest of all, in one pass: as many are held as are asked for.
        let mut lowest = std::collections::BTreeMap::new();
        for session in self.keeper.memory().iter().filter(behind) {
            lowest.insert(*session.digest(), session);
            if lowest.len() > most {
                lowest.pop_last();
            }
        }
        Ok(lowest.into_values().map(|session| session.stored()).collect())
    }

    /// Keeps a new session. Of a sealed one there is no id.
    pub(super) async fn create(&self, draft: Draft) -> Result<(Option<SessionId>, Arc<Session>), StoreError> {
        let (id, session) = match &*self.keeper {
            Keeper::Memory(memory, _) => memory.create(draft),
            Keeper::Shared { shared, .. } => shared.create(draft).await?,
            Keeper::Django { .. } => return Err(not_ours()),
            Keeper::Cookie(_) => {
                return Ok((None, Arc::new(Session::of(draft.stored(&SessionId::mint())))));
            }
        };
        Ok((Some(id), session))
    }

    async fn replace(&self, old: &Session, draft: Draft) -> Result<Kept, StoreError> {
        let replaced = match &*self.keeper {
            Keeper::Memory(memory, _) => memory.replace(old, draft.clone()),
            Keeper::Shared { shared, .. } => shared.replace(old, draft.clone()).await?,
            Keeper::Cookie(_) | Keeper::Django { .. } => None,
        };
        match replaced {
            Some((id, session)) => Ok((Some(id), session)),
            None => self.create(draft).await,
        }
    }

    async fn keep_to_limit(&self, user: &str, newest: &Digest) -> Result<(), StoreError> {
        let most = self.settings.max_per_user;
        if most == 0 {
            return Ok(());
        }
        let sessions = self.of_user(user).await?;
        let surplus = sessions.len().saturating_sub(most);
        let oldest = sessions.iter().filter(|stored| stored.digest != *newest).take(surplus);
        for stored in oldest {
            self.end_digest(stored.digest, EndReason::Limit).await?;
        }
        Ok(())
    }

    /// What hands a session out: its id, or itself, sealed.
    pub(super) fn tickets(
        &self,
        id: Option<&SessionId>,
        session: &Session,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Vec<Ticket> {
        let lasting = self.lifetime.lasting(session, now);
        let (None, Some(sealed)) = (id, &self.sealed) else {
            let value = id.map(|id| self.keys.seal(id)).unwrap_or_default();
            return vec![Ticket::hand_out(&self.settings.cookie, value, lasting, now)];
        };
        sealed.hand_out(&session.stored(), &pieces_of(visitor), lasting, now).unwrap_or_else(|error| {
            tracing::warn!(session = format_args!("{:08x}", session.short()), "{error}: it is not kept");
            Vec::new()
        })
    }

    pub(super) fn take_back(&self, visitor: &Visitor) -> Vec<Ticket> {
        match &self.sealed {
            Some(sealed) => sealed.take_back(&pieces_of(visitor)),
            None => vec![Ticket::take_back(&self.settings.cookie)],
        }
    }

    /// What a login takes over from the session before.
    fn data_to_keep(&self, visitor: &Visitor, user: &str, now: Timestamp) -> Data {
        let data = visitor.session().map(Session::data).unwrap_or_default();
        match visitor.identity() {
            Some(before) if before.user() != user => self.preferences_of(&data, now).unwrap_or_default(),
            _ => data,
        }
    }

    /// The preferences among data, if there are any.
    pub(super) fn preferences_of(&self, data: &Data, now: Timestamp) -> Option<Data> {
        let preferred = |entry: &Entry<'_>| {
            let is = |key: &DataKey| (&*key.space, &*key.name) == entry.key();
            self.settings.preferences.iter().any(is)
        };
        let kept: Vec<_> = data.iter(now).filter(preferred).collect();
        (!kept.is_empty()).then(|| Data::new(1, kept))
    }
}

/// People log in and out at the Django site whose sessions these are.
fn not_ours() -> StoreError {
    StoreError::Broken("people log in and out at the Django site itself".to_owned())
}

fn pieces_of(visitor: &Visitor) -> Arc<Pieces> {
    match &visitor.by {
        Shown::Pieces(pieces) => Arc::clone(pieces),
        Shown::Nothing | Shown::Id(_) => Arc::default(),
    }
}
