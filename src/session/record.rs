//! Record: what is kept for a visitor.
//!
//! Comes in: a draft, and the digest of the id a store minted for it. Goes out: a [`Session`] that never changes in place
//! but for two things: when it was last seen, and, once and for all, that it has ended. Never holds the id.
//!
//! A session that goes on under a new id is a new record, and to be followed is one way to end: whoever holds the old
//! one can end what followed, and nothing that comes late undoes either.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::id::Digest;

/// A store is told that a session is in use at most once in so many milliseconds.
const TELL_EVERY: u64 = 60_000;

/// What a session shall hold; a store makes it a [`Session`] by minting an id for it.
#[derive(Clone, Debug)]
pub struct Draft {
    identity: Option<Identity>,
    created: Timestamp,
    remember: bool,
}

impl Draft {
    /// For a visitor nobody knows.
    pub fn anonymous(now: Timestamp) -> Self {
        Self { identity: None, created: now, remember: false }
    }

    /// For somebody who has just proved who they are; `remember`: beyond the end of the browser's own session.
    pub fn signed_in(identity: Identity, remember: bool, now: Timestamp) -> Self {
        Self { identity: Some(identity), created: now, remember }
    }
}

/// What is kept for a visitor. One allocation, with the texts of the identity another, shared by all who hold it.
#[derive(Debug)]
pub struct Session {
    digest: Digest,
    last_seen: AtomicU64,
    created: Timestamp,
    end: OnceLock<End>,
    identity: Option<Identity>,
    short: u32,
    remember: bool,
}

/// How a record ended.
#[derive(Debug)]
enum End {
    For(EndReason),
    FollowedBy(Arc<Session>),
}

impl Session {
    /// A record under a freshly minted id.
    pub(in crate::session) fn new(digest: Digest, draft: Draft) -> Self {
        Self {
            digest,
            last_seen: AtomicU64::new(draft.created.unix_millis()),
            created: draft.created,
            end: OnceLock::new(),
            identity: draft.identity,
            short: digest.short(),
            remember: draft.remember,
        }
    }

    /// A record under a freshly minted id, to follow this one. `None` when this one has ended or is followed already.
    pub(in crate::session) fn follow(&self, digest: Digest, draft: Draft) -> Option<Arc<Self>> {
        let next = Arc::new(Self::new(digest, draft));
        self.end.set(End::FollowedBy(Arc::clone(&next))).is_ok().then_some(next)
    }

    /// The record that follows this one.
    pub(in crate::session) fn follower(&self) -> Option<&Session> {
        match self.end.get() {
            Some(End::FollowedBy(next)) => Some(next),
            _ => None,
        }
    }

    /// The key under which the store keeps this.
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

    /// When the record was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When they logged in: each login makes a record.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.identity.as_ref().map(|_| self.created)
    }

    /// Whether "keep me signed in" was ticked.
    pub fn remember(&self) -> bool {
        self.remember
    }

    /// When a request last came with it.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Notes that a request came with it; written at most once a second, and never brings an ended session back. True when
    /// the store is to be told, which is at most once in each minute; minutes begin at another time for each session.
    pub(in crate::session) fn touch(&self, now: Timestamp) -> bool {
        let (before, now) = (self.last_seen.load(Ordering::Relaxed), now.unix_millis());
        // A clock that has gone backwards since is believed.
        if now.checked_sub(before).is_some_and(|passed| passed <= 1000) {
            return false;
        }
        self.last_seen.store(now, Ordering::Relaxed);
        let minute = |at: u64| at.saturating_add(u64::from(self.short)) / TELL_EVERY;
        minute(before) != minute(now)
    }

    /// Why it ended; `None` while it lives.
    pub fn ended(&self) -> Option<EndReason> {
        self.end.get().map(|end| match end {
            End::For(reason) => *reason,
            End::FollowedBy(_) => EndReason::Replaced,
        })
    }

    /// Ends it for good. False when that had happened before: the first reason stays.
    pub(in crate::session) fn finish(&self, reason: EndReason) -> bool {
        self.end.set(End::For(reason)).is_ok()
    }

    /// Ends it and whatever follows it, for good. False when that had happened before.
    pub(in crate::session) fn finish_line(&self, reason: EndReason) -> bool {
        iter::successors(Some(self), |session| session.follower()).any(|session| session.finish(reason))
    }
}

/// One record after the other: the stack is not as deep as a line can be long, as of somebody who signs in again and
/// again while a connection remembers the first record.
impl Drop for Session {
    fn drop(&mut self) {
        let mut end = self.end.take();
        while let Some(End::FollowedBy(next)) = end {
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
    /// It goes on under a new id, as after a login. Not an end that people are told about.
    Replaced,
}

impl EndReason {
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
    use crate::session::id::SessionId;

    fn session() -> Session {
        Session::new(SessionId::mint().digest(), draft())
    }

    fn draft() -> Draft {
        Draft::anonymous(Timestamp::from_unix_millis(10_000))
    }

    #[test]
    fn the_first_end_is_the_one_that_counts() {
        let session = session();
        assert_eq!(session.ended(), None);
        assert!(session.finish(EndReason::Logout));
        assert!(!session.finish(EndReason::Idle));
        assert_eq!(session.ended(), Some(EndReason::Logout));
        assert!(session.follow(SessionId::mint().digest(), draft()).is_none());
    }

    #[test]
    fn whoever_holds_an_old_record_can_end_what_followed() {
        let (first, digest) = (session(), SessionId::mint().digest());
        let second = first.follow(digest, draft()).expect("the first lives");
        assert_eq!((first.ended(), second.ended()), (Some(EndReason::Replaced), None));
        assert!(first.follow(digest, draft()).is_none(), "one record follows another");
        assert!(!first.finish(EndReason::Idle), "its own limits no longer matter");
        assert_eq!(second.ended(), None);
        assert!(first.finish_line(EndReason::Logout));
        assert!(!first.finish_line(EndReason::Revoked));
        assert_eq!(second.ended(), Some(EndReason::Logout));
    }

    #[test]
    fn a_line_of_any_length_is_ended_and_dropped() {
        let (first, digest) = (Arc::new(session()), SessionId::mint().digest());
        let follow = |last: Arc<Session>| last.follow(digest, draft()).expect("it lives");
        let last = (0..200_000).fold(Arc::clone(&first), |last, _| follow(last));
        assert!(first.finish_line(EndReason::Logout));
        assert_eq!(last.ended(), Some(EndReason::Logout));
        drop(last);
        drop(first);
    }

    #[test]
    fn the_store_is_told_of_use_once_a_minute() {
        let session = session();
        let told =
            (1..=600_u64).filter(|n| session.touch(Timestamp::from_unix_millis(10_000 + n * 2000))).count();
        assert_eq!(told, 20, "1200 seconds");
    }

    #[test]
    fn last_seen_follows_the_clock_both_ways_but_not_within_a_second() {
        let session = session();
        let at = Timestamp::from_unix_millis;
        session.touch(at(10_900));
        assert_eq!(session.last_seen(), at(10_000));
        session.touch(at(12_000));
        assert_eq!(session.last_seen(), at(12_000));
        session.touch(at(5_000));
        assert_eq!(session.last_seen(), at(5_000), "a clock set back must not lengthen the idle limit");
    }
}
