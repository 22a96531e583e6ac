//! Run: a job while it is done.
//!
//! Comes in: events of its connections, and the time. Goes out: requests, and the figures when it is over. Never takes
//! longer than its time, whatever the server does.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::Registry;
use mio::event::Event;
use rustls::HandshakeKind;

use crate::engine::{Clients, client};
use crate::exchange::{Exchange, Expected, Step};
use crate::job::{CookiePer, Done, Job, Said};
use crate::lines::{Lines, Random};
use crate::link::{Link, Room, has_ended};
use crate::pace::Pace;
use crate::request::Request;
use crate::tally::Tally;
use crate::tls::Greeting;
use crate::websocket;

/// So many connections at a time may wait for their first response: no more than any listener's queue holds.
const AT_ONCE: usize = 64;

/// How long to wait after a connection failed.
const BREATH: Duration = Duration::from_millis(1);

/// Measuring begins at the latest so long after the warm-up, even if connections still wait for their first response.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a job with a number of requests, or with idle connections, may take if it does not say.
const LONGEST: f64 = 60.0;

#[derive(Debug)]
pub struct Run<'j> {
    job: &'j Job,
    registry: Registry,
    greeting: Option<Greeting>,
    request: Request,
    message: Vec<u8>,
    expected: Expected,
    cookies: Option<Rc<Lines>>,
    users: Option<Rc<Lines>>,
    random: Random,
    slots: Vec<Slot>,
    /// Slots that may begin a request.
    free: VecDeque<usize>,
    /// Slots that wait for their first response.
    greeting_now: usize,
    idle: usize,
    pace: Option<Pace>,
    paused_until: Instant,
    phase: Phase,
    tally: Tally,
}

/// Times are those when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Warm(Instant),
    Measured(Instant),
    Over,
}

/// Room for a connection, and what is known of it.
#[derive(Debug)]
struct Slot {
    link: Option<Link>,
    exchange: Exchange,
    /// When the request was sent, or was to be sent.
    since: Instant,
    /// The cookie it carries.
    line: usize,
    /// Nothing was received on this connection.
    is_new: bool,
    /// Nothing was ever received in this slot.
    is_first: bool,
}

impl<'j> Run<'j> {
    pub fn new(
        job: &'j Job,
        registry: Registry,
        cookies: Option<Rc<Lines>>,
        users: Option<Rc<Lines>>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let greeting = job.tls.then(|| Greeting::new(&job.server_name, job.resume, job.post_quantum));
        let echo = job.websocket.then_some(job.body as u64);
        Ok(Self {
            job,
            registry,
            greeting: greeting.transpose()?,
            request: Request::new(job),
            message: websocket::message(if job.websocket { job.body } else { 0 }),
            expected: Expected { status: job.expect_status, is_head: job.method == "HEAD", echo },
            cookies,
            users,
            random: Random::new(),
            slots: Vec::with_capacity(job.connections),
            free: VecDeque::with_capacity(job.connections),
            greeting_now: 0,
            idle: 0,
            pace: None,
            paused_until: now,
            phase: Phase::Warm(now + Duration::from_secs_f64(job.warmup)),
            tally: Tally::new(),
        })
    }

    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Does what the time asks for: phases, new connections, requests that are due.
    pub fn tick(&mut self, now: Instant) {
        self.change_phase(now);
        while self.slots.len() < self.job.connections && self.greeting_now < AT_ONCE && self.may_begin(now) {
            let number = self.slots.len();
            let exchange = Exchange::new();
            self.slots.push(Slot {
                link: None,
                exchange,
                since: now,
                line: number,
                is_new: true,
                is_first: true,
            });
            self.greeting_now += 1;
            self.begin(number, now);
        }
        if let Some(rate) = self.job.rate
            && self.pace.is_none()
            && self.all_greeted()
        {
            self.pace = Some(Pace::new(rate, now));
        }
        while !self.free.is_empty() && self.may_begin(now) {
            let due = match (&mut self.pace, self.job.rate) {
                (_, None) => Some(now),
                (Some(pace), _) => pace.due(now),
                (None, _) => None,
            };
            let (Some(due), Some(number)) = (due, self.free.front().copied()) else { return };
            self.free.pop_front();
            self.begin(number, due);
        }
    }

