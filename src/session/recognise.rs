//! Recognise: who is asking?
//!
//! Comes in: the cookies of ours that a request showed, and the time. Goes out: a [`Visitor`], at once where the memory
//! knows; otherwise word that the store must be asked first. A session found to be over is ended with its reason, and an
//! id that was replaced and is shown again ends the session it once belonged to. Never extends a session of which nobody
//! asked for anything.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::visitor::Shown;
use super::{Keeper, Sessions};
use crate::clock::Timestamp;
use crate::message::Fields;
use crate::session::bridge::Bridge;
use crate::session::cookie;
use crate::session::cookie::pieces::Pieces;
use crate::session::id::{Digest, Proof, SessionId};
use crate::session::keys::VALUE_LENGTH;
use crate::session::record::{EndReason, Session};
use crate::session::store::StoreError;
use crate::session::turn::Standing;
use crate::session::visitor::Visitor;

/// What a client's connection last showed: the next request is most likely to show the same. One per connection.
#[derive(Debug, Default)]
pub struct Memo {
    known: Option<Known>,
    pub(super) named: Option<Named>,
}

struct Known {
    value: [u8; VALUE_LENGTH],
    proof: Proof,
    session: Arc<Session>,
    by: u64,
}

/// What one upstream calls a session.
#[derive(Debug)]
pub(super) struct Named {
    pub digest: Digest,
    pub upstream: usize,
    pub by: u64,
    pub name: [u8; 22],
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({:08x})", self.session.short())
    }
}

/// The cookies of ours that a request showed, cut out of it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "ids are the usual case, and an allocation for each request is not"
)]
pub enum Presented {
    /// Signed ids.
    Ids(cookie::Shown),
    /// A sealed session.
    Pieces(Arc<Pieces>),
    /// The cookie of a Django site, which stays where it is.
    Django(Option<Box<str>>),
}

/// Who is asking, if that can be said at once.
#[derive(Debug)]
pub enum Recognition {
    /// This one.
    Is(Visitor),
    /// The store must be asked, by [`Sessions::enquire`].
    Unsure,
}

/// What came of looking for the session of one id.
enum Look {
    Lives(Arc<Session>, Standing),
    Over(Option<EndReason>),
    Unsure,
}

impl Sessions {
    /// Cuts our cookies out of a request, and those called like one of `others`, whose values nobody asks for.
    pub fn take_cookies(&self, fields: &mut Fields, others: &[&str]) -> Presented {
        if let Some(sealed) = &self.sealed {
            return Presented::Pieces(Arc::new(sealed.take(fields, others)));
        }
        let ids = cookie::take(fields, self.cookie_name(), others);
        match &*self.keeper {
            Keeper::Django { bridge, .. } => {
                Presented::Django(cookie::find(fields, bridge.cookie_name()).map(Into::into))
            }
            _ => Presented::Ids(ids),
        }
    }

    /// Finds out who is asking; `uses`: and notes that they did. Of several valid tickets the first counts.
    #[inline]
    pub fn recognise(&self, shown: &Presented, memo: &mut Memo, now: Timestamp, uses: bool) -> Recognition {
        let found = match shown {
            Presented::Ids(shown) => self.look(shown, memo, now, false),
            Presented::Pieces(pieces) => Some(self.open(pieces, now)),
            Presented::Django(cookie) => self.look_across(cookie.as_deref(), now, false),
        };
        match found {
            Some(mut visitor) => {
                if uses {
                    self.note_use(&mut visitor, now);
                }
                Recognition::Is(visitor)
            }
            None => Recognition::Unsure,
        }
    }

