//! Visitor: who a cookie proved.
//!
//! Comes in: what recognition found. Goes out: the session and who is logged in to it, or why there is none. Made by
//! [`Sessions::recognise`](crate::session::Sessions::recognise), and by nobody who did not look.

use std::sync::Arc;

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

    /// Who is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        self.session().and_then(Session::identity)
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
