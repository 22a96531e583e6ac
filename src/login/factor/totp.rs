//! TOTP: codes that follow from a secret and the time.
//!
//! Comes in: a secret, a code as typed, and the time. Goes out: the step of time the code belongs to. HMAC-SHA-1, six digits,
//! thirty seconds (RFC 6238 with the values that every authenticator knows); one step either way is allowed for clocks that
//! differ. Never prints a secret.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

/// Seconds that a code stands for.
const PERIOD: u64 = 30;

/// Digits of a code.
const DIGITS: usize = 6;

/// Bytes of a secret (RFC 4226, section 4, R6: 160 bits are recommended).
pub const SECRET_LENGTH: usize = 20;

/// RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What an authenticator and the gateway share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; SECRET_LENGTH]>);

impl Secret {
    /// A new one.
    pub fn fresh() -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_LENGTH]);
        getrandom::fill(&mut *bytes).expect("the operating system's generator works once the system is up");
        Self(bytes)
    }

    /// One that was written down.
    pub fn from_base32(text: &str) -> Option<Self> {
        let bytes: Zeroizing<[u8; SECRET_LENGTH]> =
            Zeroizing::new(base32_decode(text)?.as_slice().try_into().ok()?);
        Some(Self(bytes))
    }

    /// As authenticators take it: 32 letters and digits.
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(base32_encode(&*self.0))
    }

    /// What a QR code says to an authenticator, for the account `user` at `issuer`.
    pub fn url(&self, issuer: &str, user: &str) -> Zeroizing<String> {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let (issuer, user) =
            (utf8_percent_encode(issuer, NON_ALPHANUMERIC), utf8_percent_encode(user, NON_ALPHANUMERIC));
        let secret = self.base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD}",
            *secret
        ))
    }

    /// The step of time that a code is right for, if it is one of now, the one before or the one after, and later than
    /// `after`: a code that was used, and all before it, are right no more.
    pub fn step_of(&self, code: &str, after: u64, now: Timestamp) -> Option<u64> {
        let present = now.unix_seconds() / PERIOD;
        let steps = present.saturating_sub(1)..=present.saturating_add(1);
        let mut right = None;
        for step in steps {
            let is_it = verify_slices_are_equal(self.code(step).as_bytes(), code.as_bytes()).is_ok();
            if is_it && step > after {
                right = Some(step);
            }
        }
        right
    }

    /// The code of this moment, as an authenticator shows it.
    pub fn code_at(&self, now: Timestamp) -> Zeroizing<String> {
        self.code(now.unix_seconds() / PERIOD)
    }

    /// The code of one step (RFC 4226, section 5.3).
    fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &*self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let offset = usize::from(bytes[bytes.len() - 1] & 0x0f);
        let four = bytes[offset..].first_chunk().expect("the offset is at most 15, and a tag 20 bytes long");
        let number = (u32::from_be_bytes(*four) & 0x7fff_ffff) % 1_000_000;
        Zeroizing::new(format!("{number:06}"))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether this may be a code: six digits, and nothing else.
pub fn is_code(typed: &str) -> bool {
    typed.len() == DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit())
}

/// Bytes as letters and digits, without padding.
pub(super) fn base32_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut kept, mut bits) = (0_u32, 0);
    for byte in bytes {
        (kept, bits) = (kept << 8 | u32::from(*byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[(kept >> bits & 31) as usize]));
        }
        kept &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(BASE32[(kept << (5 - bits) & 31) as usize]));
    }
    text
}

fn base32_decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    let (mut kept, mut bits) = (0_u32, 0);
    for letter in text.bytes() {
        let five = BASE32.iter().position(|known| *known == letter)?;
        (kept, bits) = (kept << 5 | u32::try_from(five).ok()?, bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push((kept >> bits & 0xff) as u8);
        }
        kept &= (1 << bits) - 1;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_the_rfc() -> Secret {
        Secret(Zeroizing::new(*b"12345678901234567890"))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1000)
    }

    #[test]
    fn the_vectors_of_rfc_6238_come_out() {
        // Appendix B has eight digits; six are their end.
        for (seconds, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(*of_the_rfc().code(seconds / 30), eight[2..], "{seconds}");
        }
    }

    #[test]
    fn one_step_either_way_is_allowed_and_none_that_was_used() {
        let (secret, now) = (of_the_rfc(), at(1_111_111_109));
        let present = 1_111_111_109_u64 / 30;
        for (step, right) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let step = present.saturating_add_signed(step);
            let found = secret.step_of(&secret.code(step), 0, now);
            assert_eq!(found, right.then_some(step), "{step}");
        }
        let code = secret.code(present);
        assert_eq!(secret.step_of(&code, present, now), None, "used");
        assert_eq!(secret.step_of(&secret.code(present - 1), present, now), None, "older than the used one");
        assert_eq!(secret.step_of(&secret.code(present + 1), present, now), Some(present + 1));
        for wrong in ["", "000000", "0708180", "07081804", "081804 "] {
            assert_eq!(secret.step_of(wrong, 0, now), None, "{wrong:?}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (plain, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32_encode(plain.as_bytes()), text);
            assert_eq!(base32_decode(text).expect("valid").as_slice(), plain.as_bytes());
        }
        assert!(base32_decode("MZ1").is_none());
        let secret = Secret::fresh();
        assert!(Secret::from_base32(&secret.base32()).is_some_and(|same| same == secret));
        assert!(Secret::from_base32("MZXW6").is_none());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn authenticators_are_told_everything() {
        let url = of_the_rfc().url("Example & Co", "김철수");
        assert_eq!(
            *url,
            "otpauth://totp/Example%20%26%20Co:%EA%B9%80%EC%B2%A0%EC%88%98?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Example%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }
}
