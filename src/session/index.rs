//! Index: sessions by digest, to be found fast.
//!
//! Comes in: records that the store keeps or drops. Goes out: a record, without telling anybody that it was asked for.
//! Never decides what stays: its owner does, and says so here. Nobody else's lock is taken while one of ours is held.

use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

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
    /// place of another. A table that is full moves to a larger one, which is made and the old one dropped while nobody
    /// waits for the lock: an allocator may take its time.
    pub fn insert(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let Shard(shard) = self.shard(session.digest());
        let hash_of = |session: &Arc<Session>| hash(session.digest());
        let mut larger = HashTable::new();
        loop {
            let mut table = shard.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(earlier) = table.find(hash_of(&session), |found| found.digest() == session.digest()) {
                return Some(Arc::clone(earlier));
            }
            if table.len() == table.capacity() {
                let wanted = (2 * table.len()).max(1);
                if larger.capacity() < wanted {
                    drop(table);
                    larger = HashTable::with_capacity(wanted);
                    continue;
                }
                table.drain().for_each(|session| {
                    larger.insert_unique(hash_of(&session), session, hash_of);
                });
                mem::swap(&mut *table, &mut larger);
            }
            table.insert_unique(hash_of(&session), session, hash_of);
            return None;
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
        self.look_at(mark, |session| session.cloned())
    }

    /// Whether there is one that a mark stands for.
    pub fn has(&self, mark: Mark) -> bool {
        self.look_at(mark, |session| session.is_some())
    }

    fn look_at<T>(&self, mark: Mark, look: impl FnOnce(Option<&Arc<Session>>) -> T) -> T {
        let table = self.0[mark.shard()].0.read().unwrap_or_else(PoisonError::into_inner);
        look(table.find(mark.0, |session| Mark::of(session.digest()) == mark))
    }

    /// The sessions of one shard, of [`SHARDS`], that are `wanted`. Whoever wants to put one in waits for as long as it
    /// takes to look at a few thousand.
    pub fn shelf(&self, number: usize, wanted: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let table = self.0[number].0.read().unwrap_or_else(PoisonError::into_inner);
        table.iter().filter(|session| wanted(session)).cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::session::draft::Draft;
    use crate::session::id::SessionId;

    fn session() -> Arc<Session> {
        let draft = Draft::anonymous(Timestamp::from_unix_millis(1_800_000_000_000));
        Arc::new(Session::of(draft.stored(&SessionId::mint())))
    }

    #[test]
    fn whatever_was_put_in_is_found_until_it_is_taken_out_however_tables_grow() {
        let index = Index::new();
        let sessions: Vec<_> = (0..20_000).map(|_| session()).collect();
        std::thread::scope(|scope| {
            for part in sessions.chunks(5000) {
                let index = &index;
                scope.spawn(move || {
                    for (at, session) in part.iter().enumerate() {
                        assert!(index.insert(Arc::clone(session)).is_none());
                        let earlier = &part[at / 2];
                        assert!(
                            index.get(earlier.digest()).is_some_and(|found| Arc::ptr_eq(&found, earlier))
                        );
                        assert!(index.insert(Arc::clone(earlier)).is_some(), "nothing takes its place");
                    }
                });
            }
        });
        assert_eq!(index.len(), 20_000);
        // As many come as go: what was taken out leaves its room.
        for round in sessions.chunks(1000) {
            round.iter().for_each(|session| assert!(index.remove(session.digest()).is_some()));
            (0..1000).for_each(|_| assert!(index.insert(session()).is_none()));
        }
        assert_eq!(index.len(), 20_000);
        assert!(sessions.iter().all(|session| index.get(session.digest()).is_none()));
        let room: usize = index.0.iter().map(|shard| shard.0.read().expect("whole").capacity()).sum();
        assert!(room <= 4 * 20_000, "{room}");
    }
}
