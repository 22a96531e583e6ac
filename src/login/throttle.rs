//! Throttle: how often may somebody try?
//!
//! Comes in: attempts, by user name and client address. Goes out: go on, or how long to wait. Never more memory than set.
//!
//! An attempt counts when it begins and is taken back when it succeeds, so that trying in parallel gains nothing; one that
//! is too many only because of others under way waits for them. When
//! the failures for one user reach `per_user`, those addresses that have failed for this user must wait; others may still
//! try, so that strangers cannot lock the person out. At [`LOCKED_AT`] times the limit (failures from that many addresses)
//! everybody must wait. An address that fails `per_ip` times, for whatever users, must wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::login::ThrottleSettings;

/// This many times `per_user`, and nobody may try for that user any more.
pub const LOCKED_AT: u32 = 20;

/// Counts kept, of each kind; the longest unused go first.
const ROOM: u64 = 100_000;

/// An upper bound: each count also ends with its window.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

type Hash = [u8; 16];

/// Failed attempts. Outlives a configuration.
#[derive(Debug)]
pub struct Throttle {
    users: Counts<Hash>,
    pairs: Counts<(Hash, Address)>,
    addresses: Counts<Address>,
    under_way: Mutex<HashMap<Hash, usize>>,
}

/// An attempt under way: it counts as failed until it is taken back.
#[derive(Debug)]
pub struct Attempt {
    user: Hash,
    address: Address,
    /// Whether it counts for the address, and not only for the user.
    counts_address: bool,
}

impl Attempt {
    /// Whether it counts for this user, however they are spelled.
    pub fn is_of(&self, user: &str) -> bool {
        self.user == canonical(user)
    }
}

/// Wait this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// IPv4 whole, IPv6 by its first 64 bits: that is what one household or server has. None over a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4([u8; 4]),
    V6([u8; 8]),
    None,
}

impl Throttle {
    /// Nobody has tried yet.
    pub fn new() -> Self {
        Self {
            users: Counts::new(),
            pairs: Counts::new(),
            addresses: Counts::new(),
            under_way: Mutex::default(),
        }
    }

