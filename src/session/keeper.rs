//! Keeper: who keeps sessions, of the four who can.
//!
//! Comes in: what is configured. Goes out: the memory, and what stands behind it. Lives as long as the process:
//! configurations come and go around it, and none of them can exchange it.

use crate::session::memory::MemoryStore;
use crate::session::shared::Shared;

/// Who keeps the sessions.
#[derive(Debug)]
pub enum Keeper {
    /// This process, all of them.
    Memory(MemoryStore),
    /// A store outside; this process has those in use.
    Shared {
        /// Those in use.
        memory: std::sync::Arc<MemoryStore>,
        /// All of them.
        shared: Shared,
    },
    /// The visitors themselves, sealed in cookies: the memory stays empty.
    Cookie(MemoryStore),
}

impl Keeper {
    /// What is in this process.
    pub fn memory(&self) -> &MemoryStore {
        match self {
            Keeper::Memory(memory) | Keeper::Cookie(memory) => memory,
            Keeper::Shared { memory, .. } => memory,
        }
    }

    /// The store outside, where there is one.
    pub fn shared(&self) -> Option<&Shared> {
        match self {
            Keeper::Shared { shared, .. } => Some(shared),
            Keeper::Memory(_) | Keeper::Cookie(_) => None,
        }
    }
}
