//! Assertions: applications are given proof of who is asking, and the keys to verify it.
//!
//! Comes in: a request that may pass, on its way to an application. Goes out: `X-Auth-Assertion`, last of all; and the page
//! with the public keys. Never says anything about somebody who is not logged in.

use std::cell::RefCell;
use std::rc::Rc;

use http::{Method, StatusCode};

use super::body::Body;
use super::{Gateway, OURS, Reply};
use crate::access::Pass;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::headers::assertion::Statement;
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::route::Route;
use crate::session::Memo;

/// The page with the public keys, below the reserved prefix.
pub(super) const KEYS_PAGE: &str = "/jwks.json";

/// How long verifiers may keep the public keys.
const KEYS_COUNT: &str = "public, max-age=300";

impl Gateway {
    /// Gives an application what it asks for as proof: a user and a password, and a signed statement.
    pub(super) fn prove(
        &self,
        outgoing: &mut RequestHead,
        (pass, route): (&Pass<'_>, &Route),
        memo: &Rc<RefCell<Memo>>,
        now: Timestamp,
    ) {
        let RequestHead { method, target, fields, .. } = outgoing;
        self.sign_on(fields, route, pass, now);
        self.assert(fields, (method, target), (pass, route), memo, now);
    }

    /// Says in a way that can be verified who is asking for `target`, where that is wanted.
    pub(super) fn assert(
        &self,
        fields: &mut Fields,
        (method, target): (&Method, &str),
        (pass, route): (&Pass<'_>, &Route),
        memo: &Rc<RefCell<Memo>>,
        now: Timestamp,
    ) {
        let (Some(assertions), Some(identity)) = (&self.assertions, pass.identity()) else { return };
        let upstream = &self.upstreams[route.upstream];
        let space = route.session.space();
        let name = pass
            .session()
            .map(|session| self.sessions().name_at(session, route.upstream, space, &mut memo.borrow_mut()));
        let statement = Statement {
            identity,
            session: name.as_ref().map(|name| std::str::from_utf8(name).expect("base64url is ASCII")),
            authenticated_at: pass.session().and_then(|session| session.authenticated_at()),
            audience: upstream.audience(),
            method,
            target,
        };
        assertions.append(fields, &statement, now);
    }

    /// The public keys that verify assertions; `None` where nothing is signed.
    pub(super) fn public_keys(&self, inbound: &Inbound) -> Option<Reply> {
        let assertions = self.assertions.as_ref()?;
        if !matches!(inbound.method, Method::GET | Method::HEAD) {
            let head = ResponseHead::new(StatusCode::METHOD_NOT_ALLOWED).with("Allow", "GET, HEAD");
            return Some(Reply { keeps: OURS, head, body: Body::Empty, tunnel: None });
        }
        let head = ResponseHead::new(StatusCode::OK)
            .with("Content-Type", "application/jwk-set+json")
            .with("Cache-Control", KEYS_COUNT)
            .with("X-Content-Type-Options", "nosniff");
        let body = Body::Full(assertions.signer().published().clone());
        Some(Reply { keeps: OURS, head, body, tunnel: None })
    }
}
