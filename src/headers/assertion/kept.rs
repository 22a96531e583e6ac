//! Kept: assertions that were signed, for requests that are alike; a signature costs as much as the rest of a request.
//!
//! Comes in: a statement. Goes out: an assertion of it, signed now, or before for the same person, session, upstream, method
//! and target. One is used again for half of its lifetime. How many are kept is bounded, and each has a size at most. Never
//! taken for another statement.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use http::Method;

use super::{NAME, Signer, Statement};
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::message::Fields;

/// How many assertions a worker keeps, and bytes of each, with its target.
const KEPT: usize = 2048;
const LARGEST: usize = 4096;

/// Signs, and keeps what was signed.
#[derive(Debug)]
pub struct Assertions {
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
    /// Nothing is kept yet.
    pub fn new(signer: Arc<Signer>) -> Self {
        Self { signer, hasher: RandomState::new(), kept: RefCell::default() }
    }

    /// Who signs.
    pub fn signer(&self) -> &Signer {
        &self.signer
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
