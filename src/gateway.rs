//! Gateway: the way of a request, from its head to the head of its response.
//!
//! Comes in: a request from any connection, HTTP/1 or HTTP/2. Goes out: a response whose body is still on its way.
//! `Gateway::decide` asks the questions in order, `Gateway::answer` does what was decided, and [`Gateway::handle`]
//! stands around both, with the clock, the log line and an answer for what was refused. Each worker has its own
//! gateway, so nothing here is locked or shared.

pub mod access_log;
mod application_login;
mod assertions;
pub mod body;
mod course;
mod credentials;
mod events;
mod forward_auth;
mod interrupted;
mod isolate;
mod live;
mod memory;
mod own_pages;
pub mod pages;
pub mod record;
pub mod refusal;
mod renewal;
mod request_id;
pub mod settings;
mod trail;
mod vouching;
pub mod watchers;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use crate::access::Asking;
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::assertion::Assertions;
use crate::headers::{self, HostChoice, Inbound, Returning, Rules};
use crate::login::OWN_COOKIES;
use crate::login::upstream::{Heard, Watch};
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::peer::Peer;
use crate::route::{self, Route, Routes};
use crate::session::record::Session;
use crate::session::{Memo, Occasion, Presented, Sessions, Visitor};
use crate::upstream::exchange::{Answer, Tunnel};
use crate::upstream::{HostHeader, Upstream};
use body::Body;
use course::{Approach, Course};
use isolate::isolate;
use live::Live;
use own_pages::{Visit, Visited};
use pages::Asked;
use record::Record;
use refusal::Refusal;
use settings::Settings;
use trail::Trail;

/// The pipeline of one worker.
#[derive(Debug)]
pub struct Gateway {
    settings: Arc<Settings>,
    rules: Rc<Rules>,
    routes: Routes,
    upstreams: Vec<Upstream>,
    assertions: Option<Assertions>,
    stopping: Rc<Cell<bool>>,
}

/// A request that has arrived.
#[derive(Debug)]
pub struct Arrival {
    /// Its head as received.
    pub head: RequestHead,
    /// Its body, still on its way.
    pub body: RequestBody,
    /// Who sent it.
    pub peer: Rc<Peer>,
    /// What its connection remembers of the last visitor.
    pub memo: Rc<RefCell<Memo>>,
    /// It came in where everybody is sent to https.
    pub redirect_to_https: bool,
}

/// A response on its way out.
#[derive(Debug)]
pub struct Response {
    /// Its head, without framing fields.
    pub head: ResponseHead,
    /// Its body, still on its way.
    pub body: Body,
    /// The upstream's end of an upgraded connection, and whose it is.
    pub tunnel: Option<(Box<Tunnel>, Option<Arc<Session>>)>,
    /// The client's connection cannot carry another request.
    pub close: bool,
    /// Its line in the access log.
    pub record: Record,
}

/// What the operator's `headers.response` leaves alone on a response that hands out a ticket: nobody may keep it.
const WITH_COOKIE: &[&str] = &["cache-control", "set-cookie"];
/// The same on our own pages and refusals, which bring their own policy.
const OURS: &[&str] = &["cache-control", "set-cookie", "content-security-policy", "location"];

/// What becomes of a request.
enum Decision<'g> {
    /// It is answered at once.
    Reply(Box<Reply>),
    /// It is for one of our own pages.
    OwnPage(Box<Visit>),
    /// It is for an application.
    Goes(Course<'g>),
}

/// A request on its way to an upstream.
struct Forward<'g> {
    route: &'g Route,
    upstream: &'g Upstream,
    outgoing: RequestHead,
    body: RequestBody,
    visitor: Visitor,
    /// Where the request comes from.
    client: Option<IpAddr>,
    /// Something that is delivered once waits for this upstream: it is taken out of the session first.
    flash: Option<Rc<RefCell<Memo>>>,
    /// It logs in or out at the application: its answer will tell.
    watch: Option<Box<Watch>>,
}

/// What one step hands to the next when there is something to say to the client.
struct Reply {
    /// Fields that the operator's changes leave alone.
    keeps: &'static [&'static str],
    head: ResponseHead,
    body: Body,
    tunnel: Option<(Box<Tunnel>, Option<Arc<Session>>)>,
}

impl Gateway {
    /// A gateway as configured. `stopping` is set when streams without end must end.
    pub fn new(settings: Arc<Settings>, stopping: Rc<Cell<bool>>) -> Self {
        let trusted = settings.trusted_proxies.clone();
        let session_headers = route::session_headers(&settings.routes);
        Self {
            rules: Rc::new(
                Rules::new(
                    settings.names.clone(),
                    &session_headers,
                    settings.response_headers.clone(),
                    trusted,
                )
                .hearing(settings.login.outer_names().cloned()),
            ),
            routes: Routes::new(settings.routes.clone()),
            upstreams: settings
                .upstreams
                .iter()
                .map(|(upstream, tls)| Upstream::new(upstream.clone(), tls))
                .collect(),
            assertions: settings.assertion.clone().map(Assertions::new),
            settings,
            stopping,
        }
    }

