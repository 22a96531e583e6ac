//! Passwords: those who know passwords, asked in order.
//!
//! Comes in: a user name and a password as typed, and from where. Goes out: who it is, or that it is wrong, or that it is
//! too much. Every way in that takes a password comes through here, so that all of them count together. Unknown, disabled
//! and mistaken are one answer. Never logs what was typed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::login::ThrottleSettings;
use crate::login::local::Local;
use crate::login::throttle::{Attempt, Throttle, Wait};
use crate::session::accounts::Accounts;
use crate::session::record::EndReason;

/// All who know passwords, behind one throttle.
#[derive(Debug)]
pub struct Passwords {
    methods: Vec<Method>,
    throttle: Arc<Throttle>,
    limits: ThrottleSettings,
}

/// One who knows passwords.
#[derive(Debug)]
pub enum Method {
    /// `login.local`
    Local(Local),
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

/// What one method says of an attempt.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right; with a digest of what it was compared with, 0 where nobody will look at it again.
    Welcome(Identity, u64),
    /// It knows the user, and this is not the way in: nobody else is asked.
    Wrong,
    /// It does not know the user.
    Unknown,
    /// It has too much to do.
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

impl Passwords {
    /// These methods, asked in this order.
    pub fn new(methods: Vec<Method>, throttle: Arc<Throttle>, limits: ThrottleSettings) -> Self {
        Self { methods, throttle, limits }
    }

    /// How often the people who may log in have changed since the start.
    pub fn changes(&self) -> u64 {
        self.local().map_or(0, |local| local.users().changes())
    }

    /// Tries a user name and a password. Blanks around the name, as telephones add them, do not count.
    pub async fn try_password(
        &self,
        user: &str,
        password: Zeroizing<String>,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Outcome {
        let under_way = match self.begin(user, client, now).await {
            Ok(attempt) => UnderWay { throttle: &self.throttle, attempt },
            Err(wait) => return Outcome::TooMany(wait),
        };
        match self.ask(user.trim(), password).await {
            Verdict::Welcome(identity, credential) => {
                self.throttle.succeeded(&under_way.attempt);
                Outcome::Welcome(identity, credential)
            }
            Verdict::Wrong | Verdict::Unknown => Outcome::Wrong,
            Verdict::Busy => {
                self.throttle.withdrawn(&under_way.attempt);
                Outcome::Busy
            }
        }
    }

    /// Asks one method after the other, until one knows the user or cannot say.
    async fn ask(&self, user: &str, password: Zeroizing<String>) -> Verdict {
        for method in &self.methods {
            let verdict = match method {
                Method::Local(local) => local.try_password(user, password.clone()).await,
            };
            if !matches!(verdict, Verdict::Unknown) {
                return verdict;
            }
        }
        Verdict::Unknown
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

    fn local(&self) -> Option<&Local> {
        self.methods.iter().map(|Method::Local(local)| local).next()
    }
}

impl Accounts for Passwords {
    fn accepts(&self, user: &str, credential: u64) -> Result<(), EndReason> {
        match self.local() {
            Some(local) => local.users().accepts(user, credential),
            None => Err(EndReason::Disabled),
        }
    }
}
