//! Used: what is good for one time only.
//!
//! Comes in: the name of something that was shown. Goes out: whether it was shown for the first time. Holds so many names at
//! most, and none for longer than the thing itself is good. Never holds the thing.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::clock::Timestamp;

/// Names that are held; then the oldest goes.
const MOST: usize = 65_536;

/// Bytes that stand for a name.
type Mark = [u8; 16];

/// Names of what was shown.
#[derive(Debug, Default)]
pub struct Used(Mutex<Marks>);

#[derive(Debug, Default)]
struct Marks {
    all: HashSet<Mark>,
    /// In the order in which they were shown.
    queue: VecDeque<(Timestamp, Mark)>,
}

impl Used {
    /// Whether the thing with this name, in parts, is shown for the first time. It is good until `lasting` from now.
    pub fn is_first(&self, name: &[&str], lasting: Duration, now: Timestamp) -> bool {
        let mut context = Context::new(&SHA256);
        for part in name {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let digest = context.finish();
        let mark: Mark = *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |marks: &Marks| {
            marks.queue.len() >= MOST || marks.queue.front().is_some_and(|(until, _)| *until < now)
        };
        while over(&marks) {
            if let Some((_, gone)) = marks.queue.pop_front() {
                marks.all.remove(&gone);
            }
        }
        let first = marks.all.insert(mark);
        if first {
            marks.queue.push_back((now.plus(lasting), mark));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_name_is_new_once_until_its_time_is_over() {
        let (used, now) = (Used::default(), Timestamp::from_unix_millis(1_800_000_000_000));
        assert!(used.is_first(&["a", "bc"], MINUTE, now));
        assert!(!used.is_first(&["a", "bc"], MINUTE, now.plus(MINUTE)));
        assert!(used.is_first(&["ab", "c"], MINUTE, now), "parts end where they end");
        assert!(used.is_first(&["a", "bc"], MINUTE, now.plus(2 * MINUTE)));
    }

    #[test]
    fn only_so_many_are_held() {
        let (used, now) = (Used::default(), Timestamp::from_unix_millis(0));
        for number in 0..=MOST {
            assert!(used.is_first(&[&number.to_string()], MINUTE, now));
        }
        let marks = used.0.lock().expect("no panic");
        assert_eq!((marks.all.len(), marks.queue.len()), (MOST, MOST));
    }
}
