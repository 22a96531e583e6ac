//! Memory: sessions kept in this process.
//!
//! Comes in: drafts, digests, ends. Goes out: records, shared by all workers. What lives is decided by one flag in the
//! record, set once: an end sets it first and removes the record afterwards, so whatever comes late finds it set.
//! Never holds more than it was told to: anonymous sessions have an eighth of the room, for themselves. The limits given
//! here only free memory; whether a session has expired is judged from its record, at each request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::session::id::{Digest, SessionId};
use crate::session::lifetime::Lifetime;
use crate::session::record::{Draft, EndReason, Session};
use crate::session::store::Store;

type Records = Cache<Digest, Arc<Session>>;
type Endings = Cache<Digest, EndReason>;

/// How many ends are remembered, and for how long, so that people can be told why.
const ENDINGS: u64 = 100_000;
const ENDINGS_KEPT: Duration = Duration::from_secs(600);

/// How much longer than its limits a record is held, so that an expiry is found and named by whoever asks.
const SLACK: Duration = Duration::from_secs(300);

/// Sessions in memory. Lives as long as the process: configurations come and go around it.
#[derive(Debug)]
pub struct MemoryStore {
    people: Records,
    anonymous: Records,
    endings: Endings,
    lifetime: Arc<ArcSwap<Lifetime>>,
}

impl MemoryStore {
    /// A store for so many sessions, at least two: seven eighths for people, one for anonymous visitors.
    pub fn new(max_sessions: u64, lifetime: Lifetime) -> Self {
        let endings = Cache::builder().max_capacity(ENDINGS).time_to_live(ENDINGS_KEPT).build();
        let lifetime = Arc::new(ArcSwap::from_pointee(lifetime));
        let anonymous = (max_sessions / 8).max(1);
        Self {
            people: records(max_sessions.saturating_sub(anonymous).max(1), &lifetime, &endings),
            anonymous: records(anonymous, &lifetime, &endings),
            endings,
            lifetime,
        }
    }

    /// From now on, records are freed by these limits.
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        self.lifetime.store(Arc::new(lifetime));
    }

    /// The session kept under this digest, if it lives.
    pub fn load(&self, digest: &Digest) -> Option<Arc<Session>> {
        let found = self.people.get(digest).or_else(|| self.anonymous.get(digest));
        found.filter(|session| session.ended().is_none())
    }

    /// Keeps a new session under a new id.
    pub fn create(&self, draft: Draft) -> (SessionId, Arc<Session>) {
        let id = SessionId::mint();
        let session = self.keep(Session::new(id.digest(), draft));
        (id, session)
    }

    /// Ends `old` and keeps `draft` under a new id in its place. `None` when `old` had ended before.
    pub fn replace(&self, old: &Session, draft: Draft) -> Option<(SessionId, Arc<Session>)> {
        let id = SessionId::mint();
        let next = old.follow(id.digest(), draft)?;
        self.drop_record(old);
        Some((id, self.keep(next)))
    }

    /// Ends a session and what has taken its place. False when there was nothing left to end.
    pub fn end(&self, session: &Session, reason: EndReason) -> bool {
        let first = session.finish(reason);
        if first && session.identity().is_some() {
            self.endings.insert(*session.digest(), reason);
        }
        self.drop_record(session);
        first
    }

    /// Why the session that was kept under this digest ended, where that is still known and somebody was logged in to it.
    pub fn reason(&self, digest: &Digest) -> Option<EndReason> {
        self.endings.get(digest)
    }

    /// How many sessions somebody is logged in to, and how many nobody is. Approximate: ends count a little later.
    pub fn counts(&self) -> (u64, u64) {
        (self.people.entry_count(), self.anonymous.entry_count())
    }

    /// Frees what has expired. Worth calling now and then: without traffic nothing else does.
    pub fn sweep(&self) {
        self.people.run_pending_tasks();
        self.anonymous.run_pending_tasks();
        self.endings.run_pending_tasks();
    }

    fn keep(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.records_of(&session).insert(*session.digest(), Arc::clone(&session));
        session
    }

    fn drop_record(&self, session: &Session) {
        self.records_of(session).invalidate(session.digest());
    }

    fn records_of(&self, session: &Session) -> &Records {
        if session.identity().is_some() { &self.people } else { &self.anonymous }
    }
}

