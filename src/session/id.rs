//! Id: the number on the ticket, and the digests that stand for it everywhere else.
//!
//! Comes in: randomness of the operating system, or bytes whose MAC was verified. Goes out: a [`SessionId`], which only
//! the cookie carries; its [`Digest`], under which the session is kept for as long as it lives; and its [`Proof`], which
//! changes whenever the session goes on under a new id. Never printed, never chosen by a caller.
//!
//! An id has two halves of 128 random bits. The first finds the session, the second proves that this is its id of today:
//! one of ours that finds a session and does not prove itself was replaced, so nobody has to remember ids that were.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest as sha};

/// 256 bits from the operating system's generator. Whoever knows it holds the session.
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// A new id, for a new session. Nobody outside can make one.
    pub(in crate::session) fn mint() -> Self {
        Self(random())
    }

    /// Another id for the same session.
    pub(in crate::session) fn renewed(&self) -> Self {
        let (mut id, fresh) = (self.0, random::<16>());
        id[16..].copy_from_slice(&fresh);
        Self(id)
    }

    /// An id that came back in a cookie and whose MAC was right.
    pub(in crate::session) fn verified(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// For the cookie, and for nothing else.
    pub(in crate::session) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The key under which stores keep the session, whatever id it has just now.
    pub fn digest(&self) -> Digest {
        Digest(leading(sha(&SHA256, &self.0[..16]).as_ref()))
    }

    /// What proves that an id is the session's present one.
    pub fn proof(&self) -> Proof {
        Proof(u64::from_be_bytes(leading(sha(&SHA256, &self.0[16..]).as_ref())))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// The first 16 bytes of the SHA-256 of the id's first half: a store that leaks gives no ticket away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// A digest as a store or an operator gives it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A digest from its 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = whole.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    /// It in 32 hexadecimal digits: what operators and stores call the session.
    pub fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// The session as logs show it: 32 bits (8 hex digits), from a further digest.
    pub fn short(&self) -> u32 {
        u32::from_be_bytes(leading(sha(&SHA256, &self.0).as_ref()))
    }

    /// The bytes, as input for a MAC or as a key of a store.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:08x})", self.short())
    }
}

/// The first 64 bits of the SHA-256 of the id's second half. It is compared only after the MAC was right: what is told
/// apart here are ids of our own making.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proof(u64);

impl Proof {
    /// A proof as a store gives it back.
    pub(in crate::session) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits, to be kept.
    pub(in crate::session) const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(…)")
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
    bytes
}

fn leading<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("a SHA-256 is 32 bytes long")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_thousand_ids_are_unique_and_evenly_spread() {
        let ids: Vec<_> = (0..10_000).map(|_| SessionId::mint()).collect();
        assert_eq!(ids.iter().map(SessionId::digest).collect::<HashSet<_>>().len(), 10_000);
        assert_eq!(ids.iter().map(SessionId::proof).collect::<HashSet<_>>().len(), 10_000);

        let mut seen = [0_f64; 256];
        for byte in ids.iter().flat_map(|id| id.0) {
            seen[usize::from(byte)] += 1.0;
        }
        let expected = 10_000.0 * 32.0 / 256.0;
        let chi_square: f64 = seen.iter().map(|count| (count - expected).powi(2) / expected).sum();
        assert!((120.0..430.0).contains(&chi_square), "255 degrees of freedom, got {chi_square}");
    }

    #[test]
    fn a_renewed_id_finds_the_same_session_and_proves_something_else() {
        let id = SessionId::mint();
        let next = id.renewed();
        assert_eq!(id.digest(), next.digest());
        assert_ne!(id.proof(), next.proof());
    }

    #[test]
    fn a_digest_is_read_from_its_hexadecimal_digits_and_nothing_else() {
        let digest = Digest::from_bytes(*b"\0\x01\xab 0123456789z@");
        assert_eq!(digest.to_hex(), "0001ab20303132333435363738397a40");
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex("0001AB20303132333435363738397A40"), Some(digest));
        for other in ["", "0", "+001ab20303132333435363738397a40", "0001ab20303132333435363738397a400"] {
            assert_eq!(Digest::from_hex(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_shows_nothing_of_itself() {
        let id = SessionId::verified([0xab; 32]);
        assert_eq!(format!("{id:?}"), "SessionId(…)");
        let shown = format!("{:?}", id.digest());
        assert_eq!(shown, format!("Digest({:08x})", id.digest().short()));
        let key = id.digest().to_hex();
        assert!(!key.starts_with(&shown[7..15]), "the log's digits are no part of the store's key");
    }
}
