//! Upstream: who answers?
//!
//! Comes in: a request that is ready to leave. Goes out: a response, a tunnel, or why there is none. Each worker has
//! its own upstreams and connections. Never looks at sessions, and never sends a request twice that may have been
//! acted upon (RFC 9110, section 9.2.2).

pub mod connect;
pub mod exchange;
pub mod pool;
pub mod tls;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep, timeout};

use crate::body::RequestBody;
use crate::message::RequestHead;
use crate::wire::WireError;
use connect::{Connection, ServerTls, connect};
use exchange::{Answer, Exchange};
use pool::{Place, Pool};

/// One entry of `upstreams:`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// At least one server.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// What the upstream is told as `Host`.
    pub host: HostHeader,
    /// Connections open at the same time, for each server and worker; more requests wait, then get 503.
    pub connections: usize,
    /// Idle connections kept, for each server and worker.
    pub keep_alive: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of a response, and between two pieces of its body.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often a request of which nothing was answered is tried again, where that is safe.
    pub retries: u32,
    /// Whom assertions are made out to, if not to its name.
    pub audience: Option<String>,
    /// For servers by `https`.
    pub tls: Tls,
}

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `http://host:port`.
    Http(String, u16),
    /// `https://host:port`.
    Https(String, u16),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one with the fewest requests under way.
    #[default]
    LeastRequests,
    /// One after the other.
    RoundRobin,
}

/// What the upstream is told as `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client asked for.
    #[default]
    Preserve,
    /// The server's own name and port.
    Upstream,
    /// Always this.
    Fixed(String),
}

/// TLS towards servers.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The name to ask for and verify, instead of the URL's host.
    pub server_name: Option<String>,
    /// Client certificate chain (PEM) and its key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No server could be reached.
    #[error("no connection: {0}")]
    Unreachable(io::Error),
    /// Every connection that is allowed is in use.
    #[error("all connections are in use")]
    Busy,
    /// No connection, or no progress on one, for too long.
    #[error("the upstream took too long")]
    TimedOut,
    /// The connection ended before an answer began.
    #[error("closed without an answer: {0}")]
    Closed(WireError),
    /// The answer is not HTTP.
    #[error("not an HTTP response: {0}")]
    Bad(WireError),
    /// The client's body failed; the upstream is not to blame.
    #[error("the request's body failed: {0}")]
    Client(WireError),
}

/// A named group of servers, as one worker knows it.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    pools: Vec<Rc<Pool>>,
    turn: Cell<usize>,
}

/// How often a server that was there a moment ago is asked again while it restarts, and for how long.
const COMING_BACK_EVERY: Duration = Duration::from_millis(40);
const COMING_BACK_WITHIN: Duration = Duration::from_secs(2);

