//! Own pages: requests under the reserved prefix, answered by the gateway itself.

use std::cell::RefCell;
use std::rc::Rc;

use http::{Method, StatusCode};

use super::assertions::KEYS_PAGE;
use super::body::Body;
use super::events::Events;
use super::pages::{self, Asked};
use super::record::Record;
use super::refusal::Refusal;
use super::trail::Trail;
use super::{Course, Gateway, OURS, Reply, forward_auth, interrupted};
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::login::{self, Ask};
use crate::message::ResponseHead;
use crate::session::origin::Origin;
use crate::session::{Memo, Visitor};

/// Largest form that is read.
const LARGEST_FORM: usize = 64 * 1024;

/// The page that tells scripts what becomes of their session.
const EVENTS: &str = "/session/events";

/// How long to wait before another stream may be asked for.
const AFTER_TOO_MANY: &str = "5";

/// A request for one of our pages.
pub(super) struct Visit {
    /// What follows the reserved prefix, with its slash.
    pub page: String,
    pub inbound: Box<Inbound>,
    pub body: RequestBody,
    pub memo: Rc<RefCell<Memo>>,
}

/// What came of a visit.
pub(super) enum Visited<'g> {
    /// A page.
    Reply(Reply),
    /// A request that waited for a login, or one that only looked like the word for that, on its way.
    Goes(Course<'g>),
}

impl Gateway {
    /// The page asked for, if the path is one of ours: what follows the reserved prefix, with its slash.
    pub(super) fn own_page<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.settings.reserved_prefix.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Sends somebody to the same place by https.
    pub(super) fn to_https(&self, inbound: &Inbound) -> Reply {
        let authority = match &self.settings.public_url {
            Some(public) => &public.authority,
            None => inbound.host.name(),
        };
        let query = inbound.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        let location = format!("https://{authority}{}{query}", inbound.path.as_str());
        let head = ResponseHead::new(StatusCode::PERMANENT_REDIRECT).with("Location", location);
        Reply { keeps: &[], head, body: Body::Full(bytes::Bytes::new()), tunnel: None }
    }

    pub(super) async fn page(
        &self,
        mut visit: Visit,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Visited<'_>, Refusal> {
        if visit.page == forward_auth::PAGE {
            return self.vouch(visit, now, record).await.map(Visited::Reply);
        }
        if visit.page == KEYS_PAGE
            && let Some(reply) = self.public_keys(&visit.inbound)
        {
            return Ok(Visited::Reply(reply));
        }
        let sends = visit.page == interrupted::PAGE && visit.inbound.method == Method::POST;
        // A request that is sent after all goes out with the cookies it has, our own cut out where all are.
        let original = sends.then(|| visit.inbound.fields.clone());
        let shown = self.sessions().take_cookies(&mut visit.inbound.fields, &[]);
        let visitor = self.visitor_of(&shown, &visit.memo, now, false).await?;
        let visitor = self.guest_at_page(&visit, visitor, now, trail).await?;
        let Visit { page, mut inbound, mut body, memo } = visit;
        record.visitor(&visitor);
        if visitor.identity().is_some() {
            self.settings.login.circles().came_back(inbound.client.ip, &inbound.fields);
        }
        if page == EVENTS && matches!(inbound.method, Method::GET | Method::HEAD) {
            return Ok(Visited::Reply(self.events(&inbound, &visitor, record)));
        }
        let form = match inbound.method {
            Method::POST => body.gather(LARGEST_FORM).await.map_err(Refusal::Wire)?,
            _ => bytes::Bytes::new(),
        };
        let (secure, origins) = (self.is_secure(&inbound), self.origins(&inbound));
        let ask = Ask {
            path: &page,
            method: &inbound.method,
            query: inbound.query.as_deref(),
            fields: &inbound.fields,
            form: &form,
            visitor: &visitor,
            client: inbound.client.ip,
            origin: Origin::of(inbound.client.ip, inbound.fields.get("user-agent").unwrap_or_default()),
            secure,
            host: inbound.host.name(),
            origins: &origins,
        };
        let Some(fields) = original else {
            let reply = self.settings.login.answer(ask, self.sessions(), now).await;
            return Ok(Visited::Reply(ours(reply)));
        };
        let is_word = self.own_page(inbound.path.as_str()).is_some() || login::is_word(&form);
        let resumed = is_word.then(|| self.settings.login.resume(&ask, self.sessions(), now));
        inbound.fields = fields;
        let (inbound, body) = match resumed {
            Some(Ok(kept)) => interrupted::resumed(kept, inbound)?,
            Some(Err(reply)) => return Ok(Visited::Reply(ours(*reply))),
            None => (inbound, RequestBody::whole(form)),
        };
        self.course(inbound, body, memo, now, trail, record).map(Visited::Goes)
    }

    /// A stream of events about the visitor's session; JSON where there is none, or where too many look at it.
    fn events(&self, inbound: &Inbound, visitor: &Visitor, record: &mut Record) -> Reply {
        let comes_back = inbound.fields.contains("last-event-id");
        let body = match (visitor.session_held(), visitor.ended()) {
            (Some(session), _) => {
                let Some(watch) = self.settings.watchers.admit(session.digest()) else {
                    let (status, error) = (StatusCode::TOO_MANY_REQUESTS, "too_many_event_streams");
                    let reply = self.no_events(inbound, visitor, record, (status, error));
                    return Reply { head: reply.head.with("Retry-After", AFTER_TOO_MANY), ..reply };
                };
                // Not the settings themselves: a stream may outlive many of them.
                let by = (self.settings.sessions.clone(), self.settings.clock.clone());
                let events = Events::new(session.clone(), watch, by, self.stopping.clone());
                Body::Events(Box::new(events))
            }
            (None, Some(reason)) if comes_back => Body::Full(Events::farewell(reason)),
            (None, _) => {
                let refused = (StatusCode::UNAUTHORIZED, "login_needed");
                return self.no_events(inbound, visitor, record, refused);
            }
        };
        let head = ResponseHead::new(StatusCode::OK)
            .with("Content-Type", "text/event-stream")
            .with("Cache-Control", "no-store")
            .with("Vary", "Cookie")
            .with("X-Content-Type-Options", "nosniff")
            .with("Cross-Origin-Resource-Policy", "same-origin")
            .with("X-Accel-Buffering", "no");
        let body = if inbound.method == Method::HEAD { Body::Empty } else { body };
        Reply { keeps: OURS, head, body, tunnel: None }
    }

    fn no_events(
        &self,
        inbound: &Inbound,
        visitor: &Visitor,
        record: &mut Record,
        (status, error): (StatusCode, &'static str),
    ) -> Reply {
        record.reason(error);
        let mut asked = Asked::of(&inbound.method, &inbound.fields);
        if status == StatusCode::UNAUTHORIZED {
            asked.needs_login(inbound, &self.settings.login, visitor.ended());
        }
        let (head, body) = pages::for_program(status, error, Some(&asked), &inbound.request_id);
        Reply { keeps: OURS, head, body: Body::Full(body), tunnel: None }
    }
}

fn ours(reply: login::Reply) -> Reply {
    Reply { keeps: OURS, head: reply.head, body: Body::Full(reply.body), tunnel: None }
}
