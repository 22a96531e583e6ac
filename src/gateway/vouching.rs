//! Vouching: who is asking, where the request itself may say so.
//!
//! Comes in: a request, and who its session says is asking. Goes out: that visitor, or a guest in their place, or the
//! refusal of what proves nobody. Waits only where a password or a key must be looked at for the first time.

use http::Method;

use super::Gateway;
use super::course::{Approach, Course, Unknown};
use super::own_pages::Visit;
use super::record::Record;
use super::refusal::Refusal;
use super::trail::Trail;
use crate::clock::Timestamp;
use crate::headers::{Inbound, is_navigation};
use crate::login::vouch::{Look, Rejected, Why};
use crate::session::Visitor;

/// The page where people sign in.
const LOGIN: &str = "/login";

impl Gateway {
    /// Goes on with a request whose session is known: at once where that is all there is to know, or where what the request
    /// says can be judged without waiting.
    pub(super) fn known<'g>(
        &'g self,
        mut approach: Approach<'g>,
        mut visitor: Visitor,
        now: Timestamp,
        trail: &mut Trail,
        record: &mut Record,
    ) -> Result<Course<'g>, Refusal> {
        let vouchers = self.settings.login.vouchers();
        if !vouchers.is_empty() {
            match vouchers.look(&approach.inbound, &visitor, now) {
                Look::Nothing => {}
                Look::Is(guest) => visitor = visitor.vouched_for(guest),
                Look::Wait => {
                    return Ok(Course::wait(approach, Unknown::Credentials(visitor)));
                }
                Look::No(rejected) => {
                    return Err(self.rejected(&approach.inbound, rejected, &visitor, trail));
                }
            }
            vouchers.clean(&mut approach.inbound.fields);
        }
        if visitor.guest().is_none() && self.settings.login.is_due(&visitor, now) {
            return Ok(Course::wait(approach, Unknown::Renewal(visitor)));
        }
        self.admit(approach, visitor, now, trail, record).map(Course::Forward)
    }

    /// Finds out who is asking, by whoever must be asked: the store of sessions, then the login methods.
    pub(super) async fn find_out(
        &self,
        approach: &mut Approach<'_>,
        unknown: Unknown,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Visitor, Refusal> {
        let visitor = match unknown {
            Unknown::Cookies(shown) => self.enquire(approach, &shown, now, trail).await?,
            Unknown::Credentials(visitor) | Unknown::Renewal(visitor) => visitor,
        };
        let visitor = self.vouched(&approach.inbound, visitor, now, trail).await?;
        self.settings.login.vouchers().clean(&mut approach.inbound.fields);
        Ok(self.renewed(visitor, now).await)
    }

    /// The visitor, or a guest in their place where the request says who is asking.
    pub(super) async fn vouched(
        &self,
        inbound: &Inbound,
        visitor: Visitor,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Visitor, Refusal> {
        match self.settings.login.vouchers().ask(inbound, &visitor, now).await {
            Look::Is(guest) => Ok(visitor.vouched_for(guest)),
            Look::No(rejected) => Err(self.rejected(inbound, rejected, &visitor, trail)),
            Look::Nothing | Look::Wait => Ok(visitor),
        }
    }

    /// The same for one of our own pages. A browser that sends what is wrong still sees the page where a person can sign in.
    pub(super) async fn guest_at_page(
        &self,
        visit: &Visit,
        visitor: Visitor,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Visitor, Refusal> {
        let inbound = &visit.inbound;
        // Whoever asks for a session proves it anew, whatever session they have.
        let anew = visit.page == LOGIN && inbound.method == Method::POST;
        let nobody = Visitor::nobody();
        let logged_in = if anew { &nobody } else { &visitor };
        match self.settings.login.vouchers().ask(inbound, logged_in, now).await {
            Look::Is(guest) => Ok(visitor.vouched_for(guest)),
            Look::No(rejected) if !is_navigation(&inbound.fields) => {
                Err(self.rejected(inbound, rejected, &visitor, trail))
            }
            _ => Ok(visitor),
        }
    }

    fn rejected(
        &self,
        inbound: &Inbound,
        rejected: Box<Rejected>,
        visitor: &Visitor,
        trail: &mut Trail,
    ) -> Refusal {
        let client = inbound.client.ip.map_or_else(|| "local".to_owned(), |address| address.to_string());
        let request_id = &*inbound.request_id;
        match rejected.why {
            Why::Token(_) | Why::Scope(_) => {
                tracing::info!(client, request_id, "a token was refused: {rejected}");
            }
            _ => tracing::warn!(client, request_id, "a login was refused: {rejected}"),
        }
        trail.rejected(inbound, rejected, &self.settings.login, visitor)
    }
}
