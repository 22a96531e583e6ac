//! Factor: a second thing to prove, after a password of ours.
//!
//! Comes in: users and codes. Goes out: who has a second factor, who must have one, and whether a code is right. Enrolments
//! are kept in a file, sealed with our keys; each code is right once, also across restarts and for all gateways that share
//! the file. Never lets somebody pass whose enrolment cannot be read.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::keys::Keys;
use enrolment::{Codes, Enrolment};
use file::EnrolmentFile;
use totp::Secret;

pub mod enrolment;
mod file;
pub mod picture;
pub mod totp;

pub use file::{FileError, take_out};

/// `login.local.totp`
#[derive(Clone, Debug)]
pub struct FactorSettings {
    /// Everybody must have a second factor.
    pub required: bool,
    /// Or members of these groups.
    pub groups: Vec<String>,
    /// Where enrolments are kept.
    pub file: PathBuf,
    /// What authenticators call this place.
    pub issuer: String,
}

/// Second factors.
#[derive(Debug)]
pub struct Factors {
    required: bool,
    groups: Vec<String>,
    issuer: String,
    file: EnrolmentFile,
}

/// What is wanted of somebody besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// A code.
    Code,
    /// They must enrol first.
    Enrolment,
}

/// What came of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It is right.
    Right(T),
    /// It is not, or was used.
    Wrong,
    /// It cannot be said, or not kept that it was used.
    Away,
}

impl Factors {
    /// Opens the file.
    pub fn new(settings: FactorSettings) -> Result<Self, FileError> {
        let FactorSettings { required, groups, file, issuer } = settings;
        Ok(Self { required, groups, issuer, file: EnrolmentFile::open(file)? })
    }

    /// What authenticators call this place.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What is wanted of somebody; `None` where that cannot be said.
    pub fn wanted(&self, identity: &Identity) -> Option<Wanted> {
        match self.file.get(identity.user()) {
            Ok(Some(_)) => Some(Wanted::Code),
            Ok(None) if self.required || self.groups.iter().any(|group| identity.is_in(group)) => {
                Some(Wanted::Enrolment)
            }
            Ok(None) => Some(Wanted::Nothing),
            Err(error) => failed(&error),
        }
    }

    /// The enrolment of somebody who has one; `None` where that cannot be said.
    pub fn enrolment(&self, keys: &Keys, user: &str) -> Option<Option<Enrolment>> {
        match self.file.get(user) {
            Ok(Some(sealed)) => opened(keys, user, &sealed).map(Some),
            Ok(None) => Some(None),
            Err(error) => failed(&error),
        }
    }

    /// Enrols somebody who has no second factor yet, by a first code. Goes out: recovery codes.
    pub fn enrol(
        &self,
        keys: &Keys,
        user: &str,
        secret: Secret,
        code: &str,
        now: Timestamp,
    ) -> Verdict<Codes> {
        let Some((enrolment, codes)) = Enrolment::confirmed(secret, code, now) else { return Verdict::Wrong };
        let kept = sealed(keys, user, &enrolment);
        // Somebody who has enrolled meanwhile keeps what they have.
        let changed = self.file.change(user, now, |before| before.is_none().then_some((Some(kept), ())));
        match changed {
            Ok(Some(())) => Verdict::Right(codes),
            Ok(None) => Verdict::Wrong,
            Err(error) => failed(&error).unwrap_or(Verdict::Away),
        }
    }

    /// Uses a code.
    pub fn use_code(&self, keys: &Keys, user: &str, code: &str, now: Timestamp) -> Verdict<()> {
        self.used(keys, user, code, now, |after| (Some(after), ()))
    }

    /// Uses a code to take the second factor away.
    pub fn remove(&self, keys: &Keys, user: &str, code: &str, now: Timestamp) -> Verdict<()> {
        self.used(keys, user, code, now, |_| (None, ()))
    }

    /// Uses a code to have other recovery codes.
    pub fn renew(&self, keys: &Keys, user: &str, code: &str, now: Timestamp) -> Verdict<Codes> {
        self.used(keys, user, code, now, |after| {
            let (after, codes) = after.with_fresh_codes();
            (Some(after), codes)
        })
    }

    /// Uses a code, and keeps what becomes of the enrolment then.
    fn used<T>(
        &self,
        keys: &Keys,
        user: &str,
        code: &str,
        now: Timestamp,
        then: impl FnOnce(Enrolment) -> (Option<Enrolment>, T),
    ) -> Verdict<T> {
        let mut unreadable = false;
        let changed = self.file.change(user, now, |kept| {
            let Some(enrolment) = opened(keys, user, kept?) else {
                unreadable = true;
                return None;
            };
            let (left, told) = then(enrolment.after(code, now)?);
            Some((left.map(|left| sealed(keys, user, &left)), told))
        });
        match changed {
            Ok(Some(told)) => Verdict::Right(told),
            Ok(None) if unreadable => Verdict::Away,
            Ok(None) => Verdict::Wrong,
            Err(error) => failed(&error).unwrap_or(Verdict::Away),
        }
    }
}

/// What an enrolment is bound to: it is of no use under another name.
fn bound(user: &str) -> [&[u8]; 2] {
    [b"second factor", user.as_bytes()]
}

fn sealed(keys: &Keys, user: &str, enrolment: &Enrolment) -> String {
    STANDARD_NO_PAD.encode(keys.hide(&bound(user), &enrolment.bytes()))
}

fn opened(keys: &Keys, user: &str, sealed: &str) -> Option<Enrolment> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok();
    let plain = bytes.and_then(|bytes| keys.reveal(&bound(user), &bytes));
    let enrolment = plain.and_then(|plain| Enrolment::from_bytes(&plain));
    if enrolment.is_none() {
        tracing::error!(
            user,
            "the second factor cannot be read with the present keys: put the old key back, or take it out with \
             `cloakroom users totp-reset`"
        );
    }
    enrolment
}

fn failed<T>(error: &FileError) -> Option<T> {
    tracing::error!("second factors cannot be read or kept: {error}");
    None
}
