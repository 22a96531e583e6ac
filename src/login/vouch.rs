//! Vouch: the request itself proves who is asking.
//!
//! Comes in: a request, and who is logged in by its session. Goes out: a guest, known for this one request; or nobody, or
//! that what it brought is wrong. Never makes a session, and never lets a request pass as nobody that says who it is and
//! cannot prove it.
//!
//! What a request says by itself (`Authorization`) counts before its session, which counts before what its connection or a
//! proxy says: a client that names another user means that one, and a certificate goes along with whatever is sent.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::identity::Identity;
use crate::login::throttle::Wait;
use crate::message::Fields;
use crate::session::{Guest, Visitor};

/// A login method that needs nothing but the request.
pub trait Voucher: Debug + Send + Sync {
    /// What can be said at once. `logged_in` is who the session belongs to.
    fn look(&self, request: &Inbound, logged_in: Option<&Identity>, now: Timestamp) -> Look;

    /// What is said in the end, after [`Look::Wait`].
    fn ask<'a>(&'a self, _request: &'a Inbound, _now: Timestamp) -> Answer<'a> {
        Box::pin(std::future::ready(Look::Nothing))
    }

    /// What asks a client for this (RFC 9110, section 11.6.1), where anything does.
    fn challenge(&self) -> Option<&str> {
        None
    }

    /// Takes out of a request what was meant for us alone.
    fn clean(&self, _fields: &mut Fields) {}
}

/// What a method says after a while.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Look> + 'a>>;

/// What a method says of a request.
#[derive(Debug)]
pub enum Look {
    /// There is nothing for it in the request.
    Nothing,
    /// It is this one.
    Is(Guest),
    /// It must be asked, and waited for.
    Wait,
    /// There is something, and it is wrong.
    No(Box<Rejected>),
}

/// Something that proves nobody.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Rejected {
    /// Why.
    pub why: Why,
    /// `WWW-Authenticate` that says what would have been right.
    pub challenge: String,
}

impl Rejected {
    /// As what a method says.
    pub fn look(why: Why, challenge: impl Into<String>) -> Look {
        Look::No(Box::new(Self { why, challenge: challenge.into() }))
    }
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The field cannot be read, or came more than once.
    #[error("the Authorization field is malformed")]
    Malformed,
    /// Unknown user, disabled user or wrong password.
    #[error("unknown user or wrong password")]
    Password,
    /// Too many failures.
    #[error("too many failures")]
    TooMany(Wait),
    /// It cannot be looked at just now.
    #[error("it cannot be looked at just now: {0}")]
    Busy(String),
    /// The token is not valid.
    #[error("the token is not valid: {0}")]
    Token(String),
    /// The token is valid, and not enough.
    #[error("the token is not enough: {0}")]
    Scope(String),
}

/// All methods that need nothing but the request.
#[derive(Debug, Default)]
pub struct Vouchers {
    methods: Vec<Box<dyn Voucher>>,
    challenges: Arc<[String]>,
}

impl Vouchers {
    /// These, in the order in which they are asked.
    pub fn new(methods: Vec<Box<dyn Voucher>>) -> Self {
        let challenges = methods.iter().filter_map(|method| method.challenge()).map(str::to_owned).collect();
        Self { methods, challenges }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// What asks a client for any of them.
    pub fn challenges(&self) -> &Arc<[String]> {
        &self.challenges
    }

    /// What can be said at once.
    pub fn look(&self, request: &Inbound, visitor: &Visitor, now: Timestamp) -> Look {
        let looks = self.methods.iter().map(|method| method.look(request, visitor.identity(), now));
        looks.into_iter().find(|look| !matches!(look, Look::Nothing)).unwrap_or(Look::Nothing)
    }

    /// The same, and whoever must be asked is waited for.
    pub async fn ask(&self, request: &Inbound, visitor: &Visitor, now: Timestamp) -> Look {
        for method in &self.methods {
            let look = match method.look(request, visitor.identity(), now) {
                Look::Wait => method.ask(request, now).await,
                look => look,
            };
            if !matches!(look, Look::Nothing) {
                return look;
            }
        }
        Look::Nothing
    }

    /// Takes out of a request what was meant for us alone.
    pub fn clean(&self, fields: &mut Fields) {
        self.methods.iter().for_each(|method| method.clean(fields));
    }
}