    /// Its settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Whether a session that opened a tunnel still lives.
    pub fn is_alive(&self, session: &Arc<Session>) -> bool {
        self.sessions().is_alive(session, self.settings.clock.now())
    }

    /// Closes connections to upstreams that have been idle for too long.
    pub fn sweep(&self) {
        self.upstreams.iter().for_each(Upstream::sweep);
    }

    /// Answers a request, whatever happens.
    pub async fn handle(&self, arrival: Box<Arrival>) -> Response {
        let now = self.settings.clock.now();
        let mut record = Record::open(&self.settings.access_log, &arrival.peer, arrival.head.version, now);
        record.head(&arrival.head);
        let mut trail = Trail::default();
        let reply = {
            let answer = pin!(self.answer(arrival, now, &mut trail, &mut record));
            isolate(answer).await.unwrap_or(Err(Refusal::Defect))
        };
        // The reply waits in the box as well: what is held while something is awaited is room that every request needs.
        let reply = match trail.interrupted {
            None => reply,
            Some(_) => {
                Box::pin(async {
                    self.keep(&mut trail, now).await;
                    reply
                })
                .await
            }
        };
        let (Reply { keeps, mut head, body, tunnel }, close) = match reply {
            Ok(reply) => (reply, false),
            Err(refusal) => (self.refused(&refusal, &mut trail, &mut record), refusal.ends_connection()),
        };
        let returning = Returning { request_id: &trail.request_id(), secure: trail.secure, now, keeps };
        headers::finish(&mut head, &self.rules, &returning);
        record.status(head.status);
        Response { head, body, tunnel, close, record }
    }

    /// A response to what could not be read as a request.
    pub fn unreadable(&self, refusal: &Refusal, peer: &Peer, version: http::Version) -> Response {
        let now = self.settings.clock.now();
        let mut record = Record::open(&self.settings.access_log, peer, version, now);
        let mut trail = Trail::default();
        let Reply { keeps, mut head, body, .. } = self.refused(refusal, &mut trail, &mut record);
        let returning = Returning { request_id: &trail.request_id(), secure: false, now, keeps };
        headers::finish(&mut head, &self.rules, &returning);
        record.status(head.status);
        Response { head, body, tunnel: None, close: true, record }
    }

