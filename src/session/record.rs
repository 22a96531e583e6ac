//! Record: a session that lives.
//!
//! Comes in: what a store keeps, or is to keep. Goes out: one [`Session`] for all who hold it, for its whole
//! life. Who it belongs to never changes. What does is in cells that can be read at any time: when it was last seen, which
//! id it has, what applications keep in it (swapped whole), and, once and for all, that it has ended. Never holds an id.
//!
//! A login makes another session, and to be followed is one way to end: whoever holds the old one can end what followed,
//! and nothing that comes late undoes either.

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapAny;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::data::{Data, Piece};
use crate::session::id::Digest;
use crate::session::lifetime::Times;
use crate::session::origin::Origin;
use crate::session::stored::Stored;
use crate::session::turn::Turns;

/// What is kept for a visitor. One allocation; the texts of the identity and the data are others.
///
/// In this order in memory: what every request needs comes first, on as few cache lines as it takes. Of a million sessions
/// none is in a cache when it is asked for, and each line is waited for.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    digest: Digest,
    created: Timestamp,
    last_seen: AtomicU64,
    /// Of few sessions that memory still holds: a pointer here is less than room for it in all of them.
    end: OnceLock<Box<End>>,
    identity: Option<Identity>,
    turns: Turns,
    /// Seconds of its own idle limit; zero: none.
    idle: AtomicU32,
    remember: AtomicBool,
    /// A request has come with it.
    met: AtomicBool,
    /// A shared store may know better by now.
    stale: AtomicBool,
    data: ArcSwapAny<Option<Piece>>,
    /// Where the memory keeps it.
    place: AtomicU32,
    short: u32,
    credential: u64,
    /// What a shared store called its last write.
    revision: AtomicU32,
    origin: Origin,
}

/// How a session ended.
#[derive(Debug)]
enum End {
    For(EndReason),
    FollowedBy(Arc<Session>),
}

impl Session {
    /// A session as it was kept.
    pub(in crate::session) fn of(stored: Stored) -> Self {
        Self {
            digest: stored.digest,
            created: stored.created,
            credential: stored.credential,
            identity: stored.identity,
            last_seen: AtomicU64::new(stored.last_seen.unix_millis()),
            turns: Turns::new(stored.turn, stored.created),
            data: ArcSwapAny::new(stored.data.into_piece()),
            end: OnceLock::new(),
            idle: AtomicU32::new(stored.idle),
            revision: AtomicU32::new(u32::try_from(stored.revision).unwrap_or(u32::MAX)),
            place: AtomicU32::new(0),
            short: stored.digest.short(),
            origin: stored.origin,
            remember: AtomicBool::new(stored.remember),
            met: AtomicBool::new(stored.last_seen != stored.created),
            stale: AtomicBool::new(false),
        }
    }

    /// As it is to be kept.
    pub fn stored(&self) -> Stored {
        Stored {
            digest: self.digest,
            turn: self.turns.now(self.created),
            identity: self.identity.clone(),
            credential: self.credential,
            created: self.created,
            last_seen: self.last_seen(),
            remember: self.remember(),
            idle: self.idle.load(Ordering::Relaxed),
            origin: self.origin,
            data: self.data(),
            revision: u64::from(self.revision.load(Ordering::Acquire)),
        }
    }

    /// Takes over what a store keeps, unless that is older than what is here.
    pub(in crate::session) fn absorb(&self, stored: Stored) {
        let revision = u32::try_from(stored.revision).unwrap_or(u32::MAX);
        self.last_seen.fetch_max(stored.last_seen.unix_millis(), Ordering::Relaxed);
        if revision > self.revision.fetch_max(revision, Ordering::AcqRel) {
            self.turns.set(stored.turn, self.created);
            self.idle.store(stored.idle, Ordering::Relaxed);
            self.remember.store(stored.remember, Ordering::Relaxed);
            self.data.store(stored.data.into_piece());
        }
    }

    /// A session to follow this one. `None` when this one has ended or is followed already.
    pub(in crate::session) fn follow(&self, next: Stored) -> Option<Arc<Self>> {
        let next = Arc::new(Self::of(next));
        self.end.set(Box::new(End::FollowedBy(Arc::clone(&next)))).is_ok().then_some(next)
    }

    /// The session that follows this one.
    pub(in crate::session) fn follower(&self) -> Option<&Session> {
        match self.end.get().map(Box::as_ref) {
            Some(End::FollowedBy(next)) => Some(next),
            _ => None,
        }
    }

