//! Record: what is kept for a visitor.
//!
//! Comes in: a draft, and the digest of the id a store minted for it. Goes out: a [`Session`] that never changes in place
//! but for two things: when it was last seen, and, once and for all, that it has ended. Never holds the id.
//!
//! A session that goes on under a new id is a new record of the same *line*. A line ends as a whole, by one flag that is
//! set once: whichever record somebody holds, however old, ending it ends all, and nothing that comes late undoes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::id::Digest;

/// What a session shall hold; a store makes it a [`Session`] by minting an id for it.
#[derive(Clone, Debug)]
pub struct Draft {
    identity: Option<Arc<Identity>>,
    created: Timestamp,
    authenticated_at: Option<Timestamp>,
    remember: bool,
}

impl Draft {
    /// For a visitor nobody knows.
    pub fn anonymous(now: Timestamp) -> Self {
        Self { identity: None, created: now, authenticated_at: None, remember: false }
    }

    /// For somebody who has just proved who they are; `remember`: beyond the end of the browser's own session.
    pub fn signed_in(identity: Arc<Identity>, remember: bool, now: Timestamp) -> Self {
        Self { identity: Some(identity), created: now, authenticated_at: Some(now), remember }
    }
}

/// What is kept for a visitor.
#[derive(Debug)]
pub struct Session {
    digest: Digest,
    short: u32,
    held: Draft,
    last_seen: AtomicU64,
    replaced: AtomicBool,
    line: Arc<AtomicU8>,
}

impl Session {
    /// A record under a freshly minted id.
    pub(in crate::session) fn new(digest: Digest, draft: Draft) -> Self {
        Self::of_line(digest, draft, Arc::default())
    }

    /// A record under a freshly minted id, to follow this one. `None` when this one has ended or is followed already.
    pub(in crate::session) fn follow(&self, digest: Digest, draft: Draft) -> Option<Self> {
        let first = !self.replaced.swap(true, Ordering::AcqRel);
        let alive = self.line.load(Ordering::Acquire) == ALIVE;
        (first && alive).then(|| Self::of_line(digest, draft, Arc::clone(&self.line)))
    }

    fn of_line(digest: Digest, draft: Draft, line: Arc<AtomicU8>) -> Self {
        Self {
            digest,
            short: digest.short(),
            last_seen: AtomicU64::new(draft.created.unix_millis()),
            held: draft,
            replaced: AtomicBool::new(false),
            line,
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
        self.held.identity.as_deref()
    }

    /// When the record was made.
    pub fn created(&self) -> Timestamp {
        self.held.created
    }

    /// When they logged in.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.held.authenticated_at
    }

    /// Whether "keep me signed in" was ticked.
    pub fn remember(&self) -> bool {
        self.held.remember
    }

    /// When a request last came with it.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Whether it was seen within the last second, by a clock that has not gone backwards since.
    pub fn seen_just_now(&self, now: Timestamp) -> bool {
        let last = self.last_seen();
        last <= now && now.since(last).as_millis() <= 1000
    }

    /// Notes that a request came with it; written at most once a second, and never brings an ended session back.
    pub(in crate::session) fn touch(&self, now: Timestamp) {
        if !self.seen_just_now(now) {
            self.last_seen.store(now.unix_millis(), Ordering::Relaxed);
        }
    }

    /// Why it ended; `None` while it lives.
    pub fn ended(&self) -> Option<EndReason> {
        let replaced = || self.replaced.load(Ordering::Acquire).then_some(EndReason::Replaced);
        EndReason::from_code(self.line.load(Ordering::Acquire)).or_else(replaced)
    }

    /// Ends it and whatever follows it, for good. False when that had happened before: the first reason stays.
    pub(in crate::session) fn finish(&self, reason: EndReason) -> bool {
        self.line.compare_exchange(ALIVE, reason.code(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

const ALIVE: u8 = 0;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// The person signed out.
    Logout = 1,
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
    const ALL: [Self; 9] = [
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

    const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    fn session() -> Session {
        Session::new(SessionId::mint().digest(), Draft::anonymous(Timestamp::from_unix_millis(10_000)))
    }

    #[test]
    fn the_first_end_is_the_one_that_counts() {
        let session = session();
        assert_eq!(session.ended(), None);
        assert!(session.finish(EndReason::Logout));
        assert!(!session.finish(EndReason::Idle));
        assert_eq!(session.ended(), Some(EndReason::Logout));
        assert!(session.follow(SessionId::mint().digest(), session.held.clone()).is_none());
    }

    #[test]
    fn a_line_ends_as_a_whole_from_any_of_its_records() {
        let (first, digest) = (session(), SessionId::mint().digest());
        let second = first.follow(digest, first.held.clone()).expect("the first lives");
        assert_eq!((first.ended(), second.ended()), (Some(EndReason::Replaced), None));
        assert!(first.follow(digest, first.held.clone()).is_none(), "one record follows another");
        assert!(first.finish(EndReason::Logout));
        assert_eq!(second.ended(), Some(EndReason::Logout));
    }

    #[test]
    fn every_reason_survives_the_way_through_its_code() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_code(reason.code()), Some(reason), "{}", reason.as_str());
        }
        assert_eq!(EndReason::from_code(ALIVE), None);
        assert_eq!(EndReason::from_code(99), None);
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
