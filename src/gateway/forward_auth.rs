//! Forward auth: other proxies ask whether a request may pass, and carry it to the application themselves.
//!
//! Comes in: a request for `/_cloakroom/auth`, from nginx (`auth_request`), Caddy (`forward_auth`) or Traefik (ForwardAuth).
//! Goes out: 200 with what the application is told of the visitor, 401 or the way to the login page, or 403. A trusted
//! proxy says which request it asks about, and the routes and rules decide about that one, in its normal form; what none of
//! them knows is refused. From anybody else only whether somebody is logged in is answered. Never lets anything through
//! that the same request would not get past this gateway itself.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::body::Body;
use super::own_pages::Visit;
use super::pages::{self, Asked};
use super::record::Record;
use super::refusal::Refusal;
use super::trail::Trail;
use super::{Gateway, OURS, Reply};
use crate::access::{Access, Asking, Denied, Pass};
use crate::clock::Timestamp;
use crate::headers::{self, BadRequest, Inbound, Original, assertion};
use crate::login::CHALLENGE;
use crate::message::{Fields, ResponseHead};
use crate::route::Route;
use crate::session::protocol::Wishes;
use crate::session::{Memo, Occasion, Presented, Recognition, Visitor};

/// The page, below the reserved prefix.
pub(super) const PAGE: &str = "/auth";

/// What a request for an application may say besides who is asking.
const ALWAYS: [&str; 4] = [assertion::NAME, "Session-Id", "Session-Data", "Session-Meta"];

/// Who is answered.
struct Asker {
    asked: Asked,
    /// It passes on what it is answered; otherwise it knows 200, 401 and 403 only.
    passes_redirects: bool,
    request_id: Rc<str>,
}

impl Gateway {
    /// Answers whether a request may pass.
    pub(super) async fn vouch(
        &self,
        visit: Visit,
        now: Timestamp,
        record: &mut Record,
    ) -> Result<Reply, Refusal> {
        let Visit { mut inbound, memo, .. } = visit;
        let original = inbound.original.take();
        let mut asker = Asker {
            asked: Asked::of(&inbound.method, &inbound.fields),
            passes_redirects: original.as_ref().is_some_and(|original| original.passes_redirects()),
            request_id: inbound.request_id.clone(),
        };
        if !matches!(inbound.method, Method::GET | Method::HEAD) {
            return Ok(not_asked(&asker, record));
        }
        let shown = self.take_cookies(&mut inbound);
        let (route, inbound) = match self.asked_about(original.as_deref(), *inbound) {
            Ok(found) => found,
            Err(refusal) => return Ok(self.turned_down(refusal, &asker, record)),
        };
        asker.asked = Asked::of(&inbound.method, &inbound.fields);
        let access = route.map_or(&Access::Login, |route| &route.access);
        let visitor = match access.looks_at_sessions() {
            true => {
                let uses = route.is_none_or(|route| route.activity);
                match self.asked_for(&inbound, (&shown, &memo), now, uses).await? {
                    Ok(visitor) => visitor,
                    Err(refusal) => return Ok(self.turned_down(refusal, &asker, record)),
                }
            }
            false => Visitor::nobody(),
        };
        record.visitor(&visitor);
        if let Some(route) = route {
            record.route(&route.name);
        }
        let asking = Asking::of(&visitor, inbound.client.ip, &inbound.method);
        let pass = match access.admit(asking, now) {
            Ok(pass) => pass,
            Err(denied) => {
                asker.asked.denied(denied, &inbound, &self.settings.login, visitor.ended());
                return Ok(self.turned_down(Refusal::Access(denied), &asker, record));
            }
        };
        let head = self.told((&pass, route), &inbound, &visitor, &memo, now);
        let mut reply = Reply { keeps: OURS, head, body: Body::Full(Bytes::new()), tunnel: None };
        if access.looks_at_sessions() && self.sessions().is_due(&visitor) {
            self.hand_out(&mut reply, &visitor, Wishes::default(), occasion(&inbound, now)).await?;
        }
        Ok(reply)
    }

