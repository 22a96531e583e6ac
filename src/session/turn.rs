//! Turn: which ids a session has just now.
//!
//! Comes in: the proof that an id brings, and the time. Goes out: whether the id is the present one, the one before (good
//! until the present one has been shown, and half a minute longer, since requests under way still carry it), or one that
//! was replaced long ago: then somebody else holds it. Never waits: the cells are set in an order in which any reader sees
//! either the old turn or the new one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::session::id::Proof;
use crate::session::stored::Turn;

/// How long the id before goes on after the present one was first shown; also, how long a present one that nobody shows is
/// waited for before another is handed out in its place.
pub const GRACE: Duration = Duration::from_secs(30);

/// What an id is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The present one.
    Present,
    /// The present one, shown for the first time since it replaced another.
    First,
    /// The one before, still good.
    Previous,
    /// One that was replaced, and shown after that.
    Past,
}

/// The ids of a session. Times are in seconds since the session was made, one more, so that zero is never.
#[derive(Debug)]
pub struct Turns {
    proof: AtomicU64,
    previous: AtomicU64,
    since: AtomicU32,
    shown: AtomicU32,
}

impl Turns {
    /// As a store kept them.
    pub fn new(turn: Turn, created: Timestamp) -> Self {
        let turns = Self {
            proof: AtomicU64::new(turn.proof.bits()),
            previous: AtomicU64::default(),
            since: AtomicU32::default(),
            shown: AtomicU32::default(),
        };
        turns.set(turn, created);
        turns
    }

    /// From now on these.
    pub fn set(&self, turn: Turn, created: Timestamp) {
        self.previous.store(turn.previous.map_or(0, Proof::bits), Ordering::Release);
        self.shown.store(turn.shown.map_or(0, |shown| second(shown, created)), Ordering::Release);
        self.since.store(second(turn.since, created), Ordering::Release);
        self.proof.store(turn.proof.bits(), Ordering::Release);
    }

    /// As they are to be kept.
    pub fn now(&self, created: Timestamp) -> Turn {
        let time = |cell: &AtomicU32| moment(cell.load(Ordering::Acquire), created);
        let previous = self.previous.load(Ordering::Acquire);
        Turn {
            proof: self.proof(),
            since: time(&self.since).unwrap_or(created),
            previous: (previous != 0).then(|| Proof::from_bits(previous)),
            shown: time(&self.shown),
        }
    }

    /// The proof of the present id.
    pub fn proof(&self) -> Proof {
        Proof::from_bits(self.proof.load(Ordering::Acquire))
    }

    /// What an id with this proof is; notes that the present one is shown.
    #[inline]
    pub fn standing(&self, proof: Proof, created: Timestamp, now: Timestamp) -> Standing {
        let present = proof == self.proof();
        let previous = self.previous.load(Ordering::Acquire);
        if present {
            if previous != 0 && previous != proof.bits() && self.shown.load(Ordering::Relaxed) == 0 {
                self.shown.store(second(now, created), Ordering::Release);
                return Standing::First;
            }
            return Standing::Present;
        }
        let shown = moment(self.shown.load(Ordering::Acquire), created);
        let in_time = shown.is_none_or(|shown| now.since(shown) <= GRACE);
        if previous == proof.bits() && in_time { Standing::Previous } else { Standing::Past }
    }

    /// Whether an id of this standing is to be replaced now.
    #[inline]
    pub fn is_due(&self, standing: Standing, every: Duration, created: Timestamp, now: Timestamp) -> bool {
        let since = moment(self.since.load(Ordering::Acquire), created).unwrap_or(created);
        match standing {
            Standing::Present => !every.is_zero() && now.since(since) >= every,
            Standing::Previous => self.shown.load(Ordering::Acquire) == 0 && now.since(since) > GRACE,
            Standing::First | Standing::Past => false,
        }
    }

    /// Puts `next` in the place of the present id, asked for by somebody who shows `by`. False when another request did so
    /// just now.
    pub fn take(&self, by: Proof, next: Proof, created: Timestamp, now: Timestamp) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let present = self.proof();
        let known = by == present || by.bits() == self.previous.load(Ordering::Acquire);
        let now = second(now, created);
        if !known
            || since == now
            || self.since.compare_exchange(since, now, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return false;
        }
        self.previous.store(by.bits(), Ordering::Release);
        self.shown.store(0, Ordering::Release);
        self.proof.store(next.bits(), Ordering::Release);
        true
    }
}

