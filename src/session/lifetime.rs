//! Lifetime: how long a session may live.
//!
//! Comes in: a record and the time. Goes out: whether it still lives, or why not, and when it would end. Never ends a
//! session itself. A clock that is set back costs nobody their session and lengthens none by more than the jump.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::session::record::{EndReason, Session};
use crate::session::stored::Stored;

/// What of a session its limits depend on, and what they count from.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Times {
    /// Of the login; `None`: nobody is logged in.
    pub authenticated: Option<Timestamp>,
    pub last_seen: Timestamp,
    pub remember: bool,
    /// An idle limit of its own, in seconds; zero: none.
    pub idle: u32,
}

/// The limits of `session:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without activity.
    pub idle: Duration,
    /// After login.
    pub absolute: Duration,
    /// Without activity, for sessions nobody has logged in to.
    pub anonymous: Duration,
    /// Both limits of sessions that shall be remembered; zero: they have the ordinary limits.
    pub remember: Duration,
    /// Without activity, for sessions nobody has logged in to that hold preferences.
    pub preferences: Duration,
}

impl Lifetime {
    /// Whether the session still lives at `now`; otherwise why not. A limit is reached when it is exceeded.
    pub fn verdict(&self, session: &Session, now: Timestamp) -> Result<(), EndReason> {
        match session.ended() {
            Some(reason) => Err(reason),
            None => self.within(session.times(), now),
        }
    }

    /// The same of a session as it is kept: nothing says there that it has ended.
    pub fn verdict_stored(&self, stored: &Stored, now: Timestamp) -> Result<(), EndReason> {
        self.within(stored.times(), now)
    }

    /// When the session ends if nothing more happens.
    pub fn expires(&self, session: &Session) -> Timestamp {
        self.ends(session.times())
    }

    /// The same of a session as it is kept.
    pub fn expires_stored(&self, stored: &Stored) -> Timestamp {
        self.ends(stored.times())
    }

    /// For how long the cookie of a session is to be kept: until the browser's own session ends, or for so long.
    pub fn lasting(&self, session: &Session, now: Timestamp) -> Option<Duration> {
        session.remember().then(|| self.expires(session).since(now))
    }

    fn within(&self, times: Times, now: Timestamp) -> Result<(), EndReason> {
        let (idle, absolute) = self.limits(times);
        match times.authenticated {
            Some(then) if now.since(then) > absolute => Err(EndReason::Absolute),
            _ if now.since(times.last_seen) > idle => Err(EndReason::Idle),
            _ => Ok(()),
        }
    }

    /// When a session of these times ends if nothing more happens.
    pub(in crate::session) fn ends(&self, times: Times) -> Timestamp {
        let (idle, absolute) = self.limits(times);
        let idle = times.last_seen.plus(idle);
        times.authenticated.map_or(idle, |then| idle.min(then.plus(absolute)))
    }

    /// Without activity, and after login.
    fn limits(&self, times: Times) -> (Duration, Duration) {
        let (idle, absolute) = match (times.authenticated, times.remember) {
            (None, false) => (self.anonymous, Duration::MAX),
            (None, true) => (self.preferences.max(self.anonymous), Duration::MAX),
            (Some(_), true) if !self.remember.is_zero() => (self.remember, self.remember),
            (Some(_), _) => (self.idle, self.absolute),
        };
        let own = Duration::from_secs(u64::from(times.idle));
        (if own.is_zero() { idle } else { idle.min(own) }, absolute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::session::draft::Draft;
    use crate::session::id::SessionId;

    const MINUTE: Duration = Duration::from_secs(60);
    const LIMITS: Lifetime = Lifetime {
        idle: Duration::from_secs(30 * 60),
        absolute: Duration::from_secs(12 * 3600),
        anonymous: Duration::from_secs(10 * 60),
        remember: Duration::from_secs(30 * 24 * 3600),
        preferences: Duration::from_secs(365 * 24 * 3600),
    };

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn session(draft: Draft) -> Session {
        Session::of(draft.stored(&SessionId::mint()))
    }

    fn alice(remember: bool) -> Session {
        let identity = Identity::new("alice", None, None, &[]).unwrap();
        session(Draft::signed_in(identity, remember, start()))
    }

    #[test]
    fn a_session_ends_after_its_idle_limit_and_not_at_it() {
        let session = alice(false);
        assert_eq!(LIMITS.verdict(&session, start().plus(LIMITS.idle)), Ok(()));
        let late = start().plus(LIMITS.idle).plus(Duration::from_millis(1));
        assert_eq!(LIMITS.verdict(&session, late), Err(EndReason::Idle));
        assert_eq!(LIMITS.expires(&session), start().plus(LIMITS.idle));
    }

    #[test]
    fn activity_extends_the_idle_limit_but_never_the_absolute_one() {
        let session = alice(false);
        let mut now = start();
        while now.since(start()) < LIMITS.absolute {
            now = now.plus(29 * MINUTE);
            session.touch(now, MINUTE);
        }
        assert_eq!(LIMITS.verdict(&session, now), Err(EndReason::Absolute));
        assert_eq!(LIMITS.expires(&session), start().plus(LIMITS.absolute));
    }

    #[test]
    fn an_anonymous_session_has_its_own_idle_limit_only() {
        let session = session(Draft::anonymous(start()));
        assert_eq!(LIMITS.verdict(&session, start().plus(11 * MINUTE)), Err(EndReason::Idle));
        let next_day = start().plus(1440 * MINUTE);
        session.touch(next_day, MINUTE);
        assert_eq!(LIMITS.verdict(&session, next_day), Ok(()));
    }

    #[test]
    fn a_remembered_session_lives_for_the_remembered_time() {
        let session = alice(true);
        assert_eq!(LIMITS.verdict(&session, start().plus(LIMITS.remember)), Ok(()));
        let late = start().plus(LIMITS.remember).plus(MINUTE);
        assert_eq!(LIMITS.verdict(&session, late), Err(EndReason::Absolute));
        let switched_off = Lifetime { remember: Duration::ZERO, ..LIMITS };
        assert_eq!(switched_off.verdict(&session, start().plus(31 * MINUTE)), Err(EndReason::Idle));
    }

    #[test]
    fn a_clock_set_back_neither_panics_nor_moves_the_absolute_end() {
        let session = alice(false);
        let end = LIMITS.expires(&session);
        for back in [start().unix_millis() - 1, 0].map(Timestamp::from_unix_millis) {
            assert_eq!(LIMITS.verdict(&session, back), Ok(()));
            session.touch(back, MINUTE);
            assert!(LIMITS.expires(&session) <= end);
        }
        assert_eq!(LIMITS.verdict(&session, Timestamp::from_unix_millis(u64::MAX)), Err(EndReason::Absolute));
    }

    #[test]
    fn an_ended_session_is_dead_whatever_the_time() {
        let session = alice(true);
        session.finish(EndReason::Revoked);
        assert_eq!(LIMITS.verdict(&session, start()), Err(EndReason::Revoked));
    }
}
