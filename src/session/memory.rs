//! Memory: sessions kept in this process, all of them or those in use.
//!
//! Comes in: sessions, digests, ends. Goes out: sessions, shared by all workers. What lives is decided by one mark in the
//! session, set once: an end sets it first and removes the session afterwards, so whatever comes late finds it set.
//! Sessions are looked up in an index; when room runs out, racks say which have to go. A session is in the index before
//! it hangs on a rack: whatever then happens to the rack finds it there to remove. Never holds more than it was told to:
//! anonymous sessions have an eighth of the room, for themselves, and one person a small part of the rest.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::session::draft::Draft;
use crate::session::id::{Digest, SessionId};
use crate::session::index::{self, Index, Mark};
use crate::session::lifetime::Lifetime;
use crate::session::people::People;
use crate::session::racks::Racks;
use crate::session::record::{EndReason, Session};
use crate::session::stored::Stored;

type Endings = Cache<Digest, EndReason>;

/// How many ends are remembered, and for how long, so that people can be told why.
const ENDINGS: u64 = 100_000;
const ENDINGS_KEPT: Duration = Duration::from_secs(600);

/// What a session takes besides its texts and its data: itself, its entries in index, rack and list, and what an
/// allocator loses. `benches/memory.rs` measures it.
const BODY: usize = 208;

/// What an identity takes besides its texts where nobody shares it, with its person's list of sessions; measured there, too.
const PERSON: usize = 152;

/// One person's sessions have at most this part of the room, so that nobody fills it alone.
const ONE_PERSON: u64 = 64;

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Sessions, at least two.
    pub sessions: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What becomes of a session for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowding {
    /// It ends: it is kept nowhere else.
    Ends,
    /// It is forgotten here, and kept elsewhere.
    Forgets,
}

/// Sessions in memory. Lives as long as the process: configurations come and go around it.
#[derive(Debug)]
pub struct MemoryStore {
    index: Arc<Index>,
    people: Racks,
    anonymous: Racks,
    users: People,
    endings: Endings,
    /// Sessions of one person.
    most: usize,
    /// How often anything has changed.
    changes: AtomicU64,
}

impl MemoryStore {
    /// A memory with seven eighths of its room for people, and one for anonymous visitors.
    pub fn new(room: Room, crowding: Crowding) -> Self {
        let endings = Cache::builder().max_capacity(ENDINGS).time_to_live(ENDINGS_KEPT).build();
        let index = Arc::new(Index::new());
        let eighth = Room { sessions: (room.sessions / 8).max(1), bytes: (room.bytes / 8).max(1) };
        let racks = |room: Room| {
            let (index, endings): (_, Endings) = (Arc::clone(&index), endings.clone());
            let clear = move |mark| clear(&index, &endings, mark, crowding);
            Racks::new(room.sessions, room.bytes, Box::new(clear))
        };
        let rest = Room {
            sessions: room.sessions.saturating_sub(eighth.sessions).max(1),
            bytes: room.bytes.saturating_sub(eighth.bytes).max(1),
        };
        Self {
            people: racks(rest),
            anonymous: racks(eighth),
            most: usize::try_from((rest.sessions / ONE_PERSON).max(1000)).unwrap_or(usize::MAX),
            users: People::new(),
            changes: AtomicU64::new(0),
            index,
            endings,
        }
    }

    /// The session kept under this digest, if it lives.
    pub fn load(&self, digest: &Digest) -> Option<Arc<Session>> {
        self.index.get(digest).filter(|session| session.ended().is_none())
    }

    /// Notes that a request came with a session. The racks hear of it at most once in `tell_every`, and so does the caller:
    /// the order in which sessions go is true to that grain.
    pub fn touch(&self, session: &Session, now: Timestamp, tell_every: Duration) -> bool {
        let tell = session.touch(now, tell_every);
        if tell {
            self.racks_of(session).used(session);
            self.note_change();
        }
        tell
    }

    /// Keeps a new session under a new id.
    pub fn create(&self, draft: Draft) -> (SessionId, Arc<Session>) {
        let id = SessionId::mint();
        let session = Arc::new(Session::of(draft.stored(&id)));
        self.keep(&session);
        (id, session)
    }

    /// Ends `old` and keeps `draft` under a new id in its place. `None` when `old` had ended before.
    pub fn replace(&self, old: &Session, draft: Draft) -> Option<(SessionId, Arc<Session>)> {
        let id = SessionId::mint();
        let next = old.follow(draft.stored(&id))?;
        self.drop_session(old);
        self.keep(&next);
        Some((id, next))
    }

    /// Ends a session and what has taken its place. False when there was nothing left to end.
    pub fn end(&self, session: &Session, reason: EndReason) -> bool {
        let first = session.finish_line(reason);
        for session in iter::successors(Some(session), |session| session.follower()) {
            if first && session.identity().is_some() {
                self.endings.insert(*session.digest(), reason);
            }
            self.drop_session(session);
        }
        first
    }

    /// Takes in a session that is kept elsewhere, or was. The one that is here already learns what is new. `None` when it
    /// is known to have ended.
    pub fn adopt(&self, stored: Stored) -> Option<Arc<Session>> {
        if self.endings.contains_key(&stored.digest) {
            return None;
        }
        if let Some(session) = self.index.get(&stored.digest) {
            session.absorb(stored);
            return Some(session);
        }
        let session = Arc::new(Session::of(stored));
        let kept = self.keep(&session);
        // It may have ended while it was taken in.
        if self.endings.contains_key(kept.digest()) {
            self.drop_session(&kept);
            return None;
        }
        Some(kept)
    }

