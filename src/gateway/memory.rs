//! Memory: what a request is told of its session, and what its response wants remembered.
//!
//! Comes in: a request on its way to an upstream, and the upstream's instructions. Goes out: the session's headers, last of
//! all; cookies for the browser. A response whose wishes cannot be kept because the store is away is not passed on: what
//! the application believes to be remembered would be lost.

use std::cell::RefCell;
use std::rc::Rc;

use super::refusal::Refusal;
use super::{Approach, Forward, Gateway, Reply, Trail, WITH_COOKIE};
use crate::clock::Timestamp;
use crate::login::upstream::Heard;
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::route::Route;
use crate::session::data::Data;
use crate::session::protocol::{self, Hearing, Scope, Told, Wishes};
use crate::session::{Memo, Occasion, Presented, Settled, Visitor};

impl Gateway {
    /// Asks the store who is asking.
    pub(super) async fn enquire(
        &self,
        approach: &Approach<'_>,
        shown: &Presented,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Visitor, Refusal> {
        // Nobody else uses the connection's memo meanwhile, but HTTP/2 has many requests on one connection.
        let mut memo = Memo::default();
        let visitor = self.sessions().enquire(shown, &mut memo, now, approach.route.activity).await;
        *approach.memo.borrow_mut() = memo;
        visitor.map_err(|error| trail.refused(&approach.inbound, Refusal::Store(error)))
    }

    /// Whether a request is one that shows a page, or may: pictures and styles do not take what is delivered once.
    pub(super) fn delivers(&self, outgoing: &RequestHead, route: &Route) -> bool {
        let part_of_a_page =
            |destination: &[u8]| !matches!(destination, b"document" | b"empty" | b"iframe" | b"frame");
        route.activity && !outgoing.fields.get("sec-fetch-dest").is_some_and(part_of_a_page)
    }

    /// Says what the upstream may know of the session; what is delivered once only where it was taken out for this request.
    pub(super) fn tell(
        &self,
        fields: &mut Fields,
        route: &Route,
        visitor: &Visitor,
        data: &Data,
        memo: &RefCell<Memo>,
        (now, delivers): (Timestamp, bool),
    ) {
        let Some(session) = visitor.session() else { return };
        let rights = &route.session;
        let name = self.sessions().name_at(session, route.upstream, rights.space(), &mut memo.borrow_mut());
        let told = Told {
            id: std::str::from_utf8(&name).expect("base64url is ASCII"),
            data,
            rights,
            headers: &route.session_headers,
            delivers,
            new: visitor.is_new(),
            expires_in: self.sessions().lifetime().expires(session).since(now),
            auth_age: session.authenticated_at().map(|then| now.since(then)),
            now,
        };
        let left_out = protocol::tell(fields, &told);
        if left_out > 0 {
            let session = format_args!("{:08x}", session.short());
            tracing::warn!(session, route = %route.name, left_out, "the session's data is too large for a request's headers");
        }
    }

    /// Takes what is delivered once out of the session, and says it.
    pub(super) async fn deliver(
        &self,
        forward: &mut Forward<'_>,
        memo: &Rc<RefCell<Memo>>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(session) = forward.visitor.session_held() else { return Ok(()) };
        let data =
            self.sessions().take_flash(session, &forward.route.session, now).await.map_err(Refusal::Store)?;
        let fields = &mut forward.outgoing.fields;
        self.tell(fields, forward.route, &forward.visitor, &data, memo, (now, true));
        Ok(())
    }

    /// Carries out what the response wants remembered, and hands out what is due.
    pub(super) async fn settle(
        &self,
        reply: &mut Reply,
        route: &Route,
        visitor: &Visitor,
        (instructions, heard): (Option<Box<Fields>>, Heard),
        occasion: Occasion<'_>,
    ) -> Result<(), Refusal> {
        let sessions = self.sessions();
        let mut wishes = match instructions {
            None => Wishes::default(),
            Some(instructions) => {
                let hearing = Hearing {
                    rights: &route.session,
                    timezone: &sessions.settings().timezone,
                    status: reply.head.status,
                    now: occasion.now,
                };
                let (wishes, problems) = protocol::read(&instructions, &hearing);
                for problem in problems {
                    let upstream = self.upstreams[route.upstream].name();
                    tracing::warn!(upstream, route = %route.name, header = problem.header, "not carried out: {}", problem.why);
                }
                wishes
            }
        };
        match heard {
            Heard::Login(identity) => wishes.login = Some(identity),
            Heard::Logout => wishes.logout = Some(Scope::This),
            Heard::Nothing | Heard::TooMany(_) => {}
        }
        self.hand_out(reply, visitor, wishes, occasion).await
    }

    /// Carries out wishes, and tells the browser what is due.
    pub(super) async fn hand_out(
        &self,
        reply: &mut Reply,
        visitor: &Visitor,
        wishes: Wishes,
        occasion: Occasion<'_>,
    ) -> Result<(), Refusal> {
        let settled = self.sessions().settle(visitor, wishes, occasion).await;
        let Settled { tickets, logged_out } = settled.map_err(Refusal::Store)?;
        for ticket in &tickets {
            set_cookie(&mut reply.head, ticket.set_cookie());
            if reply.keeps.is_empty() {
                reply.keeps = WITH_COOKIE;
            }
        }
        if logged_out {
            reply.head.fields.append("Clear-Site-Data", "\"cache\"");
        }
        Ok(())
    }
}

/// Says that instructions came where there is no session to carry them out in.
pub(super) fn leave_out(route: &Route, visitor: &Visitor) {
    let route = &*route.name;
    if visitor.guest().is_some() {
        tracing::debug!(route, "session instructions about somebody without a session are not carried out");
    } else {
        tracing::warn!(route, "session instructions on a public route are not carried out");
    }
}

/// Adds one of our cookies; nobody between here and the browser may keep the response for others.
fn set_cookie(head: &mut ResponseHead, value: &str) {
    head.fields.append("Set-Cookie", value);
    if !head.fields.lists("cache-control", "no-store") {
        head.fields.set("Cache-Control", "no-store");
    }
}
