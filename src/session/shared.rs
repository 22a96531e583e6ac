//! Shared: what stands in front of a store that other gateways use as well.
//!
//! Comes in: questions about sessions that are not in memory, and changes to any. Goes out: sessions that are in memory from
//! then on. Sessions in use are answered without asking the store; one question is under way for each session; uses are
//! told to it once in a while, and no request waits for that. What happens at other gateways is heard and obeyed. Never lets
//! a session go on that is known to have ended, and never ends one because its store is away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::runtime::Runtime;

use crate::clock::{Clock, Timestamp};
use crate::session::breaker::Breaker;
use crate::session::draft::Draft;
use crate::session::id::{Digest, SessionId};
use crate::session::lifetime::Lifetime;
use crate::session::memory::MemoryStore;
use crate::session::record::{EndReason, Session};
use crate::session::store::{Ended, Found, Store, StoreError, Use};
use crate::session::stored::Stored;

mod chores;
mod front;

pub(in crate::session) use front::lock;
use front::{Flight, Front};

/// A store outside this process, with the memory in front of it.
#[derive(Debug)]
pub struct Shared {
    front: Arc<Front>,
    runtime: Option<Runtime>,
}

impl Shared {
    /// Starts the thread that speaks with the store, which is opened there.
    pub fn start(
        open: impl Future<Output = Result<Arc<dyn Store>, StoreError>>,
        memory: Arc<MemoryStore>,
        lifetime: Lifetime,
        touch_interval: Duration,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("session-store")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Away(error.to_string()))?;
        let store = runtime.block_on(open)?;
        let front = Arc::new(Front {
            store,
            memory,
            lifetime: ArcSwap::from_pointee(lifetime),
            touch_interval,
            clock,
            breaker: Breaker::new(),
            flights: Mutex::default(),
            turns: Mutex::default(),
            uses: Mutex::default(),
            ends: Mutex::default(),
        });
        runtime.spawn(chores::listen(front.clone()));
        runtime.spawn(chores::keep_up(front.clone()));
        Ok(Self { front, runtime: Some(runtime) })
    }

    /// From now on these limits.
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        self.front.lifetime.store(Arc::new(lifetime));
    }

    /// Asks for a session that is not in memory, or not as it is now. It is in memory afterwards, if it lives.
    pub async fn fetch(&self, digest: Digest) -> Result<Option<Arc<Session>>, StoreError> {
        let landing = {
            let mut flights = lock(&self.front.flights);
            let flight = flights.entry(digest).or_insert_with(|| self.take_off(digest));
            flight.landing.clone()
        };
        landing.await
    }

    fn take_off(&self, digest: Digest) -> Flight {
        let overtaken = Arc::new(AtomicBool::new(false));
        let (front, flag) = (self.front.clone(), overtaken.clone());
        let work = self.runtime().spawn(async move {
            let found = front.ask(front.store.load(digest)).await;
            let session = found.map(|found| front.take_in(digest, found, &flag));
            lock(&front.flights).remove(&digest);
            if let (true, Ok(Some(session))) = (flag.load(Ordering::Acquire), &session) {
                session.set_stale(true);
            }
            session
        });
        let landing =
            work.map(|done| done.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string()))));
        Flight { landing: landing.boxed().shared(), overtaken }
    }

    /// Looks after a session that somebody holds on to while the memory may have forgotten it.
    pub fn look_after(&self, session: &Arc<Session>) {
        let was_stale = session.is_stale();
        session.set_stale(false);
        let (front, session) = (self.front.clone(), session.clone());
        self.runtime().spawn(async move {
            match front.ask(front.store.load(*session.digest())).await {
                Ok(Found::Lives(stored)) => session.absorb(*stored),
                Ok(Found::Ended(reason, _)) => drop(session.finish(reason)),
                Ok(Found::Nothing) => drop(session.finish(front.why(&session))),
                // Away: what was believed before is believed on.
                Err(_) => session.set_stale(was_stale),
            }
        });
    }

    /// Notes that a session was used. The store hears of it soon.
    pub fn note_use(&self, session: &Arc<Session>) {
        let usage = Use {
            digest: *session.digest(),
            last_seen: session.last_seen(),
            expires: self.front.expires(session.times()),
        };
        lock(&self.front.uses).insert(*session.digest(), usage);
        // Whether it still lives there is worth a look from time to time, since news may get lost.
        self.look_after(session);
    }

    /// Notes that the present id was shown for the first time: the one before is good for half a minute more, everywhere.
    pub fn note_shown(&self, session: &Arc<Session>, now: Timestamp) {
        let (front, session) = (self.front.clone(), session.clone());
        self.runtime().spawn(async move {
            let shown = |stored: &mut Stored| stored.turn.shown = stored.turn.shown.or(Some(now));
            let noted = front.ask(front.change(&session, shown)).await;
            noted.inspect_err(|error| tracing::debug!("{error}")).map(drop)
        });
    }

    /// Ends a session of which the store hears soon.
    pub fn end_soon(&self, session: &Session, reason: EndReason) {
        self.front.memory.ended_elsewhere(session.digest(), reason);
        lock(&self.front.ends).insert(*session.digest(), reason);
    }

    /// Keeps a new session under a new id.
    pub async fn create(&self, draft: Draft) -> Result<(SessionId, Arc<Session>), StoreError> {
        let id = SessionId::mint();
        let session = self.put(draft.stored(&id)).await?;
        session
            .map(|session| (id, session))
            .ok_or_else(|| StoreError::Broken("a new id was known".to_owned()))
    }

    /// Ends `old` and keeps `draft` under a new id in its place. `None` when `old` had ended before, or ends as a whole
    /// meanwhile.
    pub async fn replace(
        &self,
        old: &Session,
        draft: Draft,
    ) -> Result<Option<(SessionId, Arc<Session>)>, StoreError> {
        let id = SessionId::mint();
        let (old, next) = (*old.digest(), draft.stored(&id));
        let (store, now, follower) = (self.front.store.clone(), self.front.clock.now(), next.digest);
        let ended =
            self.run(async move { store.end(old, EndReason::Replaced, Some(follower), now).await }).await?;
        if matches!(ended, Ended::Before(..)) {
            return Ok(None);
        }
        self.front.memory.ended_elsewhere(&old, EndReason::Replaced);
        Ok(self.put(next).await?.map(|session| (id, session)))
    }

    async fn put(&self, stored: Stored) -> Result<Option<Arc<Session>>, StoreError> {
        let (store, kept, expires) =
            (self.front.store.clone(), stored.clone(), self.front.expires(stored.times()));
        let created = self.run(async move { store.create(&kept, expires).await }).await?;
        Ok(if created { self.front.memory.adopt(stored) } else { None })
    }

    /// Changes a session by `change`, which is called again when another gateway was faster. `None` when it has ended.
    pub async fn change<T: Send + 'static>(
        &self,
        session: &Arc<Session>,
        change: impl FnMut(&mut Stored) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let (front, session) = (self.front.clone(), session.clone());
        self.run(async move { front.change(&session, change).await }).await
    }

    /// Ends a session and what has taken its place. False when there was nothing left to end. Whatever the store says, this
    /// gateway knows it no more, and the store hears of it when it is back.
    pub async fn end(&self, session: &Session, reason: EndReason) -> Result<bool, StoreError> {
        session.finish(reason);
        self.end_digest(*session.digest(), reason).await
    }

    /// The same for a session that need not be in memory.
    pub async fn end_digest(&self, digest: Digest, reason: EndReason) -> Result<bool, StoreError> {
        let front = self.front.clone();
        self.run(async move { front.end(digest, reason).await }).await
    }

    /// The living session of this digest, as the store keeps it; the memory does not learn of it.
    pub async fn of_digest(&self, digest: Digest) -> Result<Option<Stored>, StoreError> {
        let store = self.front.store.clone();
        let found = self.run(async move { store.load(digest).await }).await?;
        Ok(if let Found::Lives(stored) = found { Some(*stored) } else { None })
    }

    /// The living sessions of a user, the oldest first.
    pub async fn of_user(&self, user: &str) -> Result<Vec<Stored>, StoreError> {
        let (store, user) = (self.front.store.clone(), user.to_owned());
        let mut found = self.run(async move { store.of_user(&user).await }).await?;
        found.retain(|stored| self.front.lives(stored));
        found.sort_by_key(|stored| (stored.created, stored.digest));
        Ok(found)
    }

    /// Living sessions in the order of their digests.
    pub async fn page(&self, after: Option<Digest>, most: usize) -> Result<Vec<Stored>, StoreError> {
        let store = self.front.store.clone();
        self.run(async move { store.page(after, most).await }).await
    }

    /// Tells the store what it has not heard of yet.
    pub fn settle(&self) {
        let front = self.front.clone();
        let told = self.runtime().spawn(async move { chores::tell(&front).await });
        let _ = self.runtime().block_on(told);
    }

    /// Runs a question on the store's own runtime, whether somebody waits for the answer or not.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let front = self.front.clone();
        let work = self.runtime().spawn(async move { front.ask(work).await });
        work.await.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