    fn change_phase(&mut self, now: Instant) {
        match self.phase {
            Phase::Warm(until) if now >= until && (self.all_greeted() || now >= until + PATIENCE) => {
                let usual = if self.job.requests.is_some() || self.job.idle { LONGEST } else { 2.0 };
                let seconds = Duration::from_secs_f64(self.job.seconds.unwrap_or(usual));
                if !self.job.idle {
                    Said::Measuring.say();
                }
                self.tally.begin(now);
                self.phase = Phase::Measured(now + seconds);
            }
            Phase::Measured(until) if now >= until || self.is_complete() => self.phase = Phase::Over,
            _ => {}
        }
    }

    fn all_greeted(&self) -> bool {
        self.slots.len() == self.job.connections && self.greeting_now == 0
    }

    fn is_complete(&self) -> bool {
        let enough = self.job.requests.is_some_and(|wanted| self.tally.requests >= wanted);
        enough || self.job.idle && self.idle == self.job.connections
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.phase != Phase::Over && now >= self.paused_until
    }

    /// How long nothing will be due: zero shortly before an intended time, which waiting would miss.
    pub fn wait(&self, now: Instant) -> Duration {
        let next = match (self.phase, &self.pace) {
            (Phase::Over, _) => return Duration::ZERO,
            _ if !self.all_greeted() => now + BREATH,
            (_, Some(pace)) if !self.free.is_empty() => {
                return pace.next().saturating_duration_since(now).saturating_sub(2 * BREATH);
            }
            (_, None) if !self.free.is_empty() => self.paused_until,
            (Phase::Warm(until) | Phase::Measured(until), _) => until,
        };
        next.saturating_duration_since(now)
    }

    /// Nothing happened for so long although nothing was waited for.
    pub fn spun(&mut self, time: Duration) {
        self.tally.spun += time;
    }

    /// The figures.
    pub fn done(&mut self, now: Instant) -> Done {
        let overdue = self.pace.map_or(0, |pace| pace.overdue(now));
        let under_way = self.under_way();
        self.tally.done(under_way + overdue)
    }

    /// What there is to say of idle connections, and the connections themselves.
    pub fn park(mut self) -> (Said, Vec<Link>) {
        let mut links: Vec<_> = self.slots.iter_mut().filter_map(|slot| slot.link.take()).collect();
        links.retain_mut(|link| link.deregister(&self.registry).is_ok());
        let Done { errors, wrong, first_error, .. } = self.tally.done(0);
        (Said::Idle { connections: links.len(), errors, wrong, first_error }, links)
    }

    /// Requests without a complete response.
    pub fn under_way(&self) -> usize {
        self.slots.iter().filter(|slot| slot.link.is_some() && slot.exchange.is_under_way()).count()
    }

    fn begin(&mut self, number: usize, since: Instant) {
        if let Err(error) = self.send(number, since) {
            self.fail(number, &error);
        }
    }

    /// Connects where there is no connection, and sends a request or a message.
    fn send(&mut self, number: usize, since: Instant) -> io::Result<()> {
        let slot = &mut self.slots[number];
        slot.since = since;
        if slot.link.is_none() {
            let tls = self.greeting.as_ref().map(Greeting::connection).transpose()?;
            let mut link = Link::connect(self.job.target, tls)?;
            link.register(&self.registry, client(number))?;
            (slot.exchange, slot.is_new, slot.link) = (Exchange::new(), true, Some(link));
        }
        let link = slot.link.as_mut().expect("just made");
        let is_upgraded = slot.exchange.is_upgraded();
        slot.exchange.begin();
        if is_upgraded {
            link.out.extend_from_slice(&self.message);
            return link.send(0);
        }
        if let (CookiePer::Request, Some(cookies)) = (self.job.cookie_per, &self.cookies) {
            slot.line = self.random.below(cookies.count());
        }
        self.request.write(&mut link.out, self.cookies.as_ref().map(|cookies| cookies.get(slot.line)));
        link.send(if self.job.websocket { 0 } else { self.job.body })
    }

