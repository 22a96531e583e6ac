//! Sealing: keys that hide what they vouch for.
//!
//! Comes in: bytes to hide, a nonce, and what they are bound to. Goes out: the same bytes, unreadable and with a tag, or
//! back again if the same key did it and nothing was changed. AES-256-GCM-SIV (RFC 8452): a nonce that is used twice by
//! accident, as after a virtual machine was copied, tells no more than that two texts are equal. Never prints a key.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce};
use aws_lc_rs::hkdf;

/// Length of a tag.
pub const TAG_LENGTH: usize = 16;

/// Length of a nonce.
pub const NONCE_LENGTH: usize = 12;

/// The keys of one purpose: the first seals, all open.
pub struct Sealing(Vec<SealingKey>);

impl Sealing {
    /// One key of each secret.
    pub(in crate::session) fn new(secrets: &[hkdf::Prk], purpose: &[u8]) -> Self {
        Self(secrets.iter().map(|secret| SealingKey::new(secret, purpose)).collect())
    }

    /// The key that seals.
    pub(in crate::session) fn first(&self) -> &SealingKey {
        self.0.first().expect("there is always a key to seal with")
    }

    /// All keys that may have sealed.
    pub(in crate::session) fn all(&self) -> impl Iterator<Item = &SealingKey> {
        self.0.iter()
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({} keys)", self.0.len())
    }
}

/// One of them.
pub(in crate::session) struct SealingKey(LessSafeKey);

impl SealingKey {
    fn new(secret: &hkdf::Prk, purpose: &[u8]) -> Self {
        let purpose = [purpose];
        let derived = secret.expand(&purpose, &AES_256_GCM_SIV);
        let derived = derived.expect("32 bytes are within what HKDF gives");
        Self(LessSafeKey::new(derived.into()))
    }

    /// Makes `text` unreadable, and answers with the tag that vouches for it and for `bound`.
    pub(in crate::session) fn seal(
        &self,
        nonce: [u8; NONCE_LENGTH],
        bound: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bound), text);
        let tag = tag.expect("a text in memory is shorter than the cipher's limit");
        tag.as_ref().try_into().expect("a tag is 16 bytes long")
    }

    /// Writes to `plain`, which is as long as `sealed`, what [`SealingKey::seal`] of the same key hid. `None` where
    /// anything differs; then `plain` means nothing.
    pub(in crate::session) fn open(
        &self,
        nonce: [u8; NONCE_LENGTH],
        bound: &[u8],
        (sealed, tag): (&[u8], &[u8; TAG_LENGTH]),
        plain: &mut [u8],
    ) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_separate_gather(nonce, Aad::from(bound), sealed, tag, plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> hkdf::Prk {
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"test").extract(&[byte; 32])
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, both) = (Sealing::new(&[secret(1)], b"a"), Sealing::new(&[secret(2), secret(1)], b"a"));
        let other_purpose = Sealing::new(&[secret(1)], b"b");
        let mut text = *b"a coat";
        let tag = old.first().seal([7; 12], b"bound", &mut text);
        assert_ne!(&text, b"a coat");
        let opens = |keys: &Sealing, nonce, bound: &[u8]| {
            keys.all().any(|key| {
                let mut plain = [0; 6];
                key.open(nonce, bound, (&text, &tag), &mut plain).is_some_and(|()| plain == *b"a coat")
            })
        };
        assert!(opens(&old, [7; 12], b"bound") && opens(&both, [7; 12], b"bound"));
        assert!(!opens(&other_purpose, [7; 12], b"bound"));
        assert!(!opens(&old, [8; 12], b"bound"), "another nonce");
        assert!(!opens(&old, [7; 12], b"bounds"), "bound to something else");
        assert_eq!(format!("{both:?}"), "Sealing(2 keys)");
    }
}
