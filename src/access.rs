//! Access: may they?
//!
//! Comes in: a route's rule and what is known of the visitor. Goes out: a [`Pass`], which the next step needs and only
//! this one can make, or the reason why not. Never looks at a request's headers.

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

/// Proof that the visitor may pass.
#[derive(Debug)]
pub struct Pass<'a>(Option<&'a Session>);

impl<'a> Pass<'a> {
    /// With which session; none on a public route.
    pub fn session(&self) -> Option<&'a Session> {
        self.0
    }

    /// Who is passing, if anybody is logged in.
    pub fn identity(&self) -> Option<&'a Identity> {
        self.0.and_then(Session::identity)
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
    pub fn admit<'a>(&self, session: Option<&'a Session>, now: Timestamp) -> Result<Pass<'a>, Denied> {
        let signed_in = session.and_then(|session| session.identity().map(|identity| (session, identity)));
        match (self, signed_in) {
            (Access::Public, _) => Ok(Pass(None)),
            (Access::Optional, _) => Ok(Pass(session)),
            (Access::Login | Access::Only(_), None) => Err(Denied::LoginNeeded),
            (Access::Login, Some(_)) => Ok(Pass(session)),
            (Access::Only(only), Some((session, identity))) => only.admit(session, identity, now),
        }
    }
}

impl Only {
    fn admit<'a>(
        &self,
        session: &'a Session,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Pass<'a>, Denied> {
        let anybody = self.users.is_empty() && self.groups.is_empty();
        let named = self.users.iter().any(|user| user == identity.user());
        let member = self.groups.iter().any(|group| identity.is_in(group));
        if !(anybody || named || member) {
            return Err(Denied::NotAllowed);
        }
        match (self.within, session.authenticated_at()) {
            (Some(within), Some(then)) if now.since(then) > within => Err(Denied::LoginTooOld),
            _ => Ok(Pass(Some(session))),
        }
    }
}