    /// What an application may know of whoever passes.
    fn told(
        &self,
        (pass, route): (&Pass<'_>, Option<&Route>),
        inbound: &Inbound,
        visitor: &Visitor,
        memo: &Rc<RefCell<Memo>>,
        now: Timestamp,
    ) -> ResponseHead {
        let mut head = ResponseHead::new(StatusCode::OK).with("Cache-Control", "no-store");
        let fields = &mut head.fields;
        headers::introduce(fields, pass, &self.rules);
        if let Some(route) = route {
            self.assert(fields, (&inbound.method, &target(inbound)), (pass, route), memo, now);
            if let Some(session) = pass.session() {
                self.tell(fields, route, visitor, &session.data(), memo, (now, false));
            }
        }
        self.say_nothing_of_the_rest(fields);
        head
    }

    /// Adds what is not known without a value. Some proxies write the name of what they were to copy in its place, or leave
    /// there what a client sent.
    fn say_nothing_of_the_rest(&self, fields: &mut Fields) {
        let of_sessions =
            self.routes.iter().flat_map(|route| &route.session_headers).map(|header| &*header.name);
        for name in self.rules.identity_names().chain(ALWAYS).chain(of_sessions) {
            if !fields.contains(name) {
                fields.append(name, "");
            }
        }
    }

    /// The request in question in its normal form, and the route it would take; no route where only the login counts.
    fn asked_about(
        &self,
        original: Option<&Original>,
        asking: Inbound,
    ) -> Result<(Option<&Route>, Inbound), Refusal> {
        let Some(original) = original else { return Ok((None, asking)) };
        let inbound = original.take_place(asking)?;
        // Our own pages are asked for here, not at an application.
        if self.own_page(inbound.path.as_str()).is_some() {
            return Err(Refusal::Access(Denied::NotAllowed));
        }
        let route = self.routes.find(inbound.host.name(), &inbound.path, &inbound.method)?;
        Ok((Some(route), inbound))
    }

    /// Whom the request is asked about for, by every way to know: their session, what the request says, their provider.
    /// Refused is what says something wrong.
    async fn asked_for(
        &self,
        inbound: &Inbound,
        (shown, memo): (&Presented, &RefCell<Memo>),
        now: Timestamp,
        uses: bool,
    ) -> Result<Result<Visitor, Refusal>, Refusal> {
        let visitor = self.visitor_of(shown, memo, now, uses).await?;
        Ok(match self.vouched(inbound, visitor, now, &mut Trail::default()).await {
            Ok(visitor) => Ok(self.renewed(visitor, now).await),
            refused => refused,
        })
    }

    /// Who asks, whether memory knows or the store.
    pub(super) async fn visitor_of(
        &self,
        shown: &Presented,
        memo: &RefCell<Memo>,
        now: Timestamp,
        uses: bool,
    ) -> Result<Visitor, Refusal> {
        let recognition = self.sessions().recognise(shown, &mut memo.borrow_mut(), now, uses);
        match recognition {
            Recognition::Is(visitor) => Ok(visitor),
            Recognition::Unsure => {
                let found = self.sessions().enquire(shown, &mut Memo::default(), now, uses).await;
                found.map_err(Refusal::Store)
            }
        }
    }

    /// The answer to a request that may not pass: proxies tell 401 and 403 apart, and take anything else for a failure of
    /// ours.
    fn turned_down(&self, refusal: Refusal, asker: &Asker, record: &mut Record) -> Reply {
        refusal.log(&asker.request_id);
        let (status, reason) = refusal.status_and_reason();
        record.reason(reason);
        let refusal = match status {
            StatusCode::UNAUTHORIZED => refusal,
            _ => Refusal::Access(Denied::NotAllowed),
        };
        let login = &self.settings.login;
        let (mut head, body) = pages::refusal(&refusal, Some(&asker.asked), &asker.request_id, login);
        if head.status.is_redirection() && !asker.passes_redirects {
            head.status = StatusCode::UNAUTHORIZED;
            head.fields.append("WWW-Authenticate", CHALLENGE);
        }
        Reply { keeps: OURS, head, body: Body::Full(body), tunnel: None }
    }
}

/// Whoever wants to know asks with GET.
fn not_asked(asker: &Asker, record: &mut Record) -> Reply {
    let (status, error) = (StatusCode::METHOD_NOT_ALLOWED, BadRequest::Method.reason());
    record.reason(error);
    let (head, body) = pages::for_program(status, error, None, &asker.request_id);
    Reply { keeps: OURS, head: head.with("Allow", "GET, HEAD"), body: Body::Full(body), tunnel: None }
}

/// When and from where somebody is given a new id.
fn occasion(inbound: &Inbound, now: Timestamp) -> Occasion<'_> {
    Occasion { now, client: inbound.client.ip, fields: &inbound.fields }
}

/// Path and query of a request, as they are sent to an application.
fn target(inbound: &Inbound) -> String {
    let path = inbound.path.as_str();
    inbound.query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}
