//! People: which sessions somebody has.
//!
//! Comes in: sessions as they are made. Goes out: the marks of all that may still live. Never told of an end: marks of
//! sessions that are gone are dropped when a list would have to grow.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::session::index::Mark;

/// So many locks that two logins seldom want the same one.
const SHARDS: usize = 64;

/// The marks of some users, by the hashes of their names.
type Shard = Mutex<HashMap<u64, Vec<Mark>>>;

/// Marks by user. Names are hashed with a key of this process's own: two that come out alike would share a list, whose
/// readers look at the names again.
#[derive(Debug)]
pub(in crate::session) struct People {
    shards: Box<[Shard; SHARDS]>,
    hasher: RandomState,
}

impl People {
    pub fn new() -> Self {
        Self { shards: Box::new(std::array::from_fn(|_| Shard::default())), hasher: RandomState::new() }
    }

    /// Adds a session; `lives` tells which of the others still do. Says how many there may be now.
    pub fn add(&self, user: &str, mark: Mark, lives: impl Fn(Mark) -> bool) -> usize {
        let (key, mut shard) = self.shard(user);
        let marks = shard.entry(key).or_default();
        if marks.len() == marks.capacity() {
            marks.retain(|mark| lives(*mark));
            // Room for half as many again, so that this happens seldom enough.
            marks.reserve_exact(marks.len() / 2 + 1);
        }
        marks.push(mark);
        marks.len()
    }

    /// The sessions of a user, and maybe some of others.
    pub fn of(&self, user: &str) -> Vec<Mark> {
        let (key, shard) = self.shard(user);
        shard.get(&key).cloned().unwrap_or_default()
    }

    /// Forgets users none of whose sessions lives.
    pub fn sweep(&self, lives: impl Fn(Mark) -> bool) {
        for shard in self.shards.iter() {
            shard.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, marks| {
                marks.retain(|mark| lives(*mark));
                !marks.is_empty()
            });
        }
    }

    fn shard(&self, user: &str) -> (u64, MutexGuard<'_, HashMap<u64, Vec<Mark>>>) {
        let key = self.hasher.hash_one(user);
        let shard = &self.shards[(key % SHARDS as u64) as usize];
        (key, shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    #[test]
    fn a_list_holds_little_more_than_what_lives() {
        let people = People::new();
        let marks: Vec<_> = (0..10_000).map(|_| Mark::of(&SessionId::mint().digest())).collect();
        let longest = marks.iter().map(|mark| people.add("alice", *mark, |mark| mark == marks[0])).max();
        assert!(longest.is_some_and(|longest| longest < 8), "{longest:?}");
        assert_eq!(people.of("alice").first(), Some(&marks[0]));
        assert!(people.of("bob").is_empty());
        people.sweep(|_| false);
        assert!(people.of("alice").is_empty());
    }
}
