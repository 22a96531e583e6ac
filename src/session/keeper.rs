//! Keeper: who keeps sessions, of the four who can.
//!
//! Comes in: what is configured. Goes out: the memory, and what stands behind it. Lives as long as the process:
//! configurations come and go around it, and none of them can exchange it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::session::bridge::Bridge;
use crate::session::django;
use crate::session::memory::MemoryStore;
use crate::session::redis::RedisSettings;
use crate::session::shared::Shared;
use crate::session::sql::SqlSettings;

/// What `session.store` needs to know besides.
#[derive(Clone, Debug, Default)]
pub enum Storage {
    /// Nothing: this process, or cookies.
    #[default]
    Here,
    /// `session.redis`
    Redis(Box<RedisSettings>),
    /// `session.sql`
    Sql(SqlSettings),
    /// `session.django`
    Django(Box<django::Settings>),
}

/// Who keeps the sessions.
#[derive(Debug)]
pub enum Keeper {
    /// This process, all of them; first it reads those of its last life.
    Memory(MemoryStore, Loading),
    /// A store outside; this process has those in use.
    Shared {
        /// Those in use.
        memory: Arc<MemoryStore>,
        /// All of them.
        shared: Shared,
    },
    /// The visitors themselves, sealed in cookies: the memory stays empty.
    Cookie(MemoryStore),
    /// A Django site; this process has what it said of those in use.
    Django {
        /// Those in use.
        memory: MemoryStore,
        /// The way to the site.
        bridge: Box<Bridge>,
    },
}

impl Keeper {
    /// What is in this process.
    pub fn memory(&self) -> &MemoryStore {
        match self {
            Keeper::Memory(memory, _) | Keeper::Cookie(memory) => memory,
            Keeper::Django { memory, .. } => memory,
            Keeper::Shared { memory, .. } => memory,
        }
    }

    /// The store outside, where there is one.
    pub fn shared(&self) -> Option<&Shared> {
        match self {
            Keeper::Shared { shared, .. } => Some(shared),
            Keeper::Memory(..) | Keeper::Cookie(_) | Keeper::Django { .. } => None,
        }
    }

    /// What is still to be read from a snapshot.
    pub fn loading(&self) -> Option<&Loading> {
        match self {
            Keeper::Memory(_, loading) if loading.is_under_way() => Some(loading),
            _ => None,
        }
    }
}

/// Whether sessions of the process's last life are still being read.
#[derive(Clone, Debug)]
pub struct Loading(Arc<watch::Sender<bool>>);

impl Loading {
    /// Something is to be read.
    pub fn begun() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    /// There is nothing to be read.
    pub fn nothing() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Everything has been read.
    pub fn done(&self) {
        self.0.send_replace(false);
    }

    fn is_under_way(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until everything has been read.
    pub async fn wait(&self) {
        let mut loading = self.0.subscribe();
        let _ = loading.wait_for(|loading| !loading).await;
    }
}
