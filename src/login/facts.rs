//! Facts: what a browser's scripts may know of the session they run in.
//!
//! Comes in: a session, or why there is none. Goes out: JSON. Never an id, and nothing that applications keep.

use serde_json::{Value, json};

use crate::identity::Identity;
use crate::session::record::{EndReason, Session};
use crate::session::{Sessions, Visitor};

/// What there is to know, times in seconds since 1970; of nobody all is `null` or empty.
pub fn facts(session: Option<&Session>, ended: Option<EndReason>, sessions: &Sessions) -> Value {
    facts_of(session.and_then(Session::identity), session, ended, sessions)
}

/// The same of a visitor, who may be known without a session.
pub fn facts_of_visitor(visitor: &Visitor, sessions: &Sessions) -> Value {
    facts_of(visitor.identity(), visitor.session(), visitor.ended(), sessions)
}

fn facts_of(
    identity: Option<&Identity>,
    session: Option<&Session>,
    ended: Option<EndReason>,
    sessions: &Sessions,
) -> Value {
    json!({
        "user": identity.map(Identity::user),
        "name": identity.and_then(Identity::name),
        "email": identity.and_then(Identity::email),
        "groups": identity.map(|identity| identity.groups().collect::<Vec<_>>()).unwrap_or_default(),
        "created": session.map(|session| session.created().unix_seconds()),
        "expires": session.map(|session| sessions.lifetime().expires(session).unix_seconds()),
        "reason": ended.map(EndReason::as_str),
    })
}