    /// The key under which it is kept.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The session as logs show it: print it as `{:08x}`.
    pub fn short(&self) -> u32 {
        self.short
    }

    /// Who is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What the login was proved with, as [`Stored::credential`].
    pub fn credential(&self) -> u64 {
        self.credential
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When they logged in: each login makes a session.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.identity.as_ref().map(|_| self.created)
    }

    /// From where.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it shall outlast the browser's own session: "keep me signed in" was ticked, or an anonymous visitor's
    /// preferences are in it.
    pub fn remember(&self) -> bool {
        self.remember.load(Ordering::Relaxed)
    }

    /// What its limits depend on.
    pub(in crate::session) fn times(&self) -> Times {
        Times {
            authenticated: self.authenticated_at(),
            last_seen: self.last_seen(),
            remember: self.remember(),
            idle: self.idle.load(Ordering::Relaxed),
        }
    }

    /// What applications keep in it.
    pub fn data(&self) -> Data {
        Data::of_piece(self.data.load_full())
    }

    /// Their size in bytes, as [`Data::size`].
    pub(in crate::session) fn data_size(&self) -> usize {
        self.data.load().as_ref().map_or(0, |piece| piece.slice.len())
    }

    /// Which ids it has.
    pub(in crate::session) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// When a request last came with it.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Whether this is the first request that comes with it, as far as this process knows.
    #[inline]
    pub(in crate::session) fn meets(&self) -> bool {
        !self.met.load(Ordering::Relaxed) && !self.met.swap(true, Ordering::Relaxed)
    }

    /// Notes that a request came with it; written at most once a second, and never brings an ended session back. True when
    /// whoever keeps it is to be told, which is at most once in `tell_every`; that begins at another time for each session.
    pub(in crate::session) fn touch(&self, now: Timestamp, tell_every: Duration) -> bool {
        let (before, now) = (self.last_seen.load(Ordering::Relaxed), now.unix_millis());
        // A clock that has gone backwards since is believed.
        if now.checked_sub(before).is_some_and(|passed| passed <= 1000) {
            return false;
        }
        self.last_seen.store(now, Ordering::Relaxed);
        let every = u64::try_from(tell_every.as_millis()).unwrap_or(u64::MAX).max(1);
        let period = |at: u64| at.saturating_add(u64::from(self.short)) / every;
        period(before) != period(now)
    }

    /// Changes its data by `change`, which may be called again when somebody else was faster.
    pub(in crate::session) fn change_data<T>(&self, mut change: impl FnMut(&Data) -> (Data, T)) -> T {
        let mut told = None;
        self.data.rcu(|data| {
            let (next, tells) = change(&Data::of_piece(data.clone()));
            told = Some(tells);
            next.into_piece()
        });
        told.expect("rcu calls at least once")
    }

    /// Gives it an idle limit of its own (zero: none), and says whether it outlasts the browser's session.
    pub(in crate::session) fn limit(&self, idle: u32, remember: bool) {
        self.idle.store(idle, Ordering::Relaxed);
        self.remember.store(remember, Ordering::Relaxed);
    }

    /// Whether a shared store may know better by now.
    pub(in crate::session) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// From now on the store is to be asked, or has been.
    pub(in crate::session) fn set_stale(&self, stale: bool) {
        self.stale.store(stale, Ordering::Release);
    }

    /// Where the memory keeps it.
    pub(in crate::session) fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// The memory keeps it there from now on.
    pub(in crate::session) fn set_place(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// Why it ended; `None` while it lives.
    pub fn ended(&self) -> Option<EndReason> {
        self.end.get().map(|end| match &**end {
            End::For(reason) => *reason,
            End::FollowedBy(_) => EndReason::Replaced,
        })
    }

    /// Ends it for good. False when that had happened before: the first reason stays.
    pub(in crate::session) fn finish(&self, reason: EndReason) -> bool {
        self.end.set(Box::new(End::For(reason))).is_ok()
    }

    /// Ends it and whatever follows it, for good. False when that had happened before.
    pub(in crate::session) fn finish_line(&self, reason: EndReason) -> bool {
        iter::successors(Some(self), |session| session.follower()).any(|session| session.finish(reason))
    }
}

/// One session after the other: the stack is not as deep as a line can be long, as of somebody who signs in again and
/// again while a connection remembers the first session.
impl Drop for Session {
    fn drop(&mut self) {
        let mut end = self.end.take();
        while let Some(End::FollowedBy(next)) = end.map(|end| *end) {
            end = Arc::into_inner(next).and_then(|mut next| next.end.take());
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The person signed out.
    Logout,
    /// Nothing happened for too long.
    Idle,
    /// The login is too long ago.
    Absolute,
    /// Somebody ended it from outside.
    Revoked,
    /// The person has too many sessions.
    Limit,
    /// All sessions together are too many.
    Evicted,
    /// An id was shown that had been replaced long ago.
    Theft,
    /// The user is no longer allowed in.
    Disabled,
    /// It goes on as another session, as after a login. Not an end that people are told about.
    Replaced,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Logout,
        Self::Idle,
        Self::Absolute,
        Self::Revoked,
        Self::Limit,
        Self::Evicted,
        Self::Theft,
        Self::Disabled,
        Self::Replaced,
    ];

    /// The reason of this name. One that only a later version knows was an end all the same: nobody is let in for it.
    pub(in crate::session) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Revoked)
    }

