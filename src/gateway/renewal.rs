//! Renewal: visitors whose provider is asked whether they may go on, before they do.

use super::Gateway;
use crate::clock::Timestamp;
use crate::session::Visitor;

impl Gateway {
    /// The visitor after their provider was asked, where that is due. It goes on when the client goes away meanwhile: what the
    /// provider gives is given once.
    pub(super) async fn renewed(&self, visitor: Visitor, now: Timestamp) -> Visitor {
        if !self.settings.login.is_due(&visitor, now) {
            return visitor;
        }
        let (login, sessions) = (self.settings.login.clone(), self.settings.sessions.clone());
        let asked = visitor.clone();
        let renewed = tokio::spawn(async move { login.renewed(asked, &sessions, now).await });
        renewed.await.unwrap_or(visitor)
    }
}
