//! Link: the one connection that all share, as long as it is good.
//!
//! Comes in: questions, each with a deadline. Goes out: answers. A connection that is cut is replaced: by one attempt at a
//! time, each later than the one before, never at the same time as other gateways. Never waits for longer than the
//! deadline; who asks while a server is away is told so at once.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::{RedisError, RedisResult, Value};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Question};
use super::servers::Servers;
use super::{advice, failure};
use crate::session::store::StoreError;

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that lived for so long was a good one.
pub(super) const LASTING: Duration = Duration::from_secs(1);

/// So many answers that do not come within [`RECENT`] make a connection a bad one.
const TOO_MANY: u32 = 3;

/// Long enough for a gateway that is seldom asked: a node of a Cluster that hangs keeps its connections open.
const RECENT: Duration = Duration::from_secs(60);

type Rising = Shared<BoxFuture<'static, RedisResult<Connection>>>;

/// The connection that all share.
pub(super) struct Link {
    servers: Arc<Servers>,
    state: Arc<Mutex<State>>,
}

struct State {
    phase: Phase,
    /// Tells one connection from the next.
    serial: u64,
    /// How often in a row a connection was not good.
    failures: u32,
    up_since: Instant,
    /// Answers that did not come, since when.
    unanswered: (u32, Instant),
    is_advised: bool,
}

enum Phase {
    Down { until: Instant, why: Option<RedisError> },
    Rising(Rising),
    Up(Connection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Link").field(&self.servers).finish()
    }
}

impl Link {
    /// A link that connects when it is first asked.
    pub fn new(servers: Servers) -> Self {
        let now = Instant::now();
        let state = State {
            phase: Phase::Down { until: now, why: None },
            serial: 0,
            failures: 0,
            up_since: now,
            unanswered: (0, now),
            is_advised: false,
        };
        Self { servers: Arc::new(servers), state: Arc::new(Mutex::new(state)) }
    }

    /// Where it leads.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Which connection this is: another number, another server process.
    pub fn serial(&self) -> u64 {
        lock(&self.state).serial
    }

    /// Notes that a server can be reached: the next question need not wait for the end of a pause.
    pub fn hurry(&self) {
        if let Phase::Down { until, .. } = &mut lock(&self.state).phase {
            *until = Instant::now();
        }
    }