/// Records that go when they have expired or when there are too many: then the least recently used first.
fn records(room: u64, lifetime: &Arc<ArcSwap<Lifetime>>, endings: &Endings) -> Records {
    let endings = endings.clone();
    Cache::builder()
        .max_capacity(room)
        .eviction_policy(EvictionPolicy::lru())
        .expire_after(Freed(Arc::clone(lifetime)))
        .eviction_listener(move |digest, session: Arc<Session>, cause| {
            let reason = match cause {
                RemovalCause::Size => EndReason::Evicted,
                RemovalCause::Expired => EndReason::Idle,
                RemovalCause::Explicit | RemovalCause::Replaced => return,
            };
            let ended_now = session.ended().is_none() && session.finish(reason);
            if ended_now && session.identity().is_some() {
                endings.insert(*digest, reason);
            }
        })
        .build()
}

/// When a record is freed, as far as memory is concerned: at each use its end is worked out anew.
struct Freed(Arc<ArcSwap<Lifetime>>);

impl Freed {
    fn after(&self, session: &Session) -> Option<Duration> {
        let ends = self.0.load().expires(session);
        Some(ends.since(session.last_seen()).saturating_add(SLACK))
    }
}

impl Expiry<Digest, Arc<Session>> for Freed {
    fn expire_after_create(&self, _: &Digest, session: &Arc<Session>, _: Instant) -> Option<Duration> {
        self.after(session)
    }

    fn expire_after_read(
        &self,
        _: &Digest,
        session: &Arc<Session>,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        self.after(session)
    }
}

impl Store for MemoryStore {
    async fn load(&self, digest: &Digest) -> Option<Arc<Session>> {
        self.load(digest)
    }

    async fn create(&self, draft: Draft) -> (SessionId, Arc<Session>) {
        self.create(draft)
    }

    async fn replace(&self, old: &Session, draft: Draft) -> Option<(SessionId, Arc<Session>)> {
        self.replace(old, draft)
    }

    async fn end(&self, session: &Session, reason: EndReason) -> bool {
        self.end(session, reason)
    }

    async fn reason(&self, digest: &Digest) -> Option<EndReason> {
        self.reason(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::store::contract::{alice, anonymous, start, store_contract};

    fn lifetime() -> Lifetime {
        let hour = Duration::from_secs(3600);
        Lifetime { idle: hour, absolute: 12 * hour, anonymous: hour, remember: 720 * hour }
    }

    #[test]
    fn the_memory_store_keeps_every_promise() {
        store_contract(|max_sessions| MemoryStore::new(max_sessions, lifetime()));
    }

    #[test]
    fn sessions_that_ended_leave_no_record_behind() {
        let store = MemoryStore::new(100_000, lifetime());
        for _ in 0..1000 {
            let (_, visitor) = store.create(anonymous());
            let (_, session) = store.replace(&visitor, alice()).expect("alive");
            store.end(&session, EndReason::Logout);
        }
        let (_, session) = store.create(alice());
        store.sweep();
        assert_eq!(store.counts(), (1, 0));
        assert!(store.load(session.digest()).is_some());
    }

    #[test]
    fn a_record_is_held_a_little_longer_than_it_may_live() {
        let freed = Freed(Arc::new(ArcSwap::from_pointee(lifetime())));
        let (_, session) = MemoryStore::new(8, lifetime()).create(alice());
        assert_eq!(freed.after(&session), Some(lifetime().idle + SLACK));
        session.touch(start().plus(lifetime().absolute));
        assert_eq!(freed.after(&session), Some(SLACK));
    }
}