    /// The way of a request: what becomes of it, and then the one wait, for whoever answers it.
    async fn answer(
        &self,
        arrival: Box<Arrival>,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Reply, Refusal> {
        let course = match self.decide(arrival, now, trail, record)? {
            Decision::Reply(reply) => return Ok(*reply),
            Decision::Goes(course) => course,
            Decision::OwnPage(visit) => {
                let mut visited = Box::pin(self.page(*visit, now, trail, record));
                match self.in_time(visited.as_mut()).await?? {
                    Visited::Reply(reply) => return Ok(reply),
                    Visited::Goes(course) => course,
                }
            }
        };
        let mut forward = match course {
            Course::Approach(mut approached) => {
                let unknown = approached.1;
                let visitor = Box::pin(self.find_out(&mut approached.0, unknown, now, trail)).await?;
                self.admit(approached.0, visitor, now, trail, record)?
            }
            Course::Forward(forward) => forward,
        };
        if let Some(memo) = forward.flash.take() {
            Box::pin(self.deliver(&mut forward, &memo, now)).await?;
        }
        let answered = {
            let answered = pin!(forward.upstream.send(&forward.outgoing, forward.body));
            self.in_time(answered).await
        };
        let Forward { route, upstream, outgoing, visitor, client, watch, .. } = *forward;
        let answer = answered
            .and_then(|answered| answered.map_err(|error| Refusal::of_upstream(upstream.name(), error)))
            .inspect_err(|_| trail.asked = Some(Asked::of(&outgoing.method, &outgoing.fields)))?;
        record.answered();
        let (mut reply, instructions) = self.returned(answer, &visitor);
        let heard = match watch {
            Some(watch) => self.hear(&watch, &mut reply, &outgoing, (client, now)),
            None => Heard::Nothing,
        };
        if visitor.guest().is_none() && route.access.looks_at_sessions() {
            let is_told = instructions.is_some() || heard != Heard::Nothing;
            if is_told || self.sessions().is_due(&visitor) {
                let occasion = Occasion { now, client, fields: &outgoing.fields };
                let settling = self.settle(&mut reply, route, &visitor, (instructions, heard), occasion);
                Box::pin(settling).await.inspect_err(|_| {
                    trail.asked = Some(Asked::of(&outgoing.method, &outgoing.fields));
                })?;
            }
        } else if instructions.is_some() {
            memory::leave_out(route, &visitor);
        }
        Ok(reply)
    }

    /// Waits for as long as a request may take.
    async fn in_time<T>(&self, work: Pin<&mut impl Future<Output = T>>) -> Result<T, Refusal> {
        let longest = self.settings.timeouts.request;
        if longest.is_zero() {
            return Ok(work.await);
        }
        // In a box: hardly anybody sets one, and its clock is large.
        Box::pin(tokio::time::timeout(longest, work)).await.map_err(|_| Refusal::Deadline)
    }

    /// The questions, in order. Each answer is what the next question needs, and none of them waits.
    fn decide(
        &self,
        arrival: Box<Arrival>,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Decision<'_>, Refusal> {
        let Arrival { head, mut body, peer, memo, redirect_to_https } = *arrival;
        let inbound = Box::new(headers::inbound(head, &peer, &self.rules, request_id::fresh)?);
        trail.follow(&inbound);
        record.request(&inbound);
        if redirect_to_https {
            return Ok(Decision::Reply(Box::new(self.to_https(&inbound))));
        }
        let limits = (self.settings.limits.body, self.settings.timeouts.body);
        let restricted = body.restrict(limits.0, limits.1, self.rules.clone());
        restricted.map_err(|error| trail.refused(&inbound, Refusal::Wire(error)))?;
        body.count_for(record.received());
        let page = self.own_page(inbound.path.as_str()).map(str::to_owned);
        let page = page.or_else(|| self.may_be_word(&inbound, &body).then(|| interrupted::PAGE.to_owned()));
        if let Some(page) = page {
            trail.asked = Some(Asked::of(&inbound.method, &inbound.fields));
            return Ok(Decision::OwnPage(Box::new(Visit { page, inbound, body, memo })));
        }
        self.course(inbound, body, memo, now, trail, record).map(Decision::Goes)
    }

    /// The questions that need to know who asks.
    fn admit<'g>(
        &'g self,
        approach: Approach<'g>,
        visitor: Visitor,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Box<Forward<'g>>, Refusal> {
        let Approach { route, inbound, mut body, memo, browser } = approach;
        record.visitor(&visitor);
        let method = inbound.method.clone();
        let asking = Asking::of(&visitor, inbound.client.ip, &method);
        let pass = match route.access.admit(asking, now) {
            Ok(pass) => pass,
            Err(denied) => return Err(self.deny(denied, (inbound, body, browser), &visitor, (trail, now))),
        };
        let upstream = &self.upstreams[route.upstream];
        record.upstream(upstream.name());
        let host = match upstream.host() {
            HostHeader::Fixed(name) => HostChoice::Name(name),
            HostHeader::Preserve | HostHeader::Upstream => HostChoice::Preserve,
        };
        let client = inbound.client.ip;
        if visitor.is_new() && visitor.identity().is_some() {
            self.settings.login.circles().came_back(client, &inbound.fields);
        }
        let watch = self.watch(&inbound, &mut body);
        let mut outgoing =
            headers::outgoing(*inbound, route.strip_prefix.as_deref(), &pass, host, &self.rules);
        self.prove(&mut outgoing, (&pass, route), &memo, now);
        let mut flash = None;
        if let Some(session) = pass.session() {
            if self.delivers(&outgoing, route) && self.sessions().has_flash(session, &route.session, now) {
                flash = Some(memo);
            } else {
                self.tell(&mut outgoing.fields, route, &visitor, &session.data(), &memo, (now, false));
            }
        }
        Ok(Box::new(Forward { route, upstream, outgoing, body, visitor, client, flash, watch }))
    }

    /// How the upstream's answer returns, and what it wants remembered.
    fn returned(&self, answer: Answer, visitor: &Visitor) -> (Reply, Option<Box<Fields>>) {
        let (mut head, body, tunnel) = match answer {
            Answer::Response(head, body) if body.is_event_stream() && !body.is_end() => {
                let session = visitor.session_held().cloned();
                let live = Live::new(body, session, &self.settings, self.stopping.clone());
                (head, Body::Live(Box::new(live)), None)
            }
            Answer::Response(head, body) => (head, Body::from_upstream(body), None),
            Answer::Upgrade(head, tunnel) => {
                (head, Body::Empty, Some((tunnel, visitor.session_held().cloned())))
            }
        };
        let instructions = headers::incoming(&mut head, &self.settings.our_cookies);
        (Reply { keeps: &[], head, body, tunnel }, instructions)
    }

    /// What a refused request is answered with.
    fn refused(&self, refusal: &Refusal, trail: &mut Trail, record: &mut Record) -> Reply {
        let request_id = trail.request_id();
        refusal.log(&request_id);
        record.reason(refusal.status_and_reason().1);
        let (head, bytes) = pages::refusal(refusal, trail.asked.as_ref(), &request_id, &self.settings.login);
        Reply { keeps: OURS, head, body: Body::Full(bytes), tunnel: None }
    }

    fn take_cookies(&self, inbound: &mut Inbound) -> Presented {
        self.sessions().take_cookies(&mut inbound.fields, &OWN_COOKIES)
    }

    fn sessions(&self) -> &Sessions {
        &self.settings.sessions
    }
}