    /// Does something that may take as long as the settings say.
    pub async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(self.servers.timeout(), work).await {
            Ok(done) => done,
            Err(_) => {
                let serial = lock(&self.state).serial;
                self.unanswered(serial, &failure::late());
                Err(StoreError::TimedOut)
            }
        }
    }

    /// Asks, and once more when the connection turns out to be cut: every question may be asked twice.
    pub async fn ask(&self, question: Question<'_>) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let (serial, first) = self.try_to_ask(question).await?;
        match first {
            Err(error) if self.is_over(serial, &error) => {
                let (serial, second) = self.try_to_ask(question).await?;
                second.map_err(|error| {
                    self.is_over(serial, &error);
                    failure::tell(&error)
                })
            }
            answer => answer.map_err(|error| failure::tell(&error)),
        }
    }

    async fn try_to_ask(
        &self,
        question: Question<'_>,
    ) -> Result<(u64, RedisResult<Vec<RedisResult<Value>>>), StoreError> {
        let (serial, mut connection) = self.connection().await.map_err(|error| failure::tell(&error))?;
        let answer = connection.answer(question).await;
        if answer.is_ok() {
            lock(&self.state).is_good();
        }
        Ok((serial, answer))
    }

    /// Judges a connection by an error. True when it is given up.
    fn is_over(&self, serial: u64, error: &RedisError) -> bool {
        let useless = failure::is_cut(error) || failure::is_elsewhere(error);
        if useless && !self.servers.are_cluster() {
            lock(&self.state).fell(serial, error);
        } else if useless {
            // It mends itself node by node, unless it has lost its way.
            self.unanswered(serial, error);
        }
        useless && !self.servers.are_cluster()
    }

    /// Notes that an answer did not come. What waits on the other side of a connection may never speak again.
    fn unanswered(&self, serial: u64, error: &RedisError) {
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Up(_)) || state.serial != serial {
            return;
        }
        let now = Instant::now();
        let (count, since) = state.unanswered;
        state.unanswered = if now.duration_since(since) > RECENT { (1, now) } else { (count + 1, since) };
        if state.unanswered.0 >= TOO_MANY {
            state.fell(serial, error);
        }
    }

    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        let (serial, rising) = {
            let mut state = lock(&self.state);
            match &state.phase {
                Phase::Up(connection) => return Ok((state.serial, connection.clone())),
                Phase::Rising(rising) => (state.serial, rising.clone()),
                Phase::Down { until, why: Some(why) } if Instant::now() < *until => return Err(why.clone()),
                Phase::Down { .. } => {
                    state.serial += 1;
                    let rising = self.rise(state.serial);
                    state.phase = Phase::Rising(rising.clone());
                    (state.serial, rising)
                }
            }
        };
        let risen = rising.await;
        // The attempt has noted this already, unless it came to a sudden end.
        risen
            .inspect_err(|error| lock(&self.state).fell(serial, error))
            .map(|connection| (serial, connection))
    }

    /// Connects, whether or not somebody goes on waiting for it.
    fn rise(&self, serial: u64) -> Rising {
        let (servers, state) = (Arc::clone(&self.servers), Arc::clone(&self.state));
        let attempt = tokio::spawn(async move {
            let risen = servers.connect().await;
            let mut state = lock(&state);
            match &risen {
                Err(error) => state.fell(serial, error),
                Ok(connection) => state.rose(serial, connection),
            }
            risen
        });
        attempt
            .map(|risen| risen.unwrap_or_else(|error| Err(io::Error::other(error).into())))
            .boxed()
            .shared()
    }
}

impl State {
    fn rose(&mut self, serial: u64, connection: &Connection) {
        if self.serial != serial {
            return;
        }
        self.phase = Phase::Up(connection.clone());
        self.up_since = Instant::now();
        self.unanswered = (0, self.up_since);
        if !self.is_advised {
            self.is_advised = true;
            tokio::spawn(advice::look(connection.clone()));
        }
    }

    fn fell(&mut self, serial: u64, why: &RedisError) {
        if self.serial != serial || matches!(self.phase, Phase::Down { .. }) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let until = Instant::now() + pause(self.failures, chance());
        self.phase = Phase::Down { until, why: Some(why.clone()) };
    }

    fn is_good(&mut self) {
        if self.failures > 0 && self.up_since.elapsed() > LASTING {
            self.failures = 0;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait after so many failures in a row: not at all after the first, since a server that was started anew is
/// back already. `chance` keeps gateways from coming all at once.
pub(super) fn pause(failures: u32, chance: u8) -> Duration {
    let Some(doublings) = failures.checked_sub(2) else { return Duration::ZERO };
    let whole = Duration::from_millis(50 << doublings.min(8)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + f64::from(chance) / 512.0)
}

/// A number that nobody can know before.
pub(super) fn chance() -> u8 {
    let mut byte = [128];
    // Without one, all wait for the same time, which is no reason to fail.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_the_same_for_all() {
        assert_eq!(pause(0, 255), Duration::ZERO);
        assert_eq!(pause(1, 255), Duration::ZERO);
        assert_eq!(pause(2, 0), Duration::from_millis(25));
        for failures in 3..40 {
            assert!(pause(failures, 0) >= pause(failures - 1, 0));
            assert!(pause(failures, 255) < LONGEST_PAUSE);
            assert!(pause(failures, 0) < pause(failures, 255));
        }
        assert_eq!(pause(u32::MAX, 0), LONGEST_PAUSE / 2);
    }
}
