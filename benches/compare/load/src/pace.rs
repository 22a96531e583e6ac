//! Pace: when each request of an open loop is to be sent.
//!
//! Comes in: requests per second, and the time. Goes out: the intended time of the next request. Never waits for responses:
//! a server that stalls does not slow down the clock.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    rate: f64,
    sent: u64,
}

impl Pace {
    pub const fn new(rate: f64, start: Instant) -> Self {
        Self { start, rate, sent: 0 }
    }

    /// When the next request is to be sent.
    pub fn next(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.sent as f64 / self.rate)
    }

    /// The intended time of a request, if it has come.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        (next <= now).then(|| {
            self.sent += 1;
            next
        })
    }

    /// Requests that should have been sent.
    pub fn overdue(&self, now: Instant) -> usize {
        let wanted = now.saturating_duration_since(self.start).as_secs_f64() * self.rate;
        (wanted as u64).saturating_sub(self.sent) as usize
    }
}