    /// As in logs, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Logout => "logout",
            EndReason::Idle => "idle",
            EndReason::Absolute => "absolute",
            EndReason::Revoked => "revoked",
            EndReason::Limit => "limit",
            EndReason::Evicted => "evicted",
            EndReason::Theft => "theft",
            EndReason::Disabled => "disabled",
            EndReason::Replaced => "replaced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::draft::Draft;
    use crate::session::id::SessionId;

    fn draft() -> Stored {
        Draft::anonymous(Timestamp::from_unix_millis(10_000)).stored(&SessionId::mint())
    }

    fn session() -> Session {
        Session::of(draft())
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_end_is_the_one_that_counts() {
        let session = session();
        assert_eq!(session.ended(), None);
        assert!(session.finish(EndReason::Logout));
        assert!(!session.finish(EndReason::Idle));
        assert_eq!(session.ended(), Some(EndReason::Logout));
        assert!(session.follow(draft()).is_none());
    }

    #[test]
    fn whoever_holds_an_old_record_can_end_what_followed() {
        let first = session();
        let second = first.follow(draft()).expect("the first lives");
        assert_eq!((first.ended(), second.ended()), (Some(EndReason::Replaced), None));
        assert!(first.follow(draft()).is_none(), "one session follows another");
        assert!(!first.finish(EndReason::Idle), "its own limits no longer matter");
        assert_eq!(second.ended(), None);
        assert!(first.finish_line(EndReason::Logout));
        assert!(!first.finish_line(EndReason::Revoked));
        assert_eq!(second.ended(), Some(EndReason::Logout));
    }

    #[test]
    fn a_line_of_any_length_is_ended_and_dropped() {
        let first = Arc::new(session());
        let follow = |last: Arc<Session>| last.follow(draft()).expect("it lives");
        let last = (0..200_000).fold(Arc::clone(&first), |last, _| follow(last));
        assert!(first.finish_line(EndReason::Logout));
        assert_eq!(last.ended(), Some(EndReason::Logout));
        drop(last);
        drop(first);
    }

    #[test]
    fn the_store_is_told_of_use_once_a_minute() {
        let session = session();
        let told = (1..=600_u64)
            .filter(|n| session.touch(Timestamp::from_unix_millis(10_000 + n * 2000), MINUTE))
            .count();
        assert_eq!(told, 20, "1200 seconds");
    }

    #[test]
    fn last_seen_follows_the_clock_both_ways_but_not_within_a_second() {
        let session = session();
        let at = Timestamp::from_unix_millis;
        session.touch(at(10_900), MINUTE);
        assert_eq!(session.last_seen(), at(10_000));
        session.touch(at(12_000), MINUTE);
        assert_eq!(session.last_seen(), at(12_000));
        session.touch(at(5_000), MINUTE);
        assert_eq!(session.last_seen(), at(5_000), "a clock set back must not lengthen the idle limit");
    }

    #[test]
    fn a_reason_that_only_others_know_is_one_all_the_same() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::named(reason.as_str()), reason);
        }
        assert_eq!(EndReason::named("of a later version"), EndReason::Revoked);
    }

    #[test]
    fn what_a_store_keeps_is_taken_over_only_when_it_is_newer() {
        let session = session();
        let kept = session.stored();
        session.absorb(Stored { idle: 9, revision: 1, ..kept.clone() });
        assert_eq!(session.times().idle, 0);
        session.absorb(Stored { idle: 9, revision: 2, ..kept.clone() });
        assert_eq!(session.times().idle, 9);
        session.absorb(Stored { idle: 5, revision: 1, ..kept });
        assert_eq!(session.times().idle, 9);
    }
}
