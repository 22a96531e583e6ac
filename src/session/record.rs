//! Record: what is kept for a visitor.
use crate::clock::Timestamp;
use crate::identity::Identity;

/// What is kept for a visitor.
#[derive(Debug)]
pub struct Session {
    identity: Option<std::sync::Arc<Identity>>,
    authenticated_at: Option<Timestamp>,
}
impl Session {
    /// Who is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
    /// When they logged in.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.authenticated_at
    }
}
