//! Pool: the connections of one worker to one server.
//!
//! Comes in: connections that can carry another request. Goes out: the one used last, which is the least likely to
//! have been closed. Never lets more than `connections` be open, nor holds more than `keep_alive` of them for longer than a
//! moment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Server;
use super::connect::{Connection, ServerTls};

/// One server, as one worker knows it.
#[derive(Debug)]
pub struct Pool {
    /// Where it is.
    pub server: Server,
    /// How to speak TLS with it, if so.
    pub tls: Option<ServerTls>,
    idle: RefCell<Vec<(Box<Connection>, Instant)>>,
    keep_alive: usize,
    open: Semaphore,
    active: Cell<usize>,
    answered: Cell<Option<Instant>>,
    failed: Cell<Option<Instant>>,
    /// The time at the last sweep: near enough for what is counted in many seconds, and free.
    lately: Cell<Instant>,
}

/// A request's place at a server; given back when dropped.
#[derive(Debug)]
pub struct Place {
    pool: Rc<Pool>,
}

/// How long a server that failed is passed over while others are there.
const PASSED_OVER: Duration = Duration::from_secs(1);
/// How long a server that has answered counts as one that will be back.
const REMEMBERED: Duration = Duration::from_secs(30);

impl Pool {
    /// No connections yet.
    pub fn new(server: Server, tls: Option<ServerTls>, connections: usize, keep_alive: usize) -> Self {
        Self {
            server,
            tls,
            idle: RefCell::default(),
            keep_alive,
            open: Semaphore::new(connections),
            active: Cell::new(0),
            answered: Cell::new(None),
            failed: Cell::new(None),
            lately: Cell::new(Instant::now()),
        }
    }

    /// Requests under way.
    pub fn active(&self) -> usize {
        self.active.get()
    }

    /// Whether it failed a moment ago and others should be asked first.
    pub fn is_passed_over(&self) -> bool {
        self.failed.get().is_some_and(|at| at.elapsed() < PASSED_OVER)
    }

    /// Whether it has answered lately, so that waiting for it makes sense.
    pub fn was_alive(&self) -> bool {
        self.answered.get().is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// It has answered.
    pub fn note_answer(&self) {
        self.answered.set(Some(self.lately.get()));
        self.failed.set(None);
    }

    /// It could not be reached, or broke off.
    pub fn note_failure(&self) {
        self.failed.set(Some(Instant::now()));
    }

    /// Waits for a place among the open connections.
    pub async fn place(self: &Rc<Self>) -> Place {
        let permit = self.open.acquire().await.expect("the semaphore is never closed");
        self.take(permit)
    }

    /// A place, if one is free right now.
    pub fn free_place(self: &Rc<Self>) -> Option<Place> {
        self.open.try_acquire().ok().map(|permit| self.take(permit))
    }

    fn take(self: &Rc<Self>, permit: SemaphorePermit<'_>) -> Place {
        permit.forget();
        self.active.set(self.active.get() + 1);
        Place { pool: self.clone() }
    }

    /// The idle connection used last, if any.
    pub fn take_idle(&self) -> Option<Box<Connection>> {
        self.idle.borrow_mut().pop().map(|(connection, _)| connection)
    }

    /// Forgets idle connections: all of them when one turned out to be dead.
    pub fn drop_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Forgets idle connections that have not been used for `longest`, or that their server has closed, and of those that
    /// have not been used since the last sweep the ones beyond `keep_alive`. Many requests that end together leave more
    /// idle than that, and the next ones need them.
    pub fn sweep(&self, longest: Duration) {
        let before = self.lately.replace(Instant::now());
        let mut idle = self.idle.borrow_mut();
        let mut beyond = idle.len().saturating_sub(self.keep_alive);
        idle.retain(|(connection, since)| {
            let is_beyond = beyond > 0 && *since < before;
            beyond -= usize::from(is_beyond);
            let in_time = longest.is_zero() || since.elapsed() < longest;
            in_time && !is_beyond && !connection.stream.is_stale()
        });
    }
}

impl Place {
    /// Keeps a connection for the next request.
    pub fn keep(&self, mut connection: Box<Connection>) {
        connection.reused = true;
        connection.transmitter.rest();
        connection.progress.clear();
        if self.pool.keep_alive > 0 {
            self.pool.idle.borrow_mut().push((connection, self.pool.lately.get()));
        }
    }

    /// The server.
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool.active.set(self.pool.active.get() - 1);
        self.pool.open.add_permits(1);
    }
}
