//! Store: where sessions are kept. Five verbs, and what every store promises.
//!
//! Comes in: drafts and digests. Goes out: records that live, under ids that only the store mints. Never judges how long
//! a session may live (that is [`Lifetime`](crate::session::lifetime::Lifetime)) and never takes an id from a caller.

use std::future::Future;
use std::sync::Arc;

use crate::session::id::{Digest, SessionId};
use crate::session::record::{Draft, EndReason, Session};

/// A keeper of sessions. The contract below holds for each of them, whoever calls from whichever thread:
///
/// - a session lives from `create` or `replace` until `end`, `replace` or eviction, and never again after that;
/// - `replace` is one step: at no moment do both ids live, and the old one is dead when the call returns;
/// - an end wins over a `replace` at the same time: what follows ends as well;
/// - for a while after an end, `reason` says why; it knows only sessions that somebody was logged in to;
/// - the number of sessions is bounded, and anonymous ones never displace those that somebody is logged in to.
pub trait Store {
    /// The session kept under this digest, if it lives.
    fn load(&self, digest: &Digest) -> impl Future<Output = Option<Arc<Session>>>;

    /// Keeps a new session under a new id.
    fn create(&self, draft: Draft) -> impl Future<Output = (SessionId, Arc<Session>)>;

    /// Ends `old` and keeps `draft` under a new id in its place. `None` when `old` had ended before.
    fn replace(&self, old: &Session, draft: Draft)
    -> impl Future<Output = Option<(SessionId, Arc<Session>)>>;

    /// Ends a session and what has taken its place. False when there was nothing left to end.
    fn end(&self, session: &Session, reason: EndReason) -> impl Future<Output = bool>;

    /// Why the session that was kept under this digest ended, where that is still known and somebody was logged in to it.
    fn reason(&self, digest: &Digest) -> impl Future<Output = Option<EndReason>>;
}

#[cfg(test)]
pub(in crate::session) mod contract {
    //! What every store promises, as tests to run on it.

    use std::collections::HashSet;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::thread;

    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::Identity;

    /// Runs every promise on stores that `make` makes for a given number of sessions.
    pub fn store_contract<S: Store + Sync>(make: impl Fn(u64) -> S) {
        a_session_lives_until_it_is_ended(&make(1000));
        a_replaced_id_is_dead_at_once(&make(1000));
        an_end_wins_over_what_comes_late(&make(1000));
        logout_wins_every_race(&make(100_000));
        the_number_of_sessions_is_bounded(&make(1000));
        an_anonymous_flood_evicts_nobody_who_is_logged_in(&make(1000));
        ids_are_unique(&make(100_000));
        a_hundred_thousand_logouts_leave_no_session(&make(1000));
    }

    /// Polls until ready.
    pub fn wait<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::yield_now(),
            }
        }
    }

    pub fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    pub fn anonymous() -> Draft {
        Draft::anonymous(start())
    }

    pub fn alice() -> Draft {
        let identity = Identity::new("alice", None, None, &[]).expect("a plain name");
        Draft::signed_in(identity, false, start())
    }

    fn lives(store: &impl Store, session: &Session) -> bool {
        wait(store.load(session.digest())).is_some()
    }

    fn a_session_lives_until_it_is_ended(store: &impl Store) {
        let (id, session) = wait(store.create(alice()));
        assert_eq!(id.digest(), *session.digest());
        assert_eq!(wait(store.reason(session.digest())), None);
        let loaded = wait(store.load(session.digest())).expect("just created");
        assert_eq!(loaded.identity().map(Identity::user), Some("alice"));
        assert!(wait(store.end(&session, EndReason::Revoked)));
        assert!(!lives(store, &session));
        assert!(!wait(store.end(&session, EndReason::Idle)), "it has ended before");
        assert_eq!(wait(store.reason(session.digest())), Some(EndReason::Revoked));
        let unknown = SessionId::mint().digest();
        assert!(wait(store.load(&unknown)).is_none());
        assert_eq!(wait(store.reason(&unknown)), None);
    }

    fn a_replaced_id_is_dead_at_once(store: &impl Store) {
        let (_, old) = wait(store.create(anonymous()));
        let (id, new) = wait(store.replace(&old, alice())).expect("the old one lives");
        assert_ne!(id.digest(), *old.digest());
        assert!(!lives(store, &old));
        assert!(lives(store, &new));
        assert_eq!(old.ended(), Some(EndReason::Replaced));
        assert!(wait(store.replace(&old, alice())).is_none(), "only once");
        assert_eq!(wait(store.reason(old.digest())), None, "a new id is no end to tell of");
    }

    fn an_end_wins_over_what_comes_late(store: &impl Store) {
        let (_, session) = wait(store.create(alice()));
        let late = wait(store.load(session.digest())).expect("alive");
        wait(store.end(&session, EndReason::Logout));
        late.touch(start().plus(std::time::Duration::from_secs(5)));
        assert!(wait(store.replace(&late, alice())).is_none());
        assert!(!lives(store, &session));

        let (_, old) = wait(store.create(alice()));
        let (_, middle) = wait(store.replace(&old, alice())).expect("alive");
        let (_, last) = wait(store.replace(&middle, alice())).expect("alive");
        assert!(
            wait(store.end(&old, EndReason::Logout)),
            "who signs out with the old id means the new one too"
        );
        assert!(!lives(store, &last));
    }

    fn logout_wins_every_race(store: &(impl Store + Sync)) {
        let mut ended = 0;
        for _ in 0..1000 {
            let (_, session) = wait(store.create(alice()));
            let (successor, reader) = thread::scope(|scope| {
                let replacing = scope.spawn(|| wait(store.replace(&session, alice())));
                let touching = scope.spawn(|| {
                    session.touch(start().plus(std::time::Duration::from_secs(9)));
                    wait(store.load(session.digest()))
                });
                ended += u32::from(wait(store.end(&session, EndReason::Logout)));
                (replacing.join().expect("no panic"), touching.join().expect("no panic"))
            });
            assert!(!lives(store, &session));
            assert!(successor.is_none_or(|(_, next)| !lives(store, &next) && next.ended().is_some()));
            assert!(reader.is_none_or(|held| held.ended().is_some()));
        }
        assert_eq!(ended, 1000, "each logout ended something");
    }

    fn the_number_of_sessions_is_bounded(store: &impl Store) {
        let made: Vec<_> = (0..20_000).map(|_| wait(store.create(alice())).1).collect();
        let alive = made.iter().filter(|session| lives(store, session)).count();
        assert!((500..=3000).contains(&alive), "{alive} of 1000 live");
        let gone = made.iter().find(|session| !lives(store, session)).expect("most are gone");
        assert_eq!(gone.ended(), Some(EndReason::Evicted), "whoever holds it notices");
        assert!(lives(store, made.last().expect("many")), "the newest stays");
    }

    fn an_anonymous_flood_evicts_nobody_who_is_logged_in(store: &impl Store) {
        let people: Vec<_> = (0..500).map(|_| wait(store.create(alice())).1).collect();
        for _ in 0..20_000 {
            wait(store.create(anonymous()));
        }
        assert!(people.iter().all(|session| lives(store, session)));
    }

    fn ids_are_unique(store: &impl Store) {
        let ids: HashSet<_> = (0..10_000).map(|_| wait(store.create(alice())).0.digest()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    fn a_hundred_thousand_logouts_leave_no_session(store: &impl Store) {
        for _ in 0..100_000 {
            let (_, session) = wait(store.create(alice()));
            wait(store.end(&session, EndReason::Logout));
            assert!(!lives(store, &session));
        }
    }
}
