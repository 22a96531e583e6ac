//! Bridge: a Django site keeps the sessions, and this gateway reads them.
//!
//! Comes in: the value of the site's cookie. Goes out: the session that stands for it here, for as long as the site knows
//! it. What the site says counts for `local_cache`; one question is under way for each cookie. Never writes to the site.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use moka::sync::Cache;
use tokio::runtime::Runtime;

use crate::clock::Timestamp;
use crate::session::django::{Django, DjangoSession, Settings};
use crate::session::id::{Digest, Proof};
use crate::session::memory::MemoryStore;
use crate::session::origin::Origin;
use crate::session::record::{EndReason, Session};
use crate::session::shared::lock;
use crate::session::store::StoreError;
use crate::session::stored::{Stored, Turn};

/// Cookies that are remembered, to look after what is open without an end.
const REMEMBERED: u64 = 50_000;

type Answer = Result<Option<DjangoSession>, StoreError>;

/// A Django site, and the thread that asks it.
#[derive(Debug)]
pub struct Bridge {
    django: Arc<Django>,
    cookie_name: String,
    local_cache: Duration,
    flights: Mutex<HashMap<Digest, Shared<BoxFuture<'static, Answer>>>>,
    cookies: Cache<Digest, Arc<str>>,
    runtime: Option<Runtime>,
}

impl Bridge {
    /// Starts the thread that asks the site.
    pub fn start(settings: Settings) -> Result<Self, StoreError> {
        let (cookie_name, local_cache) = (settings.cookie_name.clone(), settings.local_cache);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("django")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Away(error.to_string()))?;
        let django = {
            let _inside = runtime.enter();
            Django::new(settings).map_err(StoreError::Broken)?
        };
        Ok(Self {
            django: Arc::new(django),
            cookie_name,
            local_cache,
            flights: Mutex::default(),
            cookies: Cache::new(REMEMBERED),
            runtime: Some(runtime),
        })
    }

    /// The name of the site's cookie.
    pub fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// The key under which the memory has the session of a cookie.
    pub fn digest(cookie: &str) -> Digest {
        let hash = digest(&SHA256, cookie.as_bytes());
        Digest::from_bytes(*hash.as_ref().first_chunk().expect("a SHA-256 is 32 bytes long"))
    }

    /// Whether what the site said of a session still counts.
    pub fn counts(&self, session: &Session, now: Timestamp) -> bool {
        now.since(session.turns().now(session.created()).since) < self.local_cache
    }

    /// Asks the site, and has the memory say the same.
    pub async fn ask(&self, memory: &MemoryStore, cookie: &str, now: Timestamp) -> Result<(), StoreError> {
        let digest = Self::digest(cookie);
        let flight = {
            let mut flights = lock(&self.flights);
            flights.entry(digest).or_insert_with(|| self.take_off(cookie, now)).clone()
        };
        let answer = flight.await;
        lock(&self.flights).remove(&digest);
        let known = memory.load(&digest);
        match (answer?, known) {
            (Some(login), Some(session)) if is_the_same(&login, &session) => {
                let turn = Turn { since: now, ..session.turns().now(session.created()) };
                session.turns().set(turn, session.created());
            }
            (Some(login), known) => {
                if let Some(session) = known {
                    memory.forget(&session);
                }
                self.cookies.insert(digest, cookie.into());
                memory.adopt(stored(digest, login, now));
            }
            (None, Some(session)) => {
                // Nothing tells a logout from an end by an administrator: the session may come back under the same cookie.
                session.finish(EndReason::Logout);
                memory.forget(&session);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn take_off(&self, cookie: &str, now: Timestamp) -> Shared<BoxFuture<'static, Answer>> {
        let (django, cookie) = (self.django.clone(), cookie.to_owned());
        let asking = self.runtime().spawn(async move { django.find(&cookie, now).await });
        let told = asking.map(|done| done.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string()))));
        told.boxed().shared()
    }

    /// Looks after a session that something without an end belongs to.
    pub fn look_after(&self, session: &Arc<Session>, now: Timestamp) {
        let Some(cookie) = self.cookies.get(session.digest()) else { return };
        let turn = Turn { since: now, ..session.turns().now(session.created()) };
        session.turns().set(turn, session.created());
        let (django, session) = (self.django.clone(), session.clone());
        self.runtime().spawn(async move {
            let answer = django.find(&cookie, now).await;
            if answer.is_ok_and(|login| !login.is_some_and(|login| is_the_same(&login, &session))) {
                session.finish(EndReason::Logout);
            }
        });
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn is_the_same(login: &DjangoSession, session: &Session) -> bool {
    session.credential() == login.credential && session.identity() == Some(&login.identity)
}

/// A session that stands for one of the site's. It has no id of ours: its turn says since when the site's word counts.
fn stored(digest: Digest, login: DjangoSession, now: Timestamp) -> Stored {
    Stored {
        digest,
        turn: Turn { proof: Proof::from_bits(0), since: now, previous: None, shown: None },
        identity: Some(login.identity),
        credential: login.credential,
        created: now,
        last_seen: now,
        remember: false,
        idle: 0,
        origin: Origin::default(),
        data: Default::default(),
        revision: 1,
    }
}
