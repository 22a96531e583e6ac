//! Assertions: signed once for requests that are alike, since a signature costs as much as the rest of a request.
//!
//! Comes in: a request that may pass, on its way to an application. Goes out: `X-Auth-Assertion`, last of all. One that was
//! signed for the same person, session, upstream, method and target is used again for half of its lifetime. How many are
//! kept is bounded, and each of them has a size at most. Never counts at another upstream or for another request.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::body::Body;
use super::{Gateway, OURS, Reply};
use crate::access::Pass;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::headers::assertion::{NAME, Signer, Statement};
use crate::identity::Identity;
use crate::message::{Fields, RequestHead, ResponseHead};
use crate::route::Route;
use crate::session::Memo;

/// The page with the public keys, below the reserved prefix.
pub(super) const KEYS_PAGE: &str = "/jwks.json";

/// How long verifiers may keep the public keys.
const KEYS_COUNT: &str = "public, max-age=300";

/// How many assertions a worker keeps, and bytes of each, with its target.
const KEPT: usize = 2048;
const LARGEST: usize = 4096;

/// Signs, and keeps what was signed.
#[derive(Debug)]
pub(super) struct Assertions {
    signer: Arc<Signer>,
    hasher: RandomState,
    kept: RefCell<Vec<Option<Box<Kept>>>>,
}

/// An assertion, and what it was signed for.
struct Kept {
    identity: Identity,
    session: Option<Box<str>>,
    audience: Box<str>,
    method: Method,
    target: Box<str>,
    signed: Timestamp,
    token: Box<str>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(…)")
    }
}

impl Kept {
    fn is_for(&self, statement: &Statement<'_>) -> bool {
        self.target.as_ref() == statement.target
            && self.session.as_deref() == statement.session
            && self.audience.as_ref() == statement.audience
            && self.method == *statement.method
            && self.identity == *statement.identity
    }
}

impl Assertions {
    pub fn new(signer: Arc<Signer>) -> Self {
        Self { signer, hasher: RandomState::new(), kept: RefCell::default() }
    }

    /// Adds an assertion to a request's fields.
    pub fn append(&self, fields: &mut Fields, statement: &Statement<'_>, now: Timestamp) {
        let mut kept = self.kept.borrow_mut();
        if kept.is_empty() {
            kept.resize_with(KEPT, || None);
        }
        let Statement { identity, session, audience, method, target, .. } = statement;
        let place =
            self.hasher.hash_one((session, identity.user(), audience, method, target)) as usize % KEPT;
        let fresh = |kept: &&Kept| {
            kept.signed <= now
                && now.since(kept.signed) <= self.signer.lifetime() / 2
                && kept.is_for(statement)
        };
        if let Some(found) = kept[place].as_deref().filter(fresh) {
            fields.append(NAME, found.token.as_bytes());
            return;
        }
        let (token, left_out) = self.signer.sign(statement, now);
        fields.append(NAME, &token);
        if left_out > 0 {
            tracing::warn!(user = identity.user(), left_out, "more groups than an assertion has room for");
        }
        let fits = token.len() + target.len() <= LARGEST;
        kept[place] = fits.then(|| {
            Box::new(Kept {
                identity: (*identity).clone(),
                session: session.map(Into::into),
                audience: (*audience).into(),
                method: (*method).clone(),
                target: (*target).into(),
                signed: now,
                token: token.into(),
            })
        });
    }
}

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
        let body = Body::Full(assertions.signer.published().clone());
        Some(Reply { keeps: OURS, head, body, tunnel: None })
    }
}
