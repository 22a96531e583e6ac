//! Guest: what our pages say to somebody whom the request itself proves.
//!
//! Comes in: a guest at the desk. Goes out: a session in exchange for a password, where a program asks for one; the way to
//! where people sign out who never signed in here. Never makes a session of anything but a password.

use bytes::Bytes;
use http::StatusCode;

use super::Desk;
use crate::login::guard::sent_from_here;
use crate::login::page::{Page, Reply, View};
use crate::message::ResponseHead;
use crate::session::sign::Arrival;
use crate::session::{Guest, Means};

impl Desk<'_> {
    /// A session for a program that sent its password along and no form: with one it need not send it again.
    pub(super) async fn exchange(&self) -> Option<Reply> {
        let guest = self.ask.visitor.guest().filter(|guest| guest.by == Means::Password)?;
        if !self.ask.form.is_empty() {
            return None;
        }
        if !sent_from_here(self.ask.fields, self.ask.origins) {
            return Some(self.notice(StatusCode::FORBIDDEN, self.language.words().foreign));
        }
        let arrival = Arrival {
            identity: guest.identity.clone(),
            credential: guest.credential,
            remember: false,
            origin: self.ask.origin,
            notes: Vec::new(),
        };
        let head = ResponseHead::new(StatusCode::NO_CONTENT).with("Cache-Control", "no-store");
        Some(match self.let_in(arrival).await {
            Ok(tickets) => Reply { head, body: Bytes::new() }.with_tickets(&tickets),
            Err(reply) => *reply,
        })
    }

    /// Where somebody signs out who did not sign in here.
    pub(super) fn logout_of_guest(&self, guest: &Guest) -> Reply {
        let elsewhere = self.login.outer.as_ref().and_then(|outer| outer.logout_url.as_deref());
        if let Some(url) = elsewhere.filter(|_| guest.by == Means::Proxy) {
            return Reply::see_other(url);
        }
        let words = self.language.words();
        let view = View { heading: words.sign_out, note: Some(words.signed_in_elsewhere), ..View::default() };
        self.login.pages.show(Page::Notice, StatusCode::OK, self.language, &view)
    }
}
