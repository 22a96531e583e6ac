//! Visitor: who a cookie proved, or the request itself.
//!
//! Comes in: what recognition found, or a login method that needs no session. Goes out: the session and who is logged in to
//! it, or why there is none; or a guest. Made by [`Sessions::recognise`](crate::session::Sessions::recognise), and by nobody
//! who did not look. Never a guest with a session: nothing is kept for one.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::cookie::pieces::Pieces;
use crate::session::keys::VALUE_LENGTH;
use crate::session::record::{EndReason, Session};

/// Who a cookie proved.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    pub(in crate::session) session: Option<Arc<Session>>,
    pub(in crate::session) ended: Option<EndReason>,
    pub(in crate::session) showed_cookie: bool,
    /// The session began with the response before this request.
    pub(in crate::session) new: bool,
    /// The session is to go on under a new id, or to be sealed anew.
    pub(in crate::session) due: bool,
    /// What proved it.
    pub(in crate::session) by: Shown,
    pub(in crate::session) guest: Option<Box<Guest>>,
    /// The session that a guest came with, and that their request leaves alone.
    pub(in crate::session) beside: Option<Arc<Session>>,
}

/// Somebody whom a request itself proves, for as long as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Who.
    pub identity: Identity,
    /// When they proved it; the beginning of time where nobody knows.
    pub authenticated_at: Timestamp,
    /// How.
    pub by: Means,
    /// By what exactly, as [`Stored::credential`](crate::session::stored::Stored::credential); 0: nobody asks again.
    pub credential: u64,
}

/// How a request proves who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// A password that came with it.
    Password,
    /// A token of somebody who is trusted.
    Token,
    /// The word of a trusted proxy.
    Proxy,
    /// The certificate of the connection.
    Certificate,
}

/// The cookie that proved who somebody is.
#[derive(Clone, Default)]
pub(in crate::session) enum Shown {
    /// None of ours.
    #[default]
    Nothing,
    /// A signed id.
    Id([u8; VALUE_LENGTH]),
    /// A sealed session.
    Pieces(Arc<Pieces>),
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl Visitor {
    /// Somebody of whom nothing is known, as on routes where sessions are not looked at.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// The same visitor, as the guest that the request itself proves: whatever session there was is left alone.
    #[must_use]
    pub fn vouched_for(self, guest: Guest) -> Self {
        let Self { showed_cookie, session: beside, .. } = self;
        Self { guest: Some(Box::new(guest)), showed_cookie, beside, ..Self::nobody() }
    }

    /// Who is known without a session.
    pub fn guest(&self) -> Option<&Guest> {
        self.guest.as_deref()
    }

    /// Who is asking, if anybody is known.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.guest {
            Some(guest) => Some(&guest.identity),
            None => self.session().and_then(Session::identity),
        }
    }

    /// When they proved it.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        match &self.guest {
            Some(guest) => Some(guest.authenticated_at),
            None => self.session().and_then(Session::authenticated_at),
        }
    }

    /// Their session, which lived when they were recognised.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// The same, to hold on to: for whatever goes on after the answer, such as a WebSocket.
    pub fn session_held(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// The same once their session has ended.
    #[must_use]
    pub fn signed_out(self, reason: EndReason) -> Self {
        Self { session: None, ended: Some(reason), due: false, ..self }
    }

    /// Why the session they were logged in to is no more, where that is known.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Whether the request had a cookie of our name, whatever was in it.
    pub fn showed_cookie(&self) -> bool {
        self.showed_cookie
    }

    /// Whether this is the first request with their session.
    pub fn is_new(&self) -> bool {
        self.new
    }
}
