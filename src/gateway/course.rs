//! Course: where a request for an application goes, and who asks, as far as that can be said at once.
//!
//! Comes in: an inbound request and its body. Goes out: the request on its way, or on its approach, where a store must be
//! asked first who its visitor is. Never waits.

use std::cell::RefCell;
use std::rc::Rc;

use super::record::Record;
use super::refusal::Refusal;
use super::trail::Trail;
use super::{Forward, Gateway};
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::login::replay::browser::Mark;
use crate::route::Route;
use crate::session::{Memo, Presented, Recognition, Visitor};

/// How a request comes to an application.
pub(super) enum Course<'g> {
    /// It goes to an upstream, once it is known who asks.
    Approach(Box<(Approach<'g>, Unknown)>),
    /// It goes to an upstream.
    Forward(Box<Forward<'g>>),
}

/// What must be looked at to know who asks.
pub(super) enum Unknown {
    /// Cookies, of which the store knows more.
    Cookies(Presented),
    /// What the request says by itself, besides this visitor's session.
    Credentials(Visitor),
    /// Whether the provider where this visitor logged in still lets them in.
    Renewal(Visitor),
}

/// A request whose visitor is not known yet.
pub(super) struct Approach<'g> {
    pub route: &'g Route,
    pub inbound: Box<Inbound>,
    pub body: RequestBody,
    pub memo: Rc<RefCell<Memo>>,
    /// What binds requests that wait for a login to the browser, where it has such a cookie.
    pub browser: Option<Mark>,
}

impl<'g> Course<'g> {
    /// Somebody must be asked first.
    pub fn wait(approach: Approach<'g>, unknown: Unknown) -> Self {
        Self::Approach(Box::new((approach, unknown)))
    }
}

impl Gateway {
    /// Where to, and who asks, if that can be said at once.
    pub(super) fn course(
        &self,
        mut inbound: Box<Inbound>,
        body: RequestBody,
        memo: Rc<RefCell<Memo>>,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Course<'_>, Refusal> {
        let route = self.routes.find(inbound.host.name(), &inbound.path, &inbound.method);
        let route = route.map_err(|none| trail.refused(&inbound, none.into()))?;
        record.route(&route.name);
        let browser = self.browser(&inbound);
        let shown = self.take_cookies(&mut inbound);
        let approach = Approach { route, inbound, body, memo, browser };
        if !route.access.looks_at_sessions() {
            return self.admit(approach, Visitor::nobody(), now, trail, record).map(Course::Forward);
        }
        let recognition =
            self.sessions().recognise(&shown, &mut approach.memo.borrow_mut(), now, route.activity);
        match recognition {
            Recognition::Is(visitor) => self.known(approach, visitor, now, trail, record),
            Recognition::Unsure => Ok(Course::wait(approach, Unknown::Cookies(shown))),
        }
    }
}
