//! Tally: what was counted while measuring.
//!
//! Comes in: each request as it ends. Goes out: the figures of a job. Errors and wrong responses count from the first
//! moment on, everything else only inside the measured time.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::job::Done;

/// The longest latency told apart, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;

#[derive(Debug)]
pub struct Tally {
    latencies: Histogram<u64>,
    since: Instant,
    cpu: Duration,
    /// Time spent looking for work where there was none yet.
    pub spun: Duration,
    pub requests: u64,
    pub bytes: u64,
    pub handshakes: u64,
    pub resumed: u64,
    pub errors: u64,
    pub wrong: u64,
    pub first_error: Option<String>,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            latencies: Histogram::new_with_max(LONGEST, 3).expect("two bounds that make sense"),
            since: Instant::now(),
            cpu: cpu_time(),
            spun: Duration::ZERO,
            requests: 0,
            bytes: 0,
            handshakes: 0,
            resumed: 0,
            errors: 0,
            wrong: 0,
            first_error: None,
        }
    }

    /// Begins to measure.
    pub fn begin(&mut self, now: Instant) {
        let Self { errors, wrong, first_error, .. } = std::mem::replace(self, Self::new());
        *self = Self { since: now, errors, wrong, first_error, ..Self::new() };
    }

    pub fn request(&mut self, took: Duration) {
        self.requests += 1;
        self.latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST));
    }

    pub fn error(&mut self, text: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(text);
    }

    pub fn wrong(&mut self, text: impl FnOnce() -> String) {
        self.wrong += 1;
        self.first_error.get_or_insert_with(text);
    }

    pub fn done(&mut self, unfinished: usize) -> Done {
        let wall = self.since.elapsed();
        let seconds = wall.as_secs_f64().max(1e-9);
        let worked = cpu_time().saturating_sub(self.cpu).saturating_sub(self.spun);
        let micros = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Done {
            requests: self.requests,
            errors: self.errors,
            wrong: self.wrong,
            unfinished,
            seconds,
            rps: self.requests as f64 / seconds,
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            p999_us: micros(0.999),
            max_us: self.latencies.max() as f64 / 1000.0,
            busy: worked.as_secs_f64() / seconds,
            bytes: self.bytes,
            handshakes: self.handshakes,
            resumed: self.resumed,
            first_error: self.first_error.take(),
        }
    }
}

/// CPU time of this thread so far.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}
