//! Access: may they?
//!
//! Comes in: a route's rule and who is asking. Goes out: a [`Pass`], which the next step needs and only this one can make,
//! or the reason why not. Never looks at a request's headers.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::record::Session;

/// Who may use a route (`access:`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Anybody; sessions are not even looked at.
    Public,
    /// Anybody; who is logged in is passed on.
    Optional,
    /// Anybody who is logged in. The default.
    #[default]
    Login,
    /// Only some of those who are logged in.
    Only(Only),
}

/// A rule over people: all given conditions hold. `users` and `groups` together mean: named, or in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// User names; empty: no condition.
    pub users: Vec<String>,
    /// Groups; empty: no condition.
    pub groups: Vec<String>,
    /// The login must not be older than this.
    pub within: Option<Duration>,
}

/// Who is asking, as far as rules look at that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// With which session.
    pub session: Option<&'a Session>,
    /// Who they are, if they have proved it.
    pub identity: Option<&'a Identity>,
    /// When they proved it.
    pub authenticated_at: Option<Timestamp>,
    /// From which address; none over a Unix socket.
    pub client: Option<IpAddr>,
}

impl<'a> Asking<'a> {
    /// Whoever this session belongs to.
    pub fn with(session: Option<&'a Session>, client: Option<IpAddr>) -> Self {
        Self {
            session,
            identity: session.and_then(Session::identity),
            authenticated_at: session.and_then(Session::authenticated_at),
            client,
        }
    }
}

/// Proof that the visitor may pass.
#[derive(Debug)]
pub struct Pass<'a> {
    session: Option<&'a Session>,
    identity: Option<&'a Identity>,
}

impl<'a> Pass<'a> {
    /// With which session; none on a public route.
    pub fn session(&self) -> Option<&'a Session> {
        self.session
    }

    /// Who is passing, if anybody is known.
    pub fn identity(&self) -> Option<&'a Identity> {
        self.identity
    }
}

/// Why the visitor may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is logged in.
    LoginNeeded,
    /// Somebody is logged in, but too long ago for this route.
    LoginTooOld,
    /// Somebody is logged in, and the rule does not name them.
    NotAllowed,
}

impl Access {
    /// Whether this rule needs to know who is asking.
    pub fn looks_at_sessions(&self) -> bool {
        !matches!(self, Access::Public)
    }

    /// Lets a visitor pass, or says why not.
    pub fn admit<'a>(&self, asking: Asking<'a>, now: Timestamp) -> Result<Pass<'a>, Denied> {
        let Asking { session, identity, .. } = asking;
        match (self, identity) {
            (Access::Public, _) => return Ok(Pass { session: None, identity: None }),
            (Access::Optional, _) => {}
            (Access::Login | Access::Only(_), None) => return Err(Denied::LoginNeeded),
            (Access::Login, Some(_)) => {}
            (Access::Only(only), Some(identity)) => only.judge(&asking, identity, now)?,
        }
        Ok(Pass { session, identity })
    }
}

impl Only {
    fn judge(&self, asking: &Asking<'_>, identity: &Identity, now: Timestamp) -> Result<(), Denied> {
        let anybody = self.users.is_empty() && self.groups.is_empty();
        let named = self.users.iter().any(|user| user == identity.user());
        let member = self.groups.iter().any(|group| identity.is_in(group));
        if !(anybody || named || member) {
            return Err(Denied::NotAllowed);
        }
        match (self.within, asking.authenticated_at) {
            (Some(within), Some(then)) if now.since(then) > within => Err(Denied::LoginTooOld),
            _ => Ok(()),
        }
    }
}
