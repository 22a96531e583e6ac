//! Passwords: those who know passwords, asked in order.
//!
//! Comes in: a user name and a password as typed, and from where. Goes out: who it is, or that it is wrong, or that it is
//! too much. Every way in that takes a password comes through here, so that all of them count together. Unknown, disabled
//! and mistaken are one answer. Never logs what was typed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::login::ThrottleSettings;
use crate::login::factor::{self, Factors, Wanted};
use crate::login::ldap::Ldap;
use crate::login::local::Local;
use crate::login::throttle::{Attempt, Throttle, Wait};
use crate::session::accounts::Accounts;
use crate::session::record::EndReason;

/// All who know passwords, behind one throttle.
#[derive(Debug)]
pub struct Passwords {
    methods: Vec<Method>,
    factors: Option<Arc<Factors>>,
    throttle: Arc<Throttle>,
    limits: ThrottleSettings,
}

/// One who knows passwords.
#[derive(Debug)]
pub enum Method {
    /// `login.local`
    Local(Local),
    /// `login.ldap`
    Ldap(Ldap),
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The password was right; with a digest of what it was compared with, 0 where nobody will look at it again.
    Welcome(Identity, u64),
    /// The password was right, and more is wanted of this person: nobody is let in by this alone.
    HalfWay(Identity, u64, Wanted),
    /// Unknown user, disabled user or wrong password.
    Wrong,
    /// Too many failures.
    TooMany(Wait),
    /// Too many people are signing in at this moment.
    Busy,
    /// Whoever may know cannot be asked at this moment. It does not count as a failure.
    Away,
}

/// What came of a code.
#[derive(Debug)]
pub enum CodeOutcome<T> {
    /// It is right.
    Right(T),
    /// It is not, or was used.
    Wrong,
    /// Too many failures.
    TooMany(Wait),
    /// It cannot be said at this moment.
    Away,
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
    /// What it calls the user was tried too often.
    TooMany(Wait),
    /// It has too much to do.
    Busy,
    /// It cannot say.
    Away,
}

/// How often, and how many times, an attempt asks whether those before it are over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: usize = 500;

/// Where a directory is asked, a refusal comes after a whole number of these: how long it took says nothing of who
/// knew the name.
const BEAT: Duration = Duration::from_millis(500);

/// An attempt being looked at, under every name it goes by; over when dropped, also when its client goes away.
#[derive(Debug)]
pub struct Tries<'t> {
    throttle: &'t Throttle,
    limits: &'t ThrottleSettings,
    client: Option<IpAddr>,
    now: Timestamp,
    attempts: Vec<Attempt>,
}

impl<'t> Tries<'t> {
    /// Counts an attempt. What is too many only because of attempts under way waits until they are over.
    async fn begin(
        throttle: &'t Throttle,
        limits: &'t ThrottleSettings,
        user: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Self, Wait> {
        let mut tries = Self { throttle, limits, client, now, attempts: Vec::new() };
        tries.also(user).await?;
        Ok(tries)
    }

    /// Counts the same attempt for another name of the user, unless it is one by which it counts already.
    pub async fn also(&mut self, user: &str) -> Result<(), Wait> {
        if self.attempts.iter().any(|attempt| attempt.is_of(user)) {
            return Ok(());
        }
        let begin = || match self.attempts.is_empty() {
            true => self.throttle.begin(self.limits, user, self.client, self.now),
            false => self.throttle.begin_again(self.limits, user, self.client, self.now),
        };
        let mut outcome = begin();
        for _ in 0..LOOKS {
            if outcome.is_ok() || !self.throttle.is_under_way(user) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            outcome = begin();
        }
        self.attempts.push(outcome?);
        Ok(())
    }

    fn succeeded(&self) {
        self.attempts.iter().for_each(|attempt| self.throttle.succeeded(attempt));
    }

    fn withdrawn(&self) {
        self.attempts.iter().for_each(|attempt| self.throttle.withdrawn(attempt));
    }
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        self.attempts.iter().for_each(|attempt| self.throttle.over(attempt));
    }
}

impl Passwords {
    /// These methods, asked in this order.
    pub fn new(
        methods: Vec<Method>,
        factors: Option<Arc<Factors>>,
        throttle: Arc<Throttle>,
        limits: ThrottleSettings,
    ) -> Self {
        Self { methods, factors, throttle, limits }
    }

    /// Second factors, where users of ours may have one.
    pub fn factors(&self) -> Option<&Factors> {
        self.factors.as_deref()
    }

