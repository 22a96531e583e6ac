//! Record: what the access log will say of a request, gathered on its way and written when it is over.
//!
//! A record that is dropped is written, however its request ended. Nothing is gathered when the log is off.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Version};

use super::access_log::{AccessLog, Entry};
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::identity::Identity;
use crate::message::RequestHead;
use crate::peer::Peer;
use crate::session::Visitor;
use crate::session::record::Session;

/// One request's line in the making.
#[derive(Debug)]
pub struct Record(Option<Box<Details>>);

#[derive(Debug)]
struct Details {
    log: Arc<AccessLog>,
    at: Timestamp,
    started: Instant,
    client: Option<IpAddr>,
    session: Option<Arc<Session>>,
    guest: Option<Identity>,
    method: Option<Method>,
    version: Version,
    host: String,
    path: String,
    has_query: bool,
    request_id: Option<Rc<str>>,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    route: Option<String>,
    upstream: Option<String>,
    upstream_took: Option<Duration>,
    reason: Option<&'static str>,
    status: u16,
    sent: u64,
    received: Rc<Cell<u64>>,
    complete: bool,
}

impl Record {
    /// Opens a line, unless the log is off.
    pub fn open(log: &Arc<AccessLog>, peer: &Peer, version: Version, at: Timestamp) -> Self {
        let details = || Details {
            log: log.clone(),
            at,
            started: Instant::now(),
            client: peer.ip(),
            session: None,
            guest: None,
            method: None,
            version,
            host: String::new(),
            path: String::new(),
            has_query: false,
            request_id: None,
            referer: None,
            user_agent: None,
            route: None,
            upstream: None,
            upstream_took: None,
            reason: None,
            status: 0,
            sent: 0,
            received: Rc::default(),
            complete: false,
        };
        Self(log.is_on().then(|| Box::new(details())))
    }

    fn note(&mut self, fill: impl FnOnce(&mut Details)) {
        if let Some(details) = self.0.as_deref_mut() {
            fill(details);
        }
    }

    /// The request as it came, before it was looked at.
    pub fn head(&mut self, head: &RequestHead) {
        self.note(|details| {
            let (path, query) =
                head.target.split_once('?').map_or((head.target.as_str(), None), |(p, q)| (p, Some(q)));
            details.method = Some(head.method.clone());
            details.path = path.to_owned();
            details.has_query = query.is_some();
        });
    }

    /// The request as it was understood.
    pub fn request(&mut self, inbound: &Inbound) {
        self.note(|details| {
            details.client = inbound.client.ip;
            details.host = inbound.host.name().to_owned();
            details.path = inbound.path.as_str().to_owned();
            details.has_query = inbound.query.is_some();
            details.request_id = Some(inbound.request_id.clone());
            details.user_agent = inbound.fields.get("user-agent").map(<[u8]>::to_vec);
            details.referer = inbound.fields.get("referer").map(<[u8]>::to_vec);
        });
    }

    /// Who asked.
    pub fn visitor(&mut self, visitor: &Visitor) {
        self.note(|details| {
            details.session = visitor.session_held().cloned();
            details.guest = visitor.guest().map(|guest| guest.identity.clone());
        });
    }

    /// Which route it takes.
    pub fn route(&mut self, route: &str) {
        self.note(|details| details.route = Some(route.to_owned()));
    }

    /// Where it is sent.
    pub fn upstream(&mut self, upstream: &str) {
        self.note(|details| details.upstream = Some(upstream.to_owned()));
    }

    /// The upstream's head is there.
    pub fn answered(&mut self) {
        self.note(|details| details.upstream_took = Some(details.started.elapsed()));
    }

    /// Why it was refused.
    pub fn reason(&mut self, reason: &'static str) {
        self.note(|details| details.reason = Some(reason));
    }

    /// The status that is sent.
    pub fn status(&mut self, status: StatusCode) {
        self.note(|details| details.status = status.as_u16());
    }

    /// Where the bytes of the request's body are to be counted; `None` when the log is off.
    pub fn received(&self) -> Option<Rc<Cell<u64>>> {
        self.0.as_ref().map(|details| details.received.clone())
    }

    /// More of the response's body has gone.
    pub fn sent(&mut self, bytes: u64) {
        self.note(|details| details.sent += bytes);
    }

    /// The response has gone whole.
    pub fn complete(&mut self) {
        self.note(|details| details.complete = true);
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(details) = self.0.take() else { return };
        let identity = details.session.as_deref().and_then(Session::identity).or(details.guest.as_ref());
        let gone_before_an_answer = details.status == 0;
        details.log.write(&Entry {
            at: Some(details.at),
            client: details.client,
            user: identity.map(Identity::user),
            session: details.session.as_deref().map(Session::short),
            method: details.method.as_ref().map_or("", Method::as_str),
            host: &details.host,
            path: &details.path,
            has_query: details.has_query,
            protocol: protocol(details.version),
            status: if gone_before_an_answer { CLIENT_GONE } else { details.status },
            sent: details.sent,
            received: details.received.get(),
            took: details.started.elapsed(),
            upstream_took: details.upstream_took,
            upstream: details.upstream.as_deref(),
            route: details.route.as_deref(),
            request_id: details.request_id.as_deref().unwrap_or_default(),
            referer: details.referer.as_deref(),
            user_agent: details.user_agent.as_deref(),
            reason: details.reason.or(gone_before_an_answer.then_some("client_closed")),
            complete: details.complete,
        });
    }
}

/// What the log shows for a client that went away before anything was sent to it, as nginx does.
const CLIENT_GONE: u16 = 499;
