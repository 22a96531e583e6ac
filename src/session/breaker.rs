//! Breaker: a store that fails is left alone for a moment.
//!
//! Comes in: how questions to the store went. Goes out: whether to ask another one. After a few failures in a row only one
//! question in a quarter of a second goes through, to find out whether it is back; all others are told at once that it is
//! not, so nobody waits for a store that hangs and nobody storms one that comes back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures in a row before it opens.
const PATIENCE: u32 = 5;
/// How long it stays open between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether a store is worth asking.
#[derive(Debug)]
pub(in crate::session) struct Breaker {
    start: Instant,
    failures: AtomicU32,
    /// Milliseconds since the start.
    closed_from: AtomicU64,
}

impl Breaker {
    pub fn new() -> Self {
        Self { start: Instant::now(), failures: AtomicU32::new(0), closed_from: AtomicU64::new(0) }
    }

    /// Whether to ask now.
    pub fn admits(&self) -> bool {
        if self.failures.load(Ordering::Acquire) < PATIENCE {
            return true;
        }
        let (now, from) = (self.now(), self.closed_from.load(Ordering::Acquire));
        let next = now + PAUSE.as_millis() as u64;
        now >= from
            && self.closed_from.compare_exchange(from, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// How it went. Says whether that changes what is known of the store.
    pub fn went(&self, well: bool) -> bool {
        if well {
            return self.failures.swap(0, Ordering::AcqRel) >= PATIENCE;
        }
        self.closed_from.store(self.now() + PAUSE.as_millis() as u64, Ordering::Release);
        let shift = |failures: u32| Some(failures.saturating_add(1).min(PATIENCE));
        let before = self.failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, shift);
        before == Ok(PATIENCE - 1)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_at_the_first_success() {
        let breaker = Breaker::new();
        for _ in 0..PATIENCE - 1 {
            assert!(breaker.admits());
            assert!(!breaker.went(false));
        }
        breaker.went(true);
        for _ in 0..PATIENCE - 1 {
            breaker.went(false);
        }
        assert!(breaker.admits());
        assert!(breaker.went(false), "this one opens it");
        assert!(!breaker.admits());
        breaker.closed_from.store(0, Ordering::Release);
        assert!(breaker.admits(), "one finds out");
        assert!(!breaker.admits(), "the others wait");
        assert!(breaker.went(true));
        assert!(breaker.admits());
    }
}