    /// Counts an attempt, or says how long to wait.
    pub fn begin(
        &self,
        limits: &ThrottleSettings,
        user: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Attempt, Wait> {
        let attempt = Attempt { user: canonical(user), address: Address::of(client), counts_address: true };
        self.count(limits, attempt, now)
    }

    /// Counts an attempt for another name of the same user: for the address it counts already.
    pub fn begin_again(
        &self,
        limits: &ThrottleSettings,
        user: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Attempt, Wait> {
        let attempt = Attempt { user: canonical(user), address: Address::of(client), counts_address: false };
        self.count(limits, attempt, now)
    }

    fn count(&self, limits: &ThrottleSettings, attempt: Attempt, now: Timestamp) -> Result<Attempt, Wait> {
        let pair = (attempt.user, attempt.address);
        let (per_user, user_window) = limits.per_user;
        let (per_ip, ip_window) = limits.per_ip;
        let failed_here = self.pairs.add(pair, 0, user_window, now)? > 1;
        let user_limit = if failed_here { per_user } else { per_user.saturating_mul(LOCKED_AT) };
        if let Err(wait) = self.users.add(attempt.user, user_limit, user_window, now) {
            self.pairs.subtract(pair, 1);
            return Err(wait);
        }
        let ip_limit = if attempt.address == Address::None { 0 } else { per_ip };
        let address = attempt.counts_address.then_some(attempt.address);
        if let Some(address) = address
            && let Err(wait) = self.addresses.add(address, ip_limit, ip_window, now)
        {
            self.pairs.subtract(pair, 1);
            self.users.subtract(attempt.user, 1);
            return Err(wait);
        }
        *self.under_way().entry(attempt.user).or_insert(0) += 1;
        Ok(attempt)
    }

    /// Counts a failure of somebody whose name is not known, by the address alone, or says how long to wait.
    pub fn address_failed(
        &self,
        limits: &ThrottleSettings,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Wait> {
        match Address::of(client) {
            Address::None => Ok(()),
            address => self.addresses.add(address, limits.per_ip.0, limits.per_ip.1, now).map(|_| ()),
        }
    }

    /// Whether attempts for this user are being looked at right now: they count, and may yet be taken back.
    pub fn is_under_way(&self, user: &str) -> bool {
        self.under_way().contains_key(&canonical(user))
    }

    /// The attempt has been looked at, whatever came of it.
    pub fn over(&self, attempt: &Attempt) {
        let mut under_way = self.under_way();
        if let Some(count) = under_way.get_mut(&attempt.user) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&attempt.user);
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Hash, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The password was right: this address's failures for the user are forgiven. What others did still counts.
    pub fn succeeded(&self, attempt: &Attempt) {
        let pair = (attempt.user, attempt.address);
        let failed = self.pairs.remove(&pair);
        self.users.subtract(attempt.user, failed.max(1));
        self.forgive_address(attempt);
    }

    /// The password was never looked at: the attempt does not count.
    pub fn withdrawn(&self, attempt: &Attempt) {
        self.pairs.subtract((attempt.user, attempt.address), 1);
        self.users.subtract(attempt.user, 1);
        self.forgive_address(attempt);
    }

    fn forgive_address(&self, attempt: &Attempt) {
        if attempt.counts_address {
            self.addresses.subtract(attempt.address, 1);
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// One name for all spellings of a user: no blanks around or doubled, lower case. Hashed, as anybody may send megabytes.
fn canonical(user: &str) -> Hash {
    let spelled: Vec<_> = user.split_whitespace().map(str::to_lowercase).collect();
    *digest(&SHA256, spelled.join(" ").as_bytes()).as_ref().first_chunk().expect("a SHA-256 is 32 bytes long")
}

impl Address {
    fn of(client: Option<IpAddr>) -> Self {
        match client.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Address::V4(address.octets()),
            Some(IpAddr::V6(address)) => {
                Address::V6(*address.octets().first_chunk().expect("an IPv6 address is 16 bytes long"))
            }
            None => Address::None,
        }
    }
}

/// How many, since when.
#[derive(Clone, Copy, Debug)]
struct Count {
    since: Timestamp,
    number: u32,
}

#[derive(Debug)]
struct Counts<K>(Cache<K, Count>)
where
    K: std::hash::Hash + Eq + Send + Sync + 'static;

impl<K: std::hash::Hash + Eq + Clone + Send + Sync + 'static> Counts<K> {
    fn new() -> Self {
        let cache = Cache::builder().max_capacity(ROOM).eviction_policy(EvictionPolicy::lru());
        Self(cache.time_to_live(FORGOTTEN_AFTER).build())
    }

    /// Adds one and says how many there are, unless `limit` is reached (0: there is none). Looks and adds in one step.
    fn add(&self, key: K, limit: u32, window: Duration, now: Timestamp) -> Result<u32, Wait> {
        let mut outcome = Ok(0);
        self.0.entry(key).and_compute_with(|entry| {
            let running = entry.map(moka::Entry::into_value).filter(|count| count.runs(window, now));
            let count = running.unwrap_or(Count { since: now, number: 0 });
            if limit > 0 && count.number >= limit {
                outcome = Err(Wait(count.since.plus(window).since(now)));
                return Op::Nop;
            }
            let number = count.number.saturating_add(1);
            outcome = Ok(number);
            Op::Put(Count { number, ..count })
        });
        outcome
    }

    fn subtract(&self, key: K, number: u32) {
        self.0.entry(key).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(count) if count.number > number => Op::Put(Count { number: count.number - number, ..count }),
            Some(_) => Op::Remove,
            None => Op::Nop,
        });
    }

    fn remove(&self, key: &K) -> u32 {
        self.0.remove(key).map_or(0, |count| count.number)
    }
}

impl Count {
    /// Whether the window is still open. One that began in the future (the clock was set back) is over.
    fn runs(&self, window: Duration, now: Timestamp) -> bool {
        self.since <= now && now.since(self.since) < window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_secs(900);

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn begin(throttle: &Throttle, user: &str, from: &str, now: Timestamp) -> Result<Attempt, Wait> {
        throttle.begin(&ThrottleSettings::default(), user, ip(from), now)
    }

    #[test]
    fn after_five_failures_the_address_must_wait_until_the_window_closes() {
        let throttle = Throttle::new();
        for _ in 0..5 {
            assert!(begin(&throttle, "alice", "192.0.2.1", start()).is_ok());
        }
        let later = start().plus(Duration::from_secs(60));
        assert_eq!(begin(&throttle, "alice", "192.0.2.1", later).err(), Some(Wait(Duration::from_secs(840))));
        assert!(begin(&throttle, "bob", "192.0.2.1", later).is_ok());
        assert!(begin(&throttle, "alice", "192.0.2.1", start().plus(QUARTER)).is_ok());
    }

    #[test]
    fn another_spelling_of_the_user_gives_no_second_count() {
        let throttle = Throttle::new();
        for spelling in ["alice", "Alice", " ALICE ", "\talice\n", "aLiCe"] {
            assert!(begin(&throttle, spelling, "192.0.2.1", start()).is_ok());
        }
        assert!(begin(&throttle, "alice", "192.0.2.1", start()).is_err());
    }

    #[test]
    fn strangers_cannot_lock_a_person_out() {
        let throttle = Throttle::new();
        for _ in 0..200 {
            let _ = begin(&throttle, "alice", "192.0.2.66", start());
        }
        let attempt = begin(&throttle, "alice", "198.51.100.7", start()).expect("never failed from here");
        throttle.succeeded(&attempt);
        assert!(begin(&throttle, "alice", "192.0.2.66", start()).is_err(), "the stranger still waits");
    }

    #[test]
    fn many_addresses_together_reach_a_limit_too() {
        let throttle = Throttle::new();
        let allowed =
            (0..=255_u8).filter(|n| begin(&throttle, "alice", &format!("192.0.2.{n}"), start()).is_ok());
        assert_eq!(allowed.count(), 5 * LOCKED_AT as usize);
    }

    #[test]
    fn an_address_has_a_limit_over_all_users_and_ipv6_counts_by_network() {
        let throttle = Throttle::new();
        let from = |n: u32| format!("2001:db8:0:1::{n:x}");
        let tried = (0..200).filter(|n| begin(&throttle, &format!("user{n}"), &from(*n), start()).is_ok());
        assert_eq!(tried.count(), 50);
        assert!(begin(&throttle, "user0", "2001:db8:0:2::1", start()).is_ok());
        assert!(begin(&throttle, "new", "2001:db8:0:1::9", start()).is_err());
    }

    #[test]
    fn success_forgives_and_a_withdrawn_attempt_never_was() {
        let throttle = Throttle::new();
        for _ in 0..100 {
            for _ in 0..4 {
                begin(&throttle, "alice", "192.0.2.1", start()).expect("below the limit");
                let attempt = begin(&throttle, "alice", "192.0.2.1", start()).expect("below the limit");
                throttle.withdrawn(&attempt);
                let attempt = begin(&throttle, "alice", "192.0.2.1", start()).expect("below the limit");
                throttle.succeeded(&attempt);
            }
            // The failures for other users stay with the address.
            throttle.addresses.0.invalidate_all();
        }
    }

    #[test]
    fn attempts_in_parallel_gain_nothing() {
        let throttle = Throttle::new();
        let allowed: usize = std::thread::scope(|scope| {
            let tries =
                || (0..50).filter(|_| begin(&throttle, "alice", "192.0.2.1", start()).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(tries)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(allowed, 5);
    }

    #[test]
    fn a_clock_set_back_opens_no_endless_window() {
        let throttle = Throttle::new();
        for _ in 0..5 {
            let _ = begin(&throttle, "alice", "192.0.2.1", start());
        }
        assert!(begin(&throttle, "alice", "192.0.2.1", Timestamp::from_unix_millis(0)).is_ok());
    }
}
