//! Enrolment: one person's second factor.
//!
//! Comes in: a code as typed. Goes out: whether it is right, and the enrolment as it is from then on: no code is right twice.
//! Recovery codes are kept as digests only. Never prints a secret.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::totp::{Secret, base32_encode, is_code};
use crate::clock::Timestamp;

/// So many recovery codes are handed out at once.
const CODES: usize = 10;

/// Random bytes of a recovery code: ten letters and digits, more than can be guessed before the throttle.
const CODE_LENGTH: usize = 6;

/// A second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    secret: Secret,
    /// The step of time of the last code that was used.
    used: u64,
    /// Digests of the recovery codes that are left.
    codes: Vec<String>,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    secret: Zeroizing<String>,
    used: u64,
    codes: Vec<String>,
}

/// Recovery codes, to be shown once.
pub type Codes = Vec<Zeroizing<String>>;

impl Enrolment {
    /// A new one, proved by a first code; with its recovery codes.
    pub fn confirmed(secret: Secret, code: &str, now: Timestamp) -> Option<(Self, Codes)> {
        let used = secret.step_of(&typed(code), 0, now)?;
        let (shown, codes) = fresh_codes();
        Some((Self { secret, used, codes }, shown))
    }

    /// The enrolment after a code of the authenticator, or a recovery code, was used; `None` where it is not right.
    pub fn after(&self, code: &str, now: Timestamp) -> Option<Self> {
        let code = typed(code);
        if is_code(&code) {
            let used = self.secret.step_of(&code, self.used, now)?;
            return Some(Self { used, ..self.clone() });
        }
        let shown = digest_of(&code);
        let same = |kept: &String| verify_slices_are_equal(kept.as_bytes(), shown.as_bytes()).is_ok();
        let at = self.codes.iter().position(same)?;
        let mut after = self.clone();
        after.codes.remove(at);
        Some(after)
    }

    /// The same with other recovery codes; those before are right no more.
    pub fn with_fresh_codes(&self) -> (Self, Codes) {
        let (shown, codes) = fresh_codes();
        (Self { codes, ..self.clone() }, shown)
    }

    /// How many recovery codes are left.
    pub fn codes_left(&self) -> usize {
        self.codes.len()
    }

    /// As bytes, to be sealed.
    pub(super) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let written = Written { secret: self.secret.base32(), used: self.used, codes: self.codes.clone() };
        Zeroizing::new(serde_json::to_vec(&written).expect("texts and a number can be written"))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Written { secret, used, codes } = serde_json::from_slice(bytes).ok()?;
        Some(Self { secret: Secret::from_base32(&secret)?, used, codes })
    }
}

/// A code without what people put between its letters.
fn typed(code: &str) -> Zeroizing<String> {
    let plain = code.chars().filter(char::is_ascii_alphanumeric).take(64);
    Zeroizing::new(plain.collect::<String>().to_ascii_uppercase())
}

/// Codes as they are shown, in two groups, and their digests.
fn fresh_codes() -> (Codes, Vec<String>) {
    (0..CODES)
        .map(|_| {
            let mut bytes = Zeroizing::new([0; CODE_LENGTH]);
            getrandom::fill(&mut *bytes)
                .expect("the operating system's generator works once the system is up");
            let code = Zeroizing::new(base32_encode(&*bytes));
            let (first, second) = code.split_at(5);
            (Zeroizing::new(format!("{first}-{second}")), digest_of(&code))
        })
        .unzip()
}

/// What is kept of a recovery code. It is random and is sealed besides, so that this needs no slow hash.
fn digest_of(code: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, code.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    fn code(secret: &Secret, at: Timestamp) -> String {
        secret.code_at(at).to_string()
    }

    #[test]
    fn a_code_of_the_authenticator_is_right_once() {
        let secret = Secret::fresh();
        let first = code(&secret, NOW);
        assert!(Enrolment::confirmed(secret.clone(), "12345", NOW).is_none());
        let (enrolment, _) = Enrolment::confirmed(secret, &first, NOW).expect("right");
        assert_eq!(enrolment.after(&first, NOW), None, "it has confirmed the enrolment");
    }

    #[test]
    fn each_recovery_code_is_right_once_however_it_is_typed() {
        let secret = Secret::fresh();
        let first = code(&secret, NOW);
        let (enrolment, codes) = Enrolment::confirmed(secret, &first, NOW).expect("right");
        assert_eq!((codes.len(), enrolment.codes_left()), (10, 10));
        let lower = codes[3].to_lowercase().replace('-', " ");
        let after = enrolment.after(&lower, NOW).expect("right");
        assert_eq!(after.codes_left(), 9);
        assert_eq!(after.after(&codes[3], NOW), None);
        assert!(after.after(&codes[4], NOW).is_some());
        let (renewed, others) = after.with_fresh_codes();
        assert_eq!(renewed.after(&codes[4], NOW), None);
        assert!(renewed.after(&others[0], NOW).is_some());
        assert_eq!(enrolment.after("", NOW), None);
    }

    #[test]
    fn what_is_written_is_read_and_holds_no_recovery_code() {
        let secret = Secret::fresh();
        let first = code(&secret, NOW);
        let (enrolment, codes) = Enrolment::confirmed(secret, &first, NOW).expect("right");
        let bytes = enrolment.bytes();
        assert_eq!(Enrolment::from_bytes(&bytes).as_ref(), Some(&enrolment));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(codes.iter().all(|code| !text.contains(&**code) && !text.contains(&code.replace('-', ""))));
        assert_eq!(Enrolment::from_bytes(b"{}"), None);
    }
}