impl Upstream {
    /// An upstream without connections yet. `tls` has one entry for each server, from [`tls::for_servers`].
    pub fn new(mut settings: Settings, tls: &[Option<ServerTls>]) -> Self {
        if settings.connect_timeout.is_zero() {
            settings.connect_timeout = Duration::MAX;
        }
        let pool = |(server, tls): (&Server, &Option<ServerTls>)| {
            Rc::new(Pool::new(server.clone(), tls.clone(), settings.connections, settings.keep_alive))
        };
        let pools = settings.servers.iter().zip(tls).map(pool).collect();
        Self { settings, pools, turn: Cell::new(0) }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whom assertions for it are made out to.
    pub fn audience(&self) -> &str {
        self.settings.audience.as_deref().unwrap_or(&self.settings.name)
    }

    /// What it wants to be told as `Host`.
    pub fn host(&self) -> &HostHeader {
        &self.settings.host
    }

    /// Closes connections that have been idle for too long or that a server has closed.
    pub fn sweep(&self) {
        self.pools.iter().for_each(|pool| pool.sweep(self.settings.idle_timeout));
    }

    /// Sends a request and waits for the head of its response.
    pub async fn send(&self, head: &RequestHead, mut body: RequestBody) -> Result<Answer, UpstreamError> {
        let mut retries = self.settings.retries;
        loop {
            let repeatable = body.is_empty() && is_idempotent(&head.method);
            let turn = self.turn.replace(self.turn.get().wrapping_add(1));
            let (place, connection) = match self.at_hand(turn, repeatable) {
                Some(found) => found,
                None => Box::pin(self.connection(turn, repeatable)).await?,
            };
            let reused = connection.reused;
            let mut exchange = self.begin(connection, place, head, body);
            let error = match std::future::poll_fn(|cx| exchange.poll_answer(cx)).await {
                Ok((head, version)) => return exchange.into_answer(head, version),
                Err(error) => error,
            };
            let (pool, returned) = exchange.abandon();
            if !matches!(error, UpstreamError::Closed(_)) || !repeatable || (retries == 0 && !reused) {
                return Err(error);
            }
            // A connection that had gone stale says nothing about the server: that does not count as a try.
            if reused {
                pool.drop_idle();
            } else {
                retries -= 1;
                pool.note_failure();
            }
            body = returned;
        }
    }

    fn begin(
        &self,
        connection: Box<Connection>,
        place: Place,
        head: &RequestHead,
        body: RequestBody,
    ) -> Box<Exchange> {
        let head_for_server = self.addressed(head, place.pool());
        let head = head_for_server.as_ref().unwrap_or(head);
        Exchange::begin(connection, place, head, body, self.settings.response_timeout)
    }

    /// The same head with the server's own name as `Host`, where that is asked for.
    fn addressed(&self, head: &RequestHead, pool: &Pool) -> Option<RequestHead> {
        let (HostHeader::Upstream, Server::Http(host, port) | Server::Https(host, port)) =
            (&self.settings.host, &pool.server)
        else {
            return None;
        };
        let default_port = if pool.tls.is_some() { 443 } else { 80 };
        let mut head = head.clone();
        let authority = if *port == default_port { host.clone() } else { format!("{host}:{port}") };
        head.fields.set("Host", authority);
        Some(head)
    }

    /// A connection that can be used at once, to the server whose turn it is. Nearly always there is one.
    fn at_hand(&self, turn: usize, repeatable: bool) -> Option<(Place, Box<Connection>)> {
        let pool = self.from(turn).min_by_key(|pool| self.preference(pool))?;
        let place = pool.free_place()?;
        usable_idle(pool, repeatable).map(|connection| (place, connection))
    }

    /// A connection to one of the servers. Before anything is sent every server may be tried, and one that was there
    /// a moment ago is given time to restart.
    async fn connection(
        &self,
        turn: usize,
        repeatable: bool,
    ) -> Result<(Place, Box<Connection>), UpstreamError> {
        let start = Instant::now();
        loop {
            let mut last_error = UpstreamError::Busy;
            for pool in self.in_order(turn) {
                let place = match timeout(self.settings.connect_timeout, pool.place()).await {
                    Ok(place) => place,
                    Err(_) => continue,
                };
                if let Some(connection) = usable_idle(pool, repeatable) {
                    return Ok((place, connection));
                }
                let connecting = Box::pin(connect(&pool.server, pool.tls.as_ref()));
                match timeout(self.settings.connect_timeout, connecting).await {
                    Ok(Ok(connection)) => return Ok((place, connection)),
                    Ok(Err(error)) => last_error = UpstreamError::Unreachable(error),
                    Err(_) => last_error = UpstreamError::TimedOut,
                }
                pool.note_failure();
            }
            let comes_back =
                self.pools.iter().any(|pool| pool.was_alive()) && start.elapsed() < COMING_BACK_WITHIN;
            if !comes_back || !matches!(last_error, UpstreamError::Unreachable(_)) {
                return Err(last_error);
            }
            sleep(COMING_BACK_EVERY).await;
        }
    }

    /// The servers in the order in which to try them.
    fn in_order(&self, turn: usize) -> Vec<&Rc<Pool>> {
        let mut order: Vec<_> = self.from(turn).collect();
        order.sort_by_key(|pool| self.preference(pool));
        order
    }

    /// The servers, one after the other, from the one whose turn it is.
    fn from(&self, turn: usize) -> impl Iterator<Item = &Rc<Pool>> {
        let (before, after) = self.pools.split_at(turn % self.pools.len());
        after.iter().chain(before)
    }

    /// The lower, the sooner a server is tried: those that failed a moment ago come last.
    fn preference(&self, pool: &Pool) -> (bool, usize) {
        let by_requests = self.settings.balance == Balance::LeastRequests;
        (pool.is_passed_over(), if by_requests { pool.active() } else { 0 })
    }
}

/// A configuration that is gone leaves no idle connections behind, whoever still uses one of its places.
impl Drop for Upstream {
    fn drop(&mut self) {
        self.pools.iter().for_each(|pool| pool.drop_idle());
    }
}

/// An idle connection that is still open. Where the request can be repeated, trying it tells soon enough that it was
/// closed; where it cannot, the socket is asked before. One on which something has arrived is never used: it would be
/// taken for the answer.
fn usable_idle(pool: &Pool, repeatable: bool) -> Option<Box<Connection>> {
    loop {
        let connection = pool.take_idle()?;
        let spoiled = if repeatable { connection.stream.has_news() } else { connection.stream.is_stale() };
        if !spoiled {
            return Some(connection);
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}