    /// Who a user of ours is, and the digest of what proves it; `None` for those who are unknown or disabled.
    pub fn local_user(&self, user: &str) -> Option<(Identity, u64)> {
        self.local()?.users().candidate(user).identity
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
        let begun = Instant::now();
        let outcome = self.outcome(user, password, client, now).await;
        let has_directory = self.methods.iter().any(|method| matches!(method, Method::Ldap(_)));
        if has_directory && matches!(outcome, Outcome::Wrong) {
            let beats = begun.elapsed().as_millis() / BEAT.as_millis() + 1;
            tokio::time::sleep_until(begun + BEAT * u32::try_from(beats).unwrap_or(u32::MAX)).await;
        }
        outcome
    }

    async fn outcome(
        &self,
        user: &str,
        password: Zeroizing<String>,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Outcome {
        let mut tries = match Tries::begin(&self.throttle, &self.limits, user, client, now).await {
            Ok(tries) => tries,
            Err(wait) => return Outcome::TooMany(wait),
        };
        match self.ask(user.trim(), password, &mut tries).await {
            Verdict::Welcome(identity, credential) => match self.wanted(&identity, credential) {
                Some(Wanted::Nothing) => {
                    tries.succeeded();
                    Outcome::Welcome(identity, credential)
                }
                // This attempt was none of a wrong password, but failures are forgiven only to who has proved all.
                Some(wanted) => {
                    tries.withdrawn();
                    Outcome::HalfWay(identity, credential, wanted)
                }
                None => {
                    tries.withdrawn();
                    Outcome::Away
                }
            },
            Verdict::Wrong | Verdict::Unknown => Outcome::Wrong,
            Verdict::TooMany(wait) => Outcome::TooMany(wait),
            Verdict::Busy => {
                tries.withdrawn();
                Outcome::Busy
            }
            Verdict::Away => {
                tries.withdrawn();
                Outcome::Away
            }
        }
    }

    /// Tries a code, which counts like a password; `check` looks at it, on a thread that may wait for a disk.
    pub async fn try_code<T: Send + 'static>(
        &self,
        user: &str,
        client: Option<IpAddr>,
        now: Timestamp,
        check: impl FnOnce(&Factors) -> factor::Verdict<T> + Send + 'static,
    ) -> CodeOutcome<T> {
        let Some(factors) = self.factors.clone() else { return CodeOutcome::Away };
        let tries = match Tries::begin(&self.throttle, &self.limits, user, client, now).await {
            Ok(tries) => tries,
            Err(wait) => return CodeOutcome::TooMany(wait),
        };
        match tokio::task::spawn_blocking(move || check(&factors)).await {
            Ok(factor::Verdict::Right(told)) => {
                tries.succeeded();
                CodeOutcome::Right(told)
            }
            Ok(factor::Verdict::Wrong) => CodeOutcome::Wrong,
            Ok(factor::Verdict::Away) | Err(_) => {
                tries.withdrawn();
                CodeOutcome::Away
            }
        }
    }

    /// What is wanted besides the password; `None` where that cannot be said. A directory's users have none here.
    pub fn wanted(&self, identity: &Identity, credential: u64) -> Option<Wanted> {
        match &self.factors {
            Some(factors) if credential != 0 => factors.wanted(identity),
            _ => Some(Wanted::Nothing),
        }
    }

    /// Asks one method after the other, until one knows the user or cannot say.
    async fn ask(&self, user: &str, password: Zeroizing<String>, tries: &mut Tries<'_>) -> Verdict {
        for method in &self.methods {
            let verdict = match method {
                Method::Local(local) => local.try_password(user, password.clone()).await,
                Method::Ldap(ldap) => {
                    self.unless_ours(ldap.try_password(user, password.clone(), tries).await)
                }
            };
            if !matches!(verdict, Verdict::Unknown) {
                return verdict;
            }
        }
        Verdict::Unknown
    }

    /// Somebody whom a directory calls like a user of ours is not let in: they would be taken for that user.
    fn unless_ours(&self, verdict: Verdict) -> Verdict {
        match &verdict {
            Verdict::Welcome(identity, _)
                if self.local().is_some_and(|local| local.users().candidate(identity.user()).is_known) =>
            {
                let user = identity.user();
                tracing::error!(
                    user,
                    "a login was refused: the directory and `login.local` both have this user"
                );
                Verdict::Wrong
            }
            _ => verdict,
        }
    }

    /// Those of ours, if there are any.
    pub fn local(&self) -> Option<&Local> {
        self.methods.iter().find_map(|method| match method {
            Method::Local(local) => Some(local),
            Method::Ldap(_) => None,
        })
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