    /// Notes an end that happened elsewhere: whoever holds the session finds it ended, and it is not taken in again.
    pub fn ended_elsewhere(&self, digest: &Digest, reason: EndReason) {
        self.endings.insert(*digest, reason);
        if let Some(session) = self.index.get(digest) {
            session.finish(reason);
            self.drop_session(&session);
        }
    }

    /// Forgets a session that is kept elsewhere; whoever holds it asks there.
    pub fn forget(&self, session: &Session) {
        session.set_stale(true);
        self.drop_session(session);
    }

    /// Notes that a session's data is not what it was.
    pub fn reweigh(&self, session: &Session, before: usize, after: usize) {
        self.note_change();
        self.racks_of(session).reweigh(session, weight(session, before), weight(session, after));
    }

    /// Why the session that was kept under this digest ended, where that is still known.
    pub fn reason(&self, digest: &Digest) -> Option<EndReason> {
        self.endings.get(digest)
    }

    /// The ends that are still known.
    pub fn endings(&self) -> Vec<(Digest, EndReason)> {
        self.endings.iter().map(|(digest, reason)| (*digest, reason)).collect()
    }

    /// The living sessions of a user, the oldest first.
    pub fn of_user(&self, user: &str) -> Vec<Arc<Session>> {
        let found = self.users.of(user).into_iter().filter_map(|mark| self.index.marked(mark));
        let theirs = |session: &Arc<Session>| {
            session.ended().is_none() && session.identity().is_some_and(|identity| identity.user() == user)
        };
        let mut sessions: Vec<_> = found.filter(theirs).collect();
        sessions.sort_by_key(|session| (session.created(), *session.digest()));
        sessions
    }

    /// All living sessions, a shelf at a time: a session that comes or goes meanwhile may be among them or not.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Session>> {
        self.those(|session| session.ended().is_none())
    }

    fn those(&self, wanted: impl Fn(&Session) -> bool) -> impl Iterator<Item = Arc<Session>> {
        (0..index::SHARDS).flat_map(move |number| self.index.shelf(number, &wanted))
    }

    /// How often anything has changed that is worth keeping: the same number, the same sessions.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many sessions somebody is logged in to, and how many nobody is.
    pub fn counts(&self) -> (u64, u64) {
        self.iter().fold((0, 0), |(people, anonymous), session| match session.identity() {
            Some(_) => (people + 1, anonymous),
            None => (people, anonymous + 1),
        })
    }

    /// Ends what has expired. Worth calling now and then: without requests nothing else does.
    pub fn sweep(&self, lifetime: &Lifetime, now: Timestamp, crowding: Crowding) {
        for session in self.those(|session| lifetime.verdict(session, now).is_err()) {
            match (lifetime.verdict(&session, now), crowding) {
                (Ok(()), _) => {}
                (Err(reason), Crowding::Ends) => {
                    self.end(&session, reason);
                }
                (Err(_), Crowding::Forgets) => self.forget(&session),
            }
        }
        self.users.sweep(|mark| self.index.has(mark));
    }

    /// Puts a session where it is found. Where another request did so just now, theirs is the one that counts.
    fn keep(&self, session: &Arc<Session>) -> Arc<Session> {
        if let Some(earlier) = self.index.insert(Arc::clone(session)) {
            return earlier;
        }
        self.note_change();
        self.racks_of(session).hang(session, weight(session, session.data_size()));
        if let Some(identity) = session.identity() {
            let lives = |mark| self.index.has(mark);
            let count = self.users.add(identity.user(), Mark::of(session.digest()), lives);
            if count > self.most {
                self.thin_out(identity.user());
            }
        }
        // It may have ended before it was there to be removed.
        if session.ended().is_some() {
            self.drop_session(session);
        }
        Arc::clone(session)
    }

    /// Somebody has more sessions than one person may: the oldest make room, an eighth at a time.
    fn thin_out(&self, user: &str) {
        let sessions = self.of_user(user);
        let rest = self.most - self.most / 8;
        let surplus = sessions.len().saturating_sub(rest);
        if sessions.len() > self.most {
            for session in &sessions[..surplus] {
                self.end(session, EndReason::Limit);
            }
        }
    }

    fn drop_session(&self, session: &Session) {
        if let Some(found) = self.index.remove(session.digest()) {
            self.note_change();
            self.racks_of(&found).gone(&found, weight(&found, found.data_size()));
        }
    }

    fn racks_of(&self, session: &Session) -> &Racks {
        if session.identity().is_some() { &self.people } else { &self.anonymous }
    }
}

/// A session has to go with its rack.
fn clear(index: &Index, endings: &Endings, mark: Mark, crowding: Crowding) {
    let Some(session) = index.marked(mark) else { return };
    match crowding {
        Crowding::Ends => {
            if session.finish(EndReason::Evicted) && session.identity().is_some() {
                endings.insert(*session.digest(), EndReason::Evicted);
            }
        }
        Crowding::Forgets => session.set_stale(true),
    }
    index.remove(session.digest());
}

/// What a session with so much data takes, in bytes. An identity may be shared: it counts all the same.
fn weight(session: &Session, data: usize) -> u32 {
    let person = session.identity().map_or(0, |identity| PERSON + identity.size());
    u32::try_from(BODY + person + data).unwrap_or(u32::MAX)
}
