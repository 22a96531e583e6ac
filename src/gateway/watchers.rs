//! Watchers: how many streams look at each session.
//!
//! Comes in: a session that somebody wants to watch. Goes out: leave to do so, for as long as the [`Watch`] is held; or
//! none, when as many look at it already as may. Lives as long as the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::id::Digest;

/// Streams of one session.
const MOST: u8 = 4;

/// How many streams look at which session.
#[derive(Debug, Default)]
pub struct Watchers(Mutex<HashMap<Digest, u8>>);

/// Leave to look at a session.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    digest: Digest,
}

impl Watchers {
    /// Leave to look at a session, unless too many do.
    pub fn admit(self: &Arc<Self>, digest: &Digest) -> Option<Watch> {
        let mut watched = self.lock();
        let count = watched.entry(*digest).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Watch { watchers: self.clone(), digest: *digest })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watchers.lock();
        if let Some(count) = watched.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                watched.remove(&self.digest);
            }
        }
    }
}
