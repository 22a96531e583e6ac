//! Store: where sessions are kept for good, and what every keeper promises.
//!
//! Comes in: sessions as plain values, and the digests they are kept under. Goes out: the same, or why there is none.
//! Never judges how long a session may live (that is [`Lifetime`](crate::session::lifetime::Lifetime)), never changes one
//! by itself, and never sees an id.

use std::fmt::Debug;
use std::pin::Pin;

use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::stored::Stored;

#[cfg(test)]
pub(in crate::session) mod contract;

/// A store's answer, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or refuses to work.
    #[error("the session store is away: {0}")]
    Away(String),
    /// It did not answer in time.
    #[error("the session store did not answer in time")]
    TimedOut,
    /// It answered what it never should.
    #[error("the session store holds something unreadable: {0}")]
    Broken(String),
}

impl StoreError {
    /// Whether the store may answer the same question later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_) | Self::TimedOut)
    }
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A session that lives.
    Lives(Box<Stored>),
    /// One that ended not long ago: why, and which one follows it where that is [`EndReason::Replaced`].
    Ended(EndReason, Option<Digest>),
    /// Nothing is known of it.
    Nothing,
}

/// What came of a write that was based on an earlier revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Saved {
    /// It is kept; its revision is one more than before.
    Done,
    /// Another write was faster: this is what is kept now.
    Conflict(Box<Stored>),
    /// It has ended, and nothing was written.
    Gone,
}

/// What came of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It lived, and lives no more.
    Now,
    /// It had ended before, for this reason, and this one follows it.
    Before(EndReason, Option<Digest>),
    /// There was none of this digest; one that is created under it from now on is dead at once.
    Never,
}

/// That a session was used: when, and when it expires because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub digest: Digest,
    /// When a request last came with it. A store keeps the latest it has heard of.
    pub last_seen: Timestamp,
    /// When a store may forget it.
    pub expires: Timestamp,
}

/// What another gateway did at the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A session ended.
    Ended(Digest, EndReason),
    /// A session was written; what is remembered of it is old.
    Changed(Digest),
    /// The line was cut: anything may have happened.
    Missed,
}

/// Somebody who wants to hear the news.
pub type Listener = Box<dyn Fn(News) + Send + Sync>;

/// A store outside this process, shared by any number of gateways. For each of them holds, at whatever time they call:
///
/// - a session lives from `create` until `end`, and never again after that, whatever comes late: `save` says
///   [`Saved::Gone`], and `touch` does nothing;
/// - `save` writes only if nobody wrote since: the revision in the session is the one it was read with;
/// - for ten minutes after an end, `load` says why, and which session follows;
/// - an `end` of what does not exist yet makes its `create` say `false`;
/// - all others hear of an end or a change within a second;
/// - what has expired is removed by `sweep`, or by the store itself; `load` may still find it until then.
///
/// A call that is dropped has either happened or not. Nothing waits for longer than the store's own timeout.
pub trait Store: Debug + Send + Sync {
    /// The session kept under this digest.
    fn load(&self, digest: Digest) -> Answer<'_, Found>;

    /// Keeps a new session, at revision 1. False when it had ended before it began.
    fn create<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, bool>;

    /// Writes a session anew, where `session.revision` is the one that is kept; it is one more afterwards.
    fn save<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, Saved>;

    /// Ends a session for good. `now` is the time from which the ten minutes count.
    fn end(
        &self,
        digest: Digest,
        reason: EndReason,
        follower: Option<Digest>,
        now: Timestamp,
    ) -> Answer<'_, Ended>;

    /// Notes that sessions were used.
    fn touch<'a>(&'a self, uses: &'a [Use]) -> Answer<'a, ()>;

    /// All living sessions of a user.
    fn of_user<'a>(&'a self, user: &'a str) -> Answer<'a, Vec<Stored>>;

    /// Living sessions in the order of their digests, at most `most`, those behind `after`.
    fn page(&self, after: Option<Digest>, most: usize) -> Answer<'_, Vec<Stored>>;

    /// Removes what has expired, in small batches; says how many.
    fn sweep(&self, now: Timestamp) -> Answer<'_, u64>;

    /// Tells `listener` what other gateways do, for as long as it is polled; reconnects by itself, and says
    /// [`News::Missed`] whenever it could not listen for a while.
    fn listen(&self, listener: Listener) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