    fn progress(&mut self, number: usize, event: &Event, room: &mut Room, now: Instant) -> io::Result<()> {
        loop {
            let Slot { link: Some(link), exchange, line, .. } = &mut self.slots[number] else {
                return Ok(());
            };
            link.flush()?;
            let piece = link.receive(room)?;
            let ended = piece.end || has_ended(event);
            let mut bytes = piece.bytes;
            self.tally.bytes += bytes.len() as u64;
            let mut step = Step::More;
            while !bytes.is_empty() && step == Step::More {
                let user = match (&self.job.expect_user, &self.users) {
                    (None, _) => None,
                    (Some(_), Some(users)) => Some(users.get(*line)),
                    (Some(user), None) => Some(user.as_bytes()),
                };
                step = exchange.take(&mut bytes, &self.expected, user)?;
            }
            if !bytes.is_empty() {
                return Err(io::Error::other("bytes after the response"));
            }
            if piece.end && step == Step::More && exchange.end()? {
                step = Step::Complete;
            }
            let goes_on = match step {
                Step::More if piece.end => {
                    self.slots[number].link = None;
                    false
                }
                Step::More => true,
                Step::Upgraded => {
                    self.send(number, now)?;
                    true
                }
                Step::Complete => self.finish(number, now, ended),
            };
            if !goes_on || !piece.more && !ended {
                return Ok(());
            }
        }
    }

    /// Counts a response and goes on to what comes next. Whether the connection is still the same.
    fn finish(&mut self, number: usize, now: Instant, ended: bool) -> bool {
        let slot = &mut self.slots[number];
        let measured = matches!(self.phase, Phase::Measured(until) if now < until);
        if measured {
            self.tally.request(now.saturating_duration_since(slot.since));
        }
        if let Some(wrong) = slot.exchange.wrong.take() {
            self.tally.wrong(|| wrong);
        }
        if std::mem::take(&mut slot.is_new) && measured {
            let kind = slot.link.as_ref().and_then(Link::tls).and_then(|tls| tls.handshake_kind());
            self.tally.handshakes += u64::from(kind.is_some());
            self.tally.resumed += u64::from(kind == Some(HandshakeKind::Resumed));
        }
        self.greeting_now -= usize::from(std::mem::take(&mut slot.is_first));
        let flushed = slot.link.as_ref().is_some_and(Link::is_flushed);
        let keeps = self.job.keep_alive && !slot.exchange.closes && !ended && flushed;
        if !keeps && let Some(link) = slot.link.take() {
            link.close();
        }
        self.idle += usize::from(self.job.idle);
        if self.is_complete() {
            self.phase = Phase::Over;
        }
        match self.phase {
            Phase::Over => {}
            _ if self.job.idle => {}
            _ if self.job.rate.is_some() => self.free.push_back(number),
            _ => self.begin(number, now),
        }
        keeps
    }

    fn fail(&mut self, number: usize, error: &io::Error) {
        // What is cut off at the end is no error: it was not waited for.
        if self.phase != Phase::Over {
            self.tally.error(|| error.to_string());
        }
        let slot = &mut self.slots[number];
        slot.link = None;
        slot.exchange = Exchange::new();
        self.greeting_now -= usize::from(std::mem::take(&mut slot.is_first));
        self.free.push_back(number);
        self.paused_until = Instant::now() + BREATH;
    }
}

impl Clients for Run<'_> {
    fn on_event(&mut self, number: usize, event: &Event, room: &mut Room) {
        let now = Instant::now();
        if let Err(error) = self.progress(number, event, room, now) {
            self.fail(number, &error);
        }
    }
}
