//! Password: is it right?
//!
//! Comes in: a password and hashes (argon2id, RFC 9106; bcrypt as htpasswd writes it). Goes out: yes or no, computed on a
//! few threads of its own so that hashing never holds up a worker. Never queues without bound, never keeps a password.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// How many checks may wait.
const QUEUE: usize = 64;

/// What checking a hash costs: hashes with the same cost take the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// argon2id with these parameters, as they stand in the hash: `v=19$m=19456,t=2,p=1`.
    Argon2(Box<str>),
    /// bcrypt with two to this power of rounds.
    Bcrypt(u8),
}

impl Cost {
    /// The cost of a hash; `None` when it is of no kind we know.
    pub fn of(hash: &str) -> Option<Self> {
        if let Some(rest) = hash.strip_prefix("$argon2id$") {
            let mut parts = rest.rsplitn(3, '$').skip(2);
            return parts.next().map(|parameters| Cost::Argon2(parameters.into()));
        }
        let rest = ["$2y$", "$2b$", "$2a$"].iter().find_map(|kind| hash.strip_prefix(kind))?;
        let (rounds, digest) = rest.split_once('$')?;
        (digest.len() == 53).then_some(())?;
        rounds.parse().ok().map(Cost::Bcrypt)
    }

    /// The cost of what `cloakroom hash-password` makes.
    pub fn usual() -> Self {
        Cost::Argon2("v=19$m=19456,t=2,p=1".into())
    }

    /// A hash of this cost that nobody has the password of.
    pub fn dummy(&self) -> SecretString {
        let hash = match self {
            Cost::Argon2(parameters) => {
                format!("$argon2id${parameters}${}${}", "A".repeat(22), "A".repeat(43))
            }
            Cost::Bcrypt(rounds) => format!("$2b${rounds:02}${}", ".".repeat(53)),
        };
        SecretString::from(hash)
    }
}

/// Whether `password` is the one that was hashed. Takes tens of milliseconds, by design.
pub fn matches(hash: &str, password: &[u8]) -> bool {
    match Cost::of(hash) {
        Some(Cost::Argon2(_)) => Argon2::default().verify_password(password, hash).is_ok(),
        Some(Cost::Bcrypt(_)) => bcrypt::verify(password, hash).unwrap_or(false),
        None => false,
    }
}

/// The threads that check passwords. They end when this is dropped.
#[derive(Debug)]
pub struct Checker {
    queue: SyncSender<Job>,
    asked: AtomicU64,
}

/// So many checks wait already that another one would wait too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

struct Job {
    hashes: Vec<SecretString>,
    password: Zeroizing<String>,
    answer: oneshot::Sender<bool>,
}

impl Checker {
    /// Half as many threads as there are cores, at least one.
    ///
    /// # Errors
    /// When the system lets no more threads be started.
    pub fn new() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_threads((cores / 2).max(1))
    }

    fn with_threads(threads: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            let thread = thread::Builder::new().name("password".to_owned());
            thread.spawn(move || work(&jobs))?;
        }
        Ok(Self { queue, asked: AtomicU64::new(0) })
    }

    /// How many passwords it was asked about.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the first of `hashes` is that of `password`. All are computed: the time taken says nothing.
    pub async fn check(&self, hashes: Vec<SecretString>, password: Zeroizing<String>) -> Result<bool, Busy> {
        let (answer, answered) = oneshot::channel();
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Job { hashes, password, answer }) {
            Ok(()) => answered.await.map_err(|_| Busy),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if job.answer.is_closed() {
            continue;
        }
        let verdicts: Vec<_> =
            job.hashes.iter().map(|hash| matches(hash.expose_secret(), job.password.as_bytes())).collect();
        let _ = job.answer.send(verdicts.first() == Some(&true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    fn argon2(password: &str) -> String {
        use argon2::password_hash::PasswordHasher as _;
        let small = Argon2::from(argon2::Params::new(8, 1, 1, None).expect("valid"));
        small.hash_password_with_salt(password.as_bytes(), b"saltsaltsalt").expect("hashed").to_string()
    }

    #[test]
    fn argon2id_and_bcrypt_are_checked() {
        let hash = argon2("correct horse");
        assert!(matches(&hash, b"correct horse"));
        assert!(!matches(&hash, b"correct hors"));
        let made = bcrypt::hash("secret", 4).expect("hashed");
        for kind in ["$2a$", "$2b$", "$2y$"] {
            let hash = format!("{kind}{}", &made[4..]);
            assert!(matches(&hash, b"secret") && !matches(&hash, b"Secret"), "{hash}");
        }
        for broken in
            ["", "secret", "$1$abc", "$argon2id$", "$2y$05$short", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$x"]
        {
            assert!(!matches(broken, b"secret") && !matches(broken, b""), "{broken}");
        }
    }

    #[test]
    fn a_dummy_costs_what_it_stands_for_and_matches_nothing() {
        for hash in [argon2("x"), BCRYPT.to_owned()] {
            let cost = Cost::of(&hash).expect("known");
            let dummy = cost.dummy();
            assert_eq!(Cost::of(dummy.expose_secret()), Some(cost));
            assert!(!matches(dummy.expose_secret(), b"x"));
        }
        let usual = Cost::usual().dummy();
        assert!(argon2::PasswordHash::new(usual.expose_secret()).is_ok(), "a dummy is computed, not refused");
        assert!(bcrypt::verify("x", Cost::Bcrypt(4).dummy().expose_secret()).is_ok());
    }

    #[tokio::test]
    async fn only_the_first_hash_decides() {
        let checker = Checker::with_threads(1).expect("a thread");
        let (right, wrong) = (SecretString::from(argon2("a")), SecretString::from(argon2("b")));
        let password = || Zeroizing::new("a".to_owned());
        assert_eq!(checker.check(vec![right.clone(), wrong.clone()], password()).await, Ok(true));
        assert_eq!(checker.check(vec![wrong, right], password()).await, Ok(false));
        assert_eq!(checker.check(vec![], password()).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let checker = Checker::with_threads(0).expect("no thread");
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let (answer, answered) = oneshot::channel();
                let job = Job { hashes: vec![], password: Zeroizing::default(), answer };
                (checker.queue.try_send(job).is_ok(), answered)
            })
            .collect();
        // Without a thread nobody listens: the queue is closed rather than full, and says the same.
        assert!(waiting.iter().all(|(sent, _)| !sent));
        assert_eq!(checker.check(vec![], Zeroizing::default()).await, Err(Busy));
    }
}
