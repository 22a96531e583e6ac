//! Front: what the threads that ask and the thread that speaks with the store have in common.
//!
//! Comes in: answers of the store, and its news. Goes out: the memory, true to them. Never believes an answer that something
//! overtook on its way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::{self, BoxFuture};

use crate::clock::{Clock, Timestamp};
use crate::session::breaker::Breaker;
use crate::session::id::Digest;
use crate::session::lifetime::{Lifetime, Times};
use crate::session::memory::MemoryStore;
use crate::session::record::{EndReason, Session};
use crate::session::store::{Ended, Found, News, Saved, Store, StoreError, Use};
use crate::session::stored::Stored;

/// How often a write is tried again because another gateway was faster.
const TRIES: usize = 100;

/// How many logins back the end of a session follows those that came after it.
const LONGEST_LINE: usize = 100;

/// What tasks on the store's own runtime share with those who ask.
#[derive(Debug)]
pub(super) struct Front {
    pub store: Arc<dyn Store>,
    pub memory: Arc<MemoryStore>,
    pub lifetime: ArcSwap<Lifetime>,
    /// `session.touch_interval`: how far behind the store may be with a session's last use.
    pub touch_interval: Duration,
    pub clock: Clock,
    pub breaker: Breaker,
    pub flights: Mutex<HashMap<Digest, Flight>>,
    /// One change at a time for each session of this process.
    pub turns: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// Uses the store has not heard of.
    pub uses: Mutex<HashMap<Digest, Use>>,
    /// Ends the store has not heard of, because it was away.
    pub ends: Mutex<HashMap<Digest, EndReason>>,
}

pub(super) type Landing = future::Shared<BoxFuture<'static, Result<Option<Arc<Session>>, StoreError>>>;

/// A question under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub landing: Landing,
    /// Something happened to the session meanwhile.
    pub overtaken: Arc<AtomicBool>,
}

impl Front {
    /// Asks the store, unless it is to be left alone just now.
    pub async fn ask<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if !self.breaker.admits() {
            return Err(StoreError::Away("it failed a moment ago".to_owned()));
        }
        let answer = work.await;
        let failed = matches!(answer, Err(StoreError::Away(_) | StoreError::TimedOut));
        match (&answer, self.breaker.went(!failed)) {
            (Err(error), true) => {
                tracing::error!("{error}; sessions in memory go on, others are answered 503")
            }
            (Ok(_), true) => tracing::info!("the session store is back"),
            _ => {}
        }
        answer
    }

    /// What was found comes into memory.
    pub fn take_in(&self, digest: Digest, found: Found, overtaken: &AtomicBool) -> Option<Arc<Session>> {
        match found {
            Found::Lives(stored) => {
                let newest = !overtaken.load(Ordering::Acquire);
                let session = self.memory.adopt(*stored)?;
                session.set_stale(!newest);
                Some(session)
            }
            Found::Ended(reason, _) => {
                self.memory.ended_elsewhere(&digest, reason);
                None
            }
            Found::Nothing => {
                if let Some(session) = self.memory.load(&digest) {
                    self.memory.ended_elsewhere(&digest, self.why(&session));
                }
                None
            }
        }
    }

    pub async fn change<T>(
        &self,
        session: &Arc<Session>,
        mut change: impl FnMut(&mut Stored) -> T,
    ) -> Result<Option<T>, StoreError> {
        let turn = self.turn(session.digest());
        let _mine = turn.lock().await;
        let mut stored = session.stored();
        for _ in 0..TRIES {
            let told = change(&mut stored);
            match self.store.save(&stored, self.expires(stored.times())).await? {
                Saved::Done => {
                    stored.revision += 1;
                    self.overtake(session.digest());
                    let (before, after) = (session.data_size(), stored.data.size());
                    session.absorb(stored);
                    self.memory.reweigh(session, before, after);
                    return Ok(Some(told));
                }
                Saved::Conflict(kept) => stored = *kept,
                Saved::Gone => {
                    self.memory.ended_elsewhere(session.digest(), EndReason::Revoked);
                    session.finish(EndReason::Revoked);
                    return Ok(None);
                }
            }
        }
        Err(StoreError::Away("too many gateways write to one session".to_owned()))
    }

    pub async fn end(&self, first: Digest, reason: EndReason) -> Result<bool, StoreError> {
        let (mut digest, now) = (first, self.clock.now());
        for _ in 0..LONGEST_LINE {
            self.memory.ended_elsewhere(&digest, reason);
            let ended = self.store.end(digest, reason, None, now).await.inspect_err(|_| {
                lock(&self.ends).insert(digest, reason);
            })?;
            match ended {
                Ended::Now => return Ok(true),
                Ended::Before(EndReason::Replaced, Some(follower)) => digest = follower,
                Ended::Before(..) | Ended::Never => return Ok(false),
            }
        }
        Ok(false)
    }

    /// What happened at another gateway.
    pub fn hear(&self, news: News) {
        match news {
            News::Ended(digest, reason) => {
                self.overtake(&digest);
                self.memory.ended_elsewhere(&digest, reason);
            }
            News::Changed(digest) => {
                self.overtake(&digest);
                if let Some(session) = self.memory.load(&digest) {
                    session.set_stale(true);
                }
            }
            News::Missed => {
                lock(&self.flights)
                    .values()
                    .for_each(|flight| flight.overtaken.store(true, Ordering::Release));
                self.memory.iter().for_each(|session| session.set_stale(true));
            }
        }
    }

    /// A question under way may bring an old answer.
    fn overtake(&self, digest: &Digest) {
        if let Some(flight) = lock(&self.flights).get(digest) {
            flight.overtaken.store(true, Ordering::Release);
        }
    }

    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        if let Some(turn) = turns.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() > 1000 {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        turns.insert(*digest, Arc::downgrade(&turn));
        turn
    }

    /// When the store may forget a session: after its limits, and as much later as it hears of uses late.
    pub fn expires(&self, times: Times) -> Timestamp {
        let ends = self.lifetime.load().ends(times);
        ends.plus(self.touch_interval).plus(Duration::from_secs(60))
    }

    pub fn lives(&self, stored: &Stored) -> bool {
        self.lifetime.load().verdict_stored(stored, self.clock.now()).is_ok()
    }

    /// Why a session that its store no longer has may have ended.
    pub fn why(&self, session: &Session) -> EndReason {
        self.lifetime.load().verdict(session, self.clock.now()).err().unwrap_or(EndReason::Revoked)
    }
}

/// A panic elsewhere leaves nothing half done here.
pub(in crate::session) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