    /// The same after asking the store for what is not in memory, or not as it is now.
    pub async fn enquire(
        &self,
        shown: &Presented,
        memo: &mut Memo,
        now: Timestamp,
        uses: bool,
    ) -> Result<Visitor, StoreError> {
        let shown = match shown {
            Presented::Ids(shown) => shown,
            Presented::Pieces(_) => return Ok(Visitor::nobody()),
            Presented::Django(cookie) => {
                if let (Keeper::Django { memory, bridge }, Some(cookie)) = (&*self.keeper, cookie) {
                    bridge.ask(memory, cookie, now).await?;
                }
                return Ok(self.look_across(cookie.as_deref(), now, true).unwrap_or_default());
            }
        };
        if let Some(loading) = self.keeper.loading() {
            loading.wait().await;
        }
        if let Some(shared) = self.keeper.shared() {
            for value in shown.values() {
                let Some(id) = self.keys.open(value) else { continue };
                match shared.fetch(id.digest()).await {
                    Ok(Some(session)) => {
                        if let Err(reason) = self.accepts(session.identity(), session.credential()) {
                            self.end_now(&session, reason);
                        }
                    }
                    Ok(None) => {}
                    // A session in memory goes on while the store is away, although news of it may have been missed.
                    Err(error) if error.is_away() && self.goes_on(&id, now) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut visitor = self.look(shown, memo, now, true).unwrap_or_default();
        if uses {
            self.note_use(&mut visitor, now);
        }
        Ok(visitor)
    }

    /// Whether what is in memory is enough to let this one pass.
    fn goes_on(&self, id: &SessionId, now: Timestamp) -> bool {
        self.keeper.memory().load(&id.digest()).is_some_and(|session| {
            let standing = session.turns().standing(id.proof(), session.created(), now);
            standing != Standing::Past && self.lifetime.verdict(&session, now).is_ok()
        })
    }

    /// Looks in memory; `None` when that is not enough, unless this is the `last` look.
    fn look(&self, shown: &cookie::Shown, memo: &mut Memo, now: Timestamp, last: bool) -> Option<Visitor> {
        let mut visitor = Visitor { showed_cookie: shown.any(), ..Visitor::nobody() };
        if let Some((session, standing)) = self.recall(shown, memo, now) {
            let by = memo.known.as_ref().map_or([0; VALUE_LENGTH], |known| known.value);
            self.found(&mut visitor, session, standing, by, now);
            return Some(visitor);
        }
        for value in shown.values() {
            let Some(id) = self.keys.open(value) else { continue };
            let proof = id.proof();
            match self.find(&id.digest(), proof, now, last) {
                Look::Lives(session, standing) => {
                    memo.known =
                        Some(Known { value: *value, proof, session: Arc::clone(&session), by: self.serial });
                    self.found(&mut visitor, session, standing, *value, now);
                    return Some(visitor);
                }
                Look::Over(reason) => visitor.ended = visitor.ended.or(reason),
                Look::Unsure => return None,
            }
        }
        Some(visitor)
    }

    fn found(
        &self,
        visitor: &mut Visitor,
        session: Arc<Session>,
        standing: Standing,
        by: [u8; VALUE_LENGTH],
        now: Timestamp,
    ) {
        visitor.due = session.turns().is_due(standing, self.settings.rotate_every, session.created(), now);
        visitor.new = session.meets();
        visitor.by = Shown::Id(by);
        if standing == Standing::First
            && let Some(shared) = self.keeper.shared()
        {
            shared.note_shown(&session, now);
        }
        visitor.session = Some(session);
    }

    /// The session this connection showed before, while it lives: whatever ends one marks the record.
    #[inline]
    fn recall(&self, shown: &cookie::Shown, memo: &Memo, now: Timestamp) -> Option<(Arc<Session>, Standing)> {
        let known = memo.known.as_ref().filter(|known| known.by == self.serial)?;
        let value = shown.values().next()?;
        let session = &known.session;
        let same = verify_slices_are_equal(value, &known.value).is_ok();
        if !same || session.is_stale() || self.lifetime.verdict(session, now).is_err() {
            return None;
        }
        let standing = session.turns().standing(known.proof, session.created(), now);
        (standing != Standing::Past).then(|| (Arc::clone(session), standing))
    }

    fn find(&self, digest: &Digest, proof: Proof, now: Timestamp, last: bool) -> Look {
        let asks = !last && self.keeper.shared().is_some();
        let Some(session) = self.keeper.memory().load(digest) else {
            let reason = self.keeper.memory().reason(digest);
            let may_be_elsewhere = asks || !last && self.keeper.loading().is_some();
            return if may_be_elsewhere && reason.is_none() {
                Look::Unsure
            } else {
                Look::Over(told(reason))
            };
        };
        let standing = session.turns().standing(proof, session.created(), now);
        let verdict = self.lifetime.verdict(&session, now);
        if asks && (session.is_stale() || standing == Standing::Past || verdict.is_err()) {
            return Look::Unsure;
        }
        let over = match verdict {
            Err(reason) => reason,
            Ok(()) if standing == Standing::Past => EndReason::Theft,
            Ok(()) => return Look::Lives(session, standing),
        };
        Look::Over(self.found_over(&session, over))
    }

    /// Ends a session whose time is up, and says what to tell of it. One that ended another way, just after it was loaded,
    /// is left alone: if it is followed by another, to end it would end what followed.
    fn found_over(&self, session: &Session, reason: EndReason) -> Option<EndReason> {
        if session.ended().is_none() {
            self.end_now(session, reason);
        }
        told(session.identity().and(Some(reason)))
    }

    /// What is known of the session of a Django site; `None` when the site must be asked, unless this is the `last` look.
    fn look_across(&self, cookie: Option<&str>, now: Timestamp, last: bool) -> Option<Visitor> {
        let (Keeper::Django { memory, bridge }, Some(cookie)) = (&*self.keeper, cookie) else {
            return Some(Visitor::nobody());
        };
        let session = memory.load(&Bridge::digest(cookie));
        if !last && !session.as_ref().is_some_and(|session| bridge.counts(session, now)) {
            return None;
        }
        Some(Visitor { session, showed_cookie: true, ..Visitor::nobody() })
    }

    /// Opens a sealed session.
    fn open(&self, pieces: &Arc<Pieces>, now: Timestamp) -> Visitor {
        let mut visitor =
            Visitor { showed_cookie: pieces.any(), by: Shown::Pieces(pieces.clone()), ..Visitor::nobody() };
        let Some(stored) = self.sealed.as_ref().and_then(|sealed| sealed.open(pieces)) else {
            return visitor;
        };
        match self.admits(&stored, now) {
            Ok(()) => visitor.session = Some(Arc::new(Session::of(stored))),
            Err(reason) => visitor.ended = told(stored.identity.and(Some(reason))),
        }
        visitor
    }

    fn note_use(&self, visitor: &mut Visitor, now: Timestamp) {
        let Some(session) = &visitor.session else { return };
        match &*self.keeper {
            Keeper::Memory(memory, _) | Keeper::Django { memory, .. } => {
                memory.touch(session, now, self.settings.touch_interval);
            }
            Keeper::Shared { memory, shared } => {
                if memory.touch(session, now, self.settings.touch_interval) {
                    shared.note_use(session);
                }
            }
            Keeper::Cookie(_) => {
                // Only a new cookie can tell when a sealed session was last used.
                visitor.due |= now.since(session.last_seen()) >= self.settings.touch_interval;
                if visitor.due {
                    session.touch(now, self.settings.touch_interval);
                }
            }
        }
    }
}

/// That a session is followed by another is no end to tell people of.
fn told(reason: Option<EndReason>) -> Option<EndReason> {
    reason.filter(|reason| *reason != EndReason::Replaced)
}
