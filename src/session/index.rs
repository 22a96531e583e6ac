//! Index: sessions by digest, to be found fast.
//!
//! Comes in: records that the store keeps or drops. Goes out: a record, without telling anybody that it was asked for.
//! Never decides what stays: its owner does, and says so here. Nobody else's lock is taken while one of ours is held.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::session::id::Digest;
use crate::session::record::Session;

/// So many locks that two workers seldom want the same one; and tables that are nearly full when there are a million
/// sessions, which is the usual room: each then holds some 3,333, and 3,584 fit before it doubles.
pub(in crate::session) const SHARDS: usize = 300;

/// Half a digest: enough to tell the sessions of one memory apart, and half the room in lists of them. The digests are
/// random; that two of a million have a half in common is as good as impossible, and would cost one of them its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Mark(u64);

impl Mark {
    pub fn of(digest: &Digest) -> Self {
        Self(hash(digest))
    }

    fn shard(self) -> usize {
        // Neither of the ends: a table looks at those.
        let [_, _, _, _, low, high, _, _] = self.0.to_le_bytes();
        (usize::from(u16::from_le_bytes([low, high])) * SHARDS) >> 16
    }
}

/// A table of pointers in each shard; the digest is in the record.
pub(in crate::session) struct Index(Box<[Shard; SHARDS]>);

/// A lock and the head of its table, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
struct Shard(RwLock<HashTable<Arc<Session>>>);

impl Index {
    pub fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| Shard::default())))
    }

    pub fn get(&self, digest: &Digest) -> Option<Arc<Session>> {
        let table = self.shard(digest).0.read().unwrap_or_else(PoisonError::into_inner);
        table.find(hash(digest), |session| session.digest() == digest).cloned()
    }

    /// Puts a session in, unless one of its digest is there already: then that one comes back. Nothing is ever put in the
    /// place of another.
    pub fn insert(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let mut table = self.shard(session.digest()).0.write().unwrap_or_else(PoisonError::into_inner);
        let hash_of = |session: &Arc<Session>| hash(session.digest());
        let entry = table.entry(hash_of(&session), |found| found.digest() == session.digest(), hash_of);
        match entry {
            Entry::Occupied(earlier) => Some(Arc::clone(earlier.get())),
            Entry::Vacant(place) => {
                place.insert(session);
                None
            }
        }
    }

    /// Takes a record out; it is the caller who drops it, after the lock.
    pub fn remove(&self, digest: &Digest) -> Option<Arc<Session>> {
        let mut table = self.shard(digest).0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = table.find_entry(hash(digest), |session| session.digest() == digest).ok()?;
        Some(entry.remove().0)
    }

    /// The session that a mark stands for.
    pub fn marked(&self, mark: Mark) -> Option<Arc<Session>> {
        let table = self.0[mark.shard()].0.read().unwrap_or_else(PoisonError::into_inner);
        table.find(mark.0, |session| Mark::of(session.digest()) == mark).cloned()
    }

    /// The sessions of one shard, of [`SHARDS`]: all of them, without holding up those who look one up for longer
    /// than it takes to copy a few thousand pointers.
    pub fn shelf(&self, number: usize) -> Vec<Arc<Session>> {
        self.0[number].0.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.0.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, digest: &Digest) -> &Shard {
        &self.0[Mark::of(digest).shard()]
    }
}

/// A digest is even already, and nobody can choose one: some of its bytes are as good as any hash of it.
fn hash(digest: &Digest) -> u64 {
    u64::from_le_bytes(*digest.bytes().first_chunk().expect("a digest is 16 bytes long"))
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} sessions)", self.len())
    }
}
