//! Index: sessions by digest, to be found fast.
//!
//! Comes in: records that the store keeps or drops. Goes out: a record, without telling anybody that it was asked for.
//! Never decides what stays: its owner does, and says so here. Nobody else's lock is taken while one of ours is held.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

use crate::session::id::Digest;
use crate::session::record::Session;

/// So many locks that two workers seldom want the same one.
const SHARDS: usize = 256;

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

    /// Digests are unique: nothing is ever put in the place of another.
    pub fn insert(&self, session: Arc<Session>) {
        let mut table = self.shard(session.digest()).0.write().unwrap_or_else(PoisonError::into_inner);
        table.insert_unique(hash(session.digest()), session, |session| hash(session.digest()));
    }

    /// Takes a record out; it is the caller who drops it, after the lock.
    pub fn remove(&self, digest: &Digest) -> Option<Arc<Session>> {
        let mut table = self.shard(digest).0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = table.find_entry(hash(digest), |session| session.digest() == digest).ok()?;
        Some(entry.remove().0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.0.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, digest: &Digest) -> &Shard {
        &self.0[usize::from(digest.bytes()[15])]
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
