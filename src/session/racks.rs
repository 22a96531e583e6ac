//! Racks: which sessions have to go when room runs out.
//!
//! Comes in: sessions as they are made, what they weigh, and that they are in use. Goes out: through a function given at
//! the start, the sessions of the rack that has not been used for the longest time. Never holds a session itself: only the
//! mark that finds it.
//!
//! moka keeps the order and the weight. It spends some 300 bytes on each entry, as much as a session: so one entry stands
//! for a rack of sessions that were made one after the other. A rack is in use when one of them is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::session::index::Mark;
use crate::session::record::Session;

/// Sessions on a full rack.
const FULL: usize = 64;

/// What to do with a session whose rack has to go.
pub(in crate::session) type Clear = Box<dyn Fn(Mark) + Send + Sync>;

/// Racks with room for so much weight together.
pub(in crate::session) struct Racks {
    all: Cache<u32, Arc<Rack>>,
    open: Mutex<Open>,
    /// Sessions on each: fewer where there is little room, so that one rack is a small part of it.
    full: usize,
    /// The least a session weighs: so the number of them is bounded, too.
    least: u32,
}

/// The rack that is being filled.
struct Open {
    number: u32,
    rack: Arc<Rack>,
}

#[derive(Default)]
struct Rack {
    marks: Mutex<Vec<Mark>>,
    /// Of those that live.
    weight: AtomicU32,
    /// What moka was told.
    told: AtomicU32,
    alive: AtomicU32,
}

impl Racks {
    /// Racks for at most `sessions` sessions of `bytes` bytes together; `clear` frees what has to go.
    pub fn new(sessions: u64, bytes: u64, clear: Clear) -> Self {
        let (sessions, bytes) = (sessions.max(1), bytes.max(1));
        let least = u32::try_from(bytes.div_ceil(sessions)).unwrap_or(u32::MAX);
        let all = Cache::builder()
            .max_capacity(bytes.max(u64::from(least)))
            .weigher(|_, rack: &Arc<Rack>| rack.told.load(Ordering::Relaxed))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, rack: Arc<Rack>, cause| {
                if cause == RemovalCause::Size {
                    rack.take().into_iter().for_each(&clear);
                }
            })
            .build();
        let full = usize::try_from(sessions / 64).unwrap_or(FULL).clamp(1, FULL);
        let open = Mutex::new(Open { number: 0, rack: Arc::default() });
        Self { all, open, full, least }
    }

    /// Hangs a session up; the lightest counts for as much as makes the greatest number fill the room.
    pub fn hang(&self, session: &Session, weight: u32) {
        let weight = weight.max(self.least);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.rack.len() >= self.full {
            *open = Open { number: open.number.wrapping_add(1).max(1), rack: Arc::default() };
        }
        let Open { number, rack } = &*open;
        session.set_place(*number);
        rack.marks.lock().unwrap_or_else(PoisonError::into_inner).push(Mark::of(session.digest()));
        rack.alive.fetch_add(1, Ordering::Relaxed);
        rack.shift(0, weight);
        let (first, last) = (rack.len() == 1, rack.len() == self.full);
        if first || last {
            self.tell(*number, rack);
        }
    }

    /// Notes that a session is in use.
    pub fn used(&self, session: &Session) {
        self.all.get(&session.place());
    }

    /// A session of this weight has gone.
    pub fn gone(&self, session: &Session, weight: u32) {
        let Some(rack) = self.all.get(&session.place()) else { return };
        let left = rack.shift(weight.max(self.least), 0);
        let alone = rack.alive.fetch_sub(1, Ordering::Relaxed) == 1;
        if alone && rack.len() >= self.full {
            self.all.invalidate(&session.place());
        } else if left < rack.told.load(Ordering::Relaxed) / 2 {
            self.tell(session.place(), &rack);
        }
    }

    /// A session weighs something else now.
    pub fn reweigh(&self, session: &Session, before: u32, after: u32) {
        let (before, after) = (before.max(self.least), after.max(self.least));
        if before == after {
            return;
        }
        let Some(rack) = self.all.get(&session.place()) else { return };
        let weight = rack.shift(before, after);
        let told = rack.told.load(Ordering::Relaxed);
        if weight.abs_diff(told) > told / 8 {
            self.tell(session.place(), &rack);
        }
    }

    /// Tells moka what a rack weighs, and lets it make room at once.
    fn tell(&self, number: u32, rack: &Arc<Rack>) {
        rack.told.store(rack.weight.load(Ordering::Relaxed), Ordering::Relaxed);
        self.all.insert(number, Arc::clone(rack));
        self.all.run_pending_tasks();
    }
}

impl Rack {
    fn len(&self) -> usize {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What it weighs with one weight in the place of another.
    fn shift(&self, before: u32, after: u32) -> u32 {
        let shift = |weight: u32| weight.saturating_sub(before).saturating_add(after);
        self.weight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |weight| Some(shift(weight)))
            .map_or(0, shift)
    }

    fn take(&self) -> Vec<Mark> {
        std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Racks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Racks({} of {})", self.all.entry_count(), self.full)
    }
}
