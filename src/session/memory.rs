//! Memory: sessions kept in this process.
//!
//! Comes in: drafts, digests, ends. Goes out: records, shared by all workers. What lives is decided by one mark in the
//! record, set once: an end sets it first and removes the record afterwards, so whatever comes late finds it set.
//! moka decides which records stay and tells the index, where they are looked up: to ask moka costs ten times as much.
//! A record is in the index before moka knows it: whatever moka then does to it, its listener finds it there to remove.
//! Never holds more than it was told to: anonymous sessions have an eighth of the room, for themselves. The limits given
//! here only free memory; whether a session has expired is judged from its record, at each request.

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::session::former::Store;
use crate::session::id::{Digest, SessionId};
use crate::session::index::Index;
use crate::session::lifetime::Lifetime;
use crate::session::record::{Draft, EndReason, Session};

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
    index: Arc<Index>,
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
        let index = Arc::new(Index::new());
        Self {
            people: records(max_sessions.saturating_sub(anonymous).max(1), &lifetime, &endings, &index),
            anonymous: records(anonymous, &lifetime, &endings, &index),
            index,
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
        self.index.get(digest).filter(|session| session.ended().is_none())
    }

    /// Notes that a request came with a session. moka hears of it once a minute: the order in which it evicts is true to
    /// that grain, and no record is freed early, since `SLACK` is longer.
    pub fn touch(&self, session: &Session, now: Timestamp) {
        if session.touch(now) {
            self.records_of(session).get(session.digest());
        }
    }

    /// Keeps a new session under a new id.
    pub fn create(&self, draft: Draft) -> (SessionId, Arc<Session>) {
        let id = SessionId::mint();
        let session = Arc::new(Session::new(id.digest(), draft));
        self.keep(&session);
        (id, session)
    }

    /// Ends `old` and keeps `draft` under a new id in its place. `None` when `old` had ended before.
    pub fn replace(&self, old: &Session, draft: Draft) -> Option<(SessionId, Arc<Session>)> {
        let id = SessionId::mint();
        let next = old.follow(id.digest(), draft)?;
        self.drop_record(old);
        self.keep(&next);
        Some((id, next))
    }

    /// Ends a session and what has taken its place. False when there was nothing left to end.
    pub fn end(&self, session: &Session, reason: EndReason) -> bool {
        let first = session.finish_line(reason);
        for session in iter::successors(Some(session), |session| session.follower()) {
            if first && session.identity().is_some() {
                self.endings.insert(*session.digest(), reason);
            }
            self.drop_record(session);
        }
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

    fn keep(&self, session: &Arc<Session>) {
        self.index.insert(Arc::clone(session));
        self.records_of(session).insert(*session.digest(), Arc::clone(session));
        // Whoever ended it meanwhile, as what follows another, may have come too early to remove it.
        if session.ended().is_some() {
            self.drop_record(session);
        }
    }

    fn drop_record(&self, session: &Session) {
        self.index.remove(session.digest());
        self.records_of(session).invalidate(session.digest());
    }

    fn records_of(&self, session: &Session) -> &Records {
        if session.identity().is_some() { &self.people } else { &self.anonymous }
    }
}

/// Records that go when they have expired or when there are too many: then the least recently used first.
fn records(room: u64, lifetime: &Arc<ArcSwap<Lifetime>>, endings: &Endings, index: &Arc<Index>) -> Records {
    let (endings, index) = (endings.clone(), Arc::clone(index));
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
            if session.finish(reason) && session.identity().is_some() {
                endings.insert(*digest, reason);
            }
            index.remove(&digest);
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
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::session::former::contract::{alice, anonymous, start, store_contract};

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
    fn a_session_in_use_stays_when_others_go() {
        let store = MemoryStore::new(16, lifetime());
        let add = |n| -> Vec<_> { (0..n).map(|_| store.create(alice()).1).collect() };
        let (used, unused) = (add(1), add(1));
        add(10);
        store.sweep();
        store.touch(&used[0], start().plus(Duration::from_secs(120)));
        add(10);
        store.sweep();
        assert!(store.load(used[0].digest()).is_some());
        assert!(store.load(unused[0].digest()).is_none());
        assert_eq!(unused[0].ended(), Some(EndReason::Evicted));
        assert_eq!(store.reason(unused[0].digest()), Some(EndReason::Evicted));
    }

    #[test]
    fn index_and_moka_hold_the_same_after_any_race() {
        let store = MemoryStore::new(64, lifetime());
        let slots: Vec<_> = (0..16).map(|_| Mutex::new(store.create(alice()).1)).collect();
        let work = || {
            for n in 0..20_000_usize {
                let draft = || if n % 3 == 0 { anonymous() } else { alice() };
                let session = Arc::clone(&slots[n % 16].lock().expect("no panic"));
                let next = match n % 4 {
                    0 => store.replace(&session, draft()),
                    1 => store.end(&session, EndReason::Logout).then(|| store.create(draft())),
                    2 => store.load(session.digest()).is_none().then(|| store.create(draft())),
                    _ => Some(store.create(draft())),
                };
                store.touch(&session, start().plus(Duration::from_secs(n as u64)));
                if let Some((_, next)) = next {
                    *slots[n / 5 % 16].lock().expect("no panic") = next;
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
        store.sweep();
        let kept = || store.people.iter().chain(store.anonymous.iter()).map(|(_, session)| session);
        assert_eq!(store.index.len(), kept().count());
        assert!(store.index.len() <= 64, "{:?}", store.index);
        for session in kept() {
            assert_eq!(session.ended(), None);
            assert!(store.load(session.digest()).is_some_and(|found| Arc::ptr_eq(&found, &session)));
        }
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
