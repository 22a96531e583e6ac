//! Trail: what is known of a request while it is answered, for whoever must say why it was not.

use std::rc::Rc;

use super::interrupted::Interrupted;
use http::StatusCode;

use super::pages::Asked;
use super::refusal::Refusal;
use super::request_id;
use crate::access::Denied;
use crate::headers::Inbound;
use crate::login::Login;
use crate::login::vouch::Rejected;
use crate::peer::Scheme;
use crate::session::Visitor;

/// What is known of a request while it is answered; outlives a refusal.
#[derive(Default)]
pub(super) struct Trail {
    pub asked: Option<Asked>,
    /// The request itself, where it may wait for a login.
    pub interrupted: Option<Box<Interrupted>>,
    request_id: Option<Rc<str>>,
    pub secure: bool,
}

impl Trail {
    /// The request's id; one that could not even be read is given one now.
    pub fn request_id(&mut self) -> Rc<str> {
        self.request_id.get_or_insert_with(request_id::fresh).clone()
    }

    pub fn follow(&mut self, inbound: &Inbound) {
        self.request_id = Some(inbound.request_id.clone());
        self.secure = inbound.client.scheme == Scheme::Https;
    }

    /// Keeps of a request what its refusal needs to know.
    pub fn refused(&mut self, inbound: &Inbound, refusal: Refusal) -> Refusal {
        self.asked = Some(Asked::of(&inbound.method, &inbound.fields));
        refusal
    }

    /// The same, where what the request says of who is asking is wrong.
    pub fn rejected(
        &mut self,
        inbound: &Inbound,
        rejected: Box<Rejected>,
        login: &Login,
        visitor: &Visitor,
    ) -> Refusal {
        let mut asked = Asked::of(&inbound.method, &inbound.fields);
        let challenge = rejected.challenge.clone();
        let refusal = Refusal::Credentials(rejected);
        if refusal.status_and_reason().0 == StatusCode::UNAUTHORIZED {
            asked.needs_login(inbound, login, visitor.ended());
        }
        asked.rejected(challenge);
        self.asked = Some(asked);
        refusal
    }

    pub fn denied(&mut self, denied: Denied, inbound: &Inbound, login: &Login, visitor: &Visitor) {
        if let Some(asked) = &mut self.asked {
            asked.denied(denied, inbound, login, visitor.ended());
        }
    }
}
