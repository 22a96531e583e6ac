//! Local: people prove who they are with a password of ours.
//!
//! Comes in: a user name and a password as typed, and from where. Goes out: who it is, or that it is wrong, or that it is
//! too much. Unknown, disabled and mistaken are one answer, and take the same time. Never logs what was typed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::login::password::Checker;
use crate::login::throttle::{Attempt, Throttle, Wait};
use crate::login::users::{Users, UsersError, UsersSource};
use crate::login::{LocalSettings, ThrottleSettings};
use crate::session::accounts::Accounts;
use crate::session::record::EndReason;

/// `login.local`, ready to be asked.
#[derive(Debug)]
pub struct Local {
    users: Arc<Users>,
    checker: Checker,
    throttle: Arc<Throttle>,
    limits: ThrottleSettings,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The password was right; with a digest of what it was compared with.
    Welcome(Identity, u64),
    /// Unknown user, disabled user or wrong password.
    Wrong,
    /// Too many failures.
    TooMany(Wait),
    /// Too many people are signing in at this moment.
    Busy,
}

/// How often, and how many times, an attempt asks whether those before it are over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: usize = 500;

/// An attempt being looked at; over when dropped, also when its client goes away.
struct UnderWay<'t> {
    throttle: &'t Throttle,
    attempt: Attempt,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.throttle.over(&self.attempt);
    }
}

impl Local {
    /// Reads the users and starts the threads that check passwords.
    pub fn new(
        settings: LocalSettings,
        source: Option<UsersSource>,
        throttle: Arc<Throttle>,
        limits: ThrottleSettings,
    ) -> Result<Self, UsersError> {
        let file: Option<(PathBuf, UsersSource)> = settings.users_file.zip(source);
        let users = Users::new(settings.users, file)?;
        Ok(Self { users, checker: Checker::new().map_err(UsersError::Thread)?, throttle, limits })
    }

    /// The people who may log in here.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// How often the people who may log in have changed since the start.
    pub fn changes(&self) -> u64 {
        self.users.changes()
    }

    /// How many passwords were looked at since the start.
    pub fn checks(&self) -> u64 {
        self.checker.asked()
    }

    /// Counts an attempt. What is too many only because of attempts under way waits until they are over.
    async fn begin(&self, user: &str, client: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Wait> {
        let mut outcome = self.throttle.begin(&self.limits, user, client, now);
        for _ in 0..LOOKS {
            if outcome.is_ok() || !self.throttle.is_under_way(user) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            outcome = self.throttle.begin(&self.limits, user, client, now);
        }
        outcome
    }

    /// Tries a user name and a password. Blanks around the name, as telephones add them, do not count.
    pub async fn try_password(
        &self,
        user: &str,
        password: Zeroizing<String>,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Outcome {
        let attempt = match self.begin(user, client, now).await {
            Ok(attempt) => UnderWay { throttle: &self.throttle, attempt },
            Err(wait) => return Outcome::TooMany(wait),
        };
        let candidate = self.users.candidate(user.trim());
        match (self.checker.check(candidate.hashes, password).await, candidate.identity) {
            (Err(_), _) => {
                self.throttle.withdrawn(&attempt.attempt);
                Outcome::Busy
            }
            (Ok(true), Some((identity, credential))) => {
                self.throttle.succeeded(&attempt.attempt);
                Outcome::Welcome(identity, credential)
            }
            (Ok(_), _) => Outcome::Wrong,
        }
    }
}

impl Accounts for Local {
    fn accepts(&self, user: &str, credential: u64) -> Result<(), EndReason> {
        self.users.accepts(user, credential)
    }
}