/// The same on plain values, for a store that is asked with compare-and-set.
pub fn taken(turn: Turn, by: Proof, next: Proof, now: Timestamp) -> Option<Turn> {
    let known = by == turn.proof || turn.previous == Some(by);
    known.then_some(Turn { proof: next, since: now, previous: Some(by), shown: None })
}

fn second(at: Timestamp, created: Timestamp) -> u32 {
    u32::try_from(at.since(created).as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}

fn moment(second: u32, created: Timestamp) -> Option<Timestamp> {
    (second != 0).then(|| created.plus(Duration::from_secs(u64::from(second - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const EVERY: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    fn proof(bits: u64) -> Proof {
        Proof::from_bits(bits)
    }

    fn turns() -> Turns {
        Turns::new(Turn { proof: proof(1), since: START, previous: None, shown: None }, START)
    }

    #[test]
    fn the_id_before_goes_on_until_the_new_one_was_shown_and_half_a_minute_longer() {
        let turns = turns();
        let standing = |bits, seconds| turns.standing(proof(bits), START, at(seconds));
        assert!(!turns.is_due(Standing::Present, EVERY, START, at(899)));
        assert!(turns.is_due(Standing::Present, EVERY, START, at(900)));
        assert!(turns.take(proof(1), proof(2), START, at(900)));
        assert_eq!(standing(1, 5000), Standing::Previous, "the new one may have got lost");
        assert_eq!(standing(2, 5000), Standing::First);
        assert_eq!(standing(2, 5000), Standing::Present);
        assert_eq!(standing(1, 5030), Standing::Previous);
        assert_eq!(standing(1, 5031), Standing::Past);
        assert_eq!(standing(3, 5000), Standing::Past);
    }

    #[test]
    fn an_id_that_got_lost_is_replaced_by_another() {
        let turns = turns();
        assert!(turns.take(proof(1), proof(2), START, at(900)));
        assert!(!turns.is_due(Standing::Previous, EVERY, START, at(930)));
        assert!(turns.is_due(Standing::Previous, EVERY, START, at(931)));
        assert!(turns.take(proof(1), proof(3), START, at(931)));
        assert_eq!(turns.standing(proof(3), START, at(932)), Standing::First);
        assert_eq!(turns.standing(proof(1), START, at(933)), Standing::Previous);
        assert!(!turns.is_due(Standing::Previous, EVERY, START, at(990)), "it was shown");
    }

    #[test]
    fn of_many_who_ask_at_once_one_gets_the_new_id() {
        let turns = turns();
        let won = std::thread::scope(|scope| {
            let take = |n| {
                scope.spawn({
                    let turns = &turns;
                    move || turns.take(proof(1), proof(n), START, at(900))
                })
            };
            let all: Vec<_> = (2..10).map(take).collect();
            all.into_iter().map(|thread| thread.join().expect("no panic")).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        assert_eq!(turns.standing(proof(1), START, at(901)), Standing::Previous);
    }

    #[test]
    fn what_is_kept_comes_back_true_to_a_second() {
        let turns = turns();
        turns.take(proof(1), proof(2), START, at(900));
        turns.standing(proof(2), START, at(1000));
        let kept = turns.now(START);
        let expected =
            Turn { proof: proof(2), since: at(900), previous: Some(proof(1)), shown: Some(at(1000)) };
        assert_eq!(kept, expected);
        assert_eq!(Turns::new(kept, START).now(START), kept);
    }

    #[test]
    fn plain_values_take_turns_in_the_same_way() {
        let turn = Turn { proof: proof(1), since: START, previous: None, shown: None };
        let next = taken(turn, proof(1), proof(2), at(9)).expect("the present one asks");
        assert_eq!((next.proof, next.previous, next.since), (proof(2), Some(proof(1)), at(9)));
        assert_eq!(taken(next, proof(1), proof(3), at(99)).map(|turn| turn.proof), Some(proof(3)));
        assert_eq!(taken(next, proof(9), proof(3), at(99)), None);
    }
}
