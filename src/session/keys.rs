//! Keys: what makes a ticket ours.
//!
//! Comes in: the configured secrets. Goes out: cookie values and form tokens that only their holder can make, the
//! judgement on those that come back, and keys to seal with. The first key signs, all verify. One key per purpose is
//! derived from each secret (HKDF-SHA256, RFC 5869); every MAC input is length-prefixed; every comparison takes constant
//! time. Never prints a key.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest as sha};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::session::id::{Digest, SessionId};
use crate::session::settings::Key;

pub mod sealing;

use sealing::{NONCE_LENGTH, Sealing, TAG_LENGTH};

/// Length of a cookie value: 32 bytes of id and 16 of MAC, in base64url.
pub const VALUE_LENGTH: usize = 64;

const MAC_LENGTH: usize = 16;

/// All keys, derived and ready.
pub struct Keys {
    signing: Vec<Derived>,
    session: Arc<Sealing>,
    snapshot: Sealing,
    login: Sealing,
}

struct Derived {
    cookie: hmac::Key,
    form: hmac::Key,
    name: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// Derives the keys of each purpose.
    ///
    /// # Panics
    /// Without a single key: the configuration makes one where none is given.
    pub fn new(keys: &[Key]) -> Self {
        assert!(!keys.is_empty(), "there is always a key to sign with");
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"cloakroom/1");
        let secrets: Vec<_> = keys.iter().map(|key| salt.extract(key.secret.expose_secret())).collect();
        Self {
            signing: secrets.iter().map(Derived::new).collect(),
            session: Arc::new(Sealing::new(&secrets, b"cloakroom/1 sealed session")),
            snapshot: Sealing::new(&secrets, b"cloakroom/1 snapshot"),
            login: Sealing::new(&secrets, b"cloakroom/1 login"),
        }
    }

    /// Hides what a login method keeps outside this process, bound to what it is and whose: `nonce ‖ sealed ‖ tag`.
    pub fn hide(&self, bound: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).expect("the operating system's generator works once the system is up");
        let mut text = plain.to_vec();
        let tag = self.login.first().seal(nonce, &prefixed(bound), &mut text);
        [&nonce[..], &text, &tag].concat()
    }

    /// What was hidden, if one of our keys did it, bound to the same, and nothing was changed.
    pub fn reveal(&self, bound: &[&[u8]], hidden: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = hidden.split_first_chunk::<NONCE_LENGTH>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LENGTH>()?;
        let bound = prefixed(bound);
        let mut plain = Zeroizing::new(vec![0; sealed.len()]);
        let opened =
            self.login.all().any(|key| key.open(*nonce, &bound, (sealed, tag), &mut plain).is_some());
        opened.then_some(plain)
    }

    /// What seals sessions that are kept in cookies.
    pub(in crate::session) fn session(&self) -> &Arc<Sealing> {
        &self.session
    }

    /// What seals the file that sessions wait in while the gateway is down.
    pub(in crate::session) fn snapshot(&self) -> &Sealing {
        &self.snapshot
    }

    /// The same as text (base64url), to travel with somebody.
    pub fn conceal(&self, bound: &[&[u8]], plain: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.hide(bound, plain))
    }

    /// What was concealed, on the terms of [`Keys::reveal`].
    pub fn disclose(&self, bound: &[&[u8]], concealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.reveal(bound, &URL_SAFE_NO_PAD.decode(concealed).ok()?)
    }

    /// The cookie value for an id: `base64url(id ‖ MAC(id))`, always [`VALUE_LENGTH`] characters.
    pub(in crate::session) fn seal(&self, id: &SessionId) -> String {
        let mut plain = [0; SessionId::LENGTH + MAC_LENGTH];
        plain[..SessionId::LENGTH].copy_from_slice(id.bytes());
        let tag = mac(&self.signing[0].cookie, &[id.bytes()]);
        plain[SessionId::LENGTH..].copy_from_slice(&tag.as_ref()[..MAC_LENGTH]);
        URL_SAFE_NO_PAD.encode(plain)
    }

    /// The id in a cookie value, if one of our keys made it.
    pub(in crate::session) fn open(&self, value: &[u8; VALUE_LENGTH]) -> Option<SessionId> {
        let plain = decode(value)?;
        let (id, shown) = plain.split_first_chunk::<{ SessionId::LENGTH }>()?;
        let ours = self.signing.iter().any(|key| {
            let tag = mac(&key.cookie, &[id]);
            verify_slices_are_equal(&tag.as_ref()[..MAC_LENGTH], shown).is_ok()
        });
        ours.then(|| SessionId::verified(*id))
    }

    /// A token for a form, bound to `parts`: what the form does and for whom.
    pub fn token(&self, parts: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.signing[0].form, parts))
    }

    /// What stands for a session where it is not to be shown itself: 22 characters, another one for each `place`.
    ///
    /// Half of `SHA-256(key ‖ digest ‖ place)`: a hash that begins with a secret of a fixed length and gives only half of
    /// itself away is as good as an HMAC, and takes a fraction of the time.
    pub(in crate::session) fn name(&self, digest: &Digest, place: &str) -> [u8; 22] {
        let mut name = [0; 22];
        let said = Zeroizing::new([&self.signing[0].name[..], digest.bytes(), place.as_bytes()].concat());
        let written = URL_SAFE_NO_PAD.encode_slice(&sha(&SHA256, &said).as_ref()[..16], &mut name);
        written.expect("16 bytes are 22 characters");
        name
    }

    /// Whether `token` is one of ours, bound to the same `parts`.
    pub fn knows(&self, token: &str, parts: &[&[u8]]) -> bool {
        let Ok(shown) = URL_SAFE_NO_PAD.decode(token) else { return false };
        self.signing.iter().any(|key| verify_slices_are_equal(mac(&key.form, parts).as_ref(), &shown).is_ok())
    }
}

impl Derived {
    fn new(secret: &hkdf::Prk) -> Self {
        let derive = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            let purpose = [purpose];
            let derived = secret.expand(&purpose, hmac::HMAC_SHA256);
            let filled = derived.and_then(|derived| derived.fill(&mut *key));
            filled.expect("32 bytes are within what HKDF gives");
            key
        };
        let to_sign = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &*derive(purpose));
        Self {
            cookie: to_sign(b"cloakroom/1 session cookie"),
            form: to_sign(b"cloakroom/1 csrf"),
            name: derive(b"cloakroom/1 session name"),
        }
    }
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

/// Parts in one piece, each with its length before it.
fn prefixed(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied()))
        .collect()
}

/// What each character of base64url stands for (RFC 4648, section 5); all others have a bit that none of these has.
const SIXES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut sixes = [0x80; 256];
    let mut six = 0;
    while six < 64 {
        sixes[alphabet[six as usize] as usize] = six;
        six += 1;
    }
    sixes
};

/// The bytes of a value whose length is known: a third of what the general decoder takes.
fn decode(value: &[u8; VALUE_LENGTH]) -> Option<[u8; VALUE_LENGTH / 4 * 3]> {
    let mut plain = [0; VALUE_LENGTH / 4 * 3];
    let mut seen = 0;
    for (four, three) in value.as_chunks::<4>().0.iter().zip(plain.as_chunks_mut::<3>().0) {
        let six = |at: usize| SIXES[usize::from(four[at])];
        let (a, b, c, d) = (six(0), six(1), six(2), six(3));
        seen |= a | b | c | d;
        *three = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    }
    (seen < 64).then_some(plain)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} of them)", self.signing.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;

    fn key(byte: u8) -> Key {
        Key { id: format!("k{byte}"), secret: SecretBox::new(vec![byte; 32].into_boxed_slice()) }
    }

    fn value(keys: &Keys, id: &SessionId) -> [u8; VALUE_LENGTH] {
        keys.seal(id).into_bytes().try_into().expect("64 characters")
    }

    #[test]
    fn the_first_key_signs_all_verify_and_a_removed_key_is_forgotten() {
        let id = SessionId::mint();
        let (old, both, new) = (Keys::new(&[key(1)]), Keys::new(&[key(2), key(1)]), Keys::new(&[key(2)]));
        let of_old = value(&old, &id);
        assert!(both.open(&of_old).is_some_and(|opened| opened.digest() == id.digest()));
        assert!(new.open(&of_old).is_none());
        assert_eq!(value(&both, &id), value(&new, &id));
    }

    #[test]
    fn a_cookie_value_with_any_bit_changed_is_not_ours() {
        let keys = Keys::new(&[key(1)]);
        let good = value(&keys, &SessionId::mint());
        for at in 0..VALUE_LENGTH {
            let mut bad = good;
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            assert!(keys.open(&bad).is_none(), "character {at}");
        }
        assert!(keys.open(&[b'='; VALUE_LENGTH]).is_none());
        assert!(keys.open(&[0xff; VALUE_LENGTH]).is_none());
    }

    proptest! {
        #[test]
        fn values_are_read_as_the_general_decoder_reads_them(bytes: [u8; 48], at in 0..VALUE_LENGTH, byte: u8) {
            let mut value: [u8; VALUE_LENGTH] = URL_SAFE_NO_PAD.encode(bytes).into_bytes().try_into().expect("64");
            prop_assert_eq!(decode(&value), Some(bytes));
            value[at] = byte;
            prop_assert_eq!(decode(&value).map(Vec::from), URL_SAFE_NO_PAD.decode(value).ok());
        }
    }

    #[test]
    fn a_token_is_bound_to_its_parts_and_where_they_end() {
        let keys = Keys::new(&[key(1)]);
        let token = keys.token(&[b"logout", b"ab", b"c"]);
        assert!(keys.knows(&token, &[b"logout", b"ab", b"c"]));
        assert!(!keys.knows(&token, &[b"logout", b"a", b"bc"]));
        assert!(!keys.knows(&token, &[b"logout", b"abc"]));
        assert!(!keys.knows(&token[1..], &[b"logout", b"ab", b"c"]));
        assert!(!keys.knows("", &[]));
    }

    #[test]
    fn a_name_stands_for_one_session_at_one_place_and_belongs_to_the_first_key() {
        let (digest, other) = (SessionId::mint().digest(), SessionId::mint().digest());
        let (old, both, new) = (Keys::new(&[key(1)]), Keys::new(&[key(2), key(1)]), Keys::new(&[key(2)]));
        let names = [
            old.name(&digest, "app"),
            old.name(&other, "app"),
            old.name(&digest, "wiki"),
            old.name(&digest, ""),
            new.name(&digest, "app"),
        ];
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert_eq!(both.name(&digest, "app"), new.name(&digest, "app"));
        assert!(URL_SAFE_NO_PAD.decode(names[0]).is_ok_and(|name| name.len() == 16));
    }

    #[test]
    fn what_is_hidden_is_bound_and_any_key_reveals_it() {
        let (old, both) = (Keys::new(&[key(1)]), Keys::new(&[key(2), key(1)]));
        let hidden = old.hide(&[b"factor", b"alice"], b"a secret");
        assert_eq!(both.reveal(&[b"factor", b"alice"], &hidden).as_deref(), Some(&b"a secret".to_vec()));
        assert!(both.reveal(&[b"factor", b"bob"], &hidden).is_none());
        assert!(both.reveal(&[b"facto", b"ralice"], &hidden).is_none());
        assert!(Keys::new(&[key(2)]).reveal(&[b"factor", b"alice"], &hidden).is_none());
        assert!(old.reveal(&[b"factor", b"alice"], &hidden[1..]).is_none());
        assert!(old.reveal(&[], &[0; 27]).is_none());
    }

    #[test]
    fn cookie_and_form_are_signed_with_different_keys() {
        let keys = Keys::new(&[key(1)]);
        let id = SessionId::mint();
        let form = URL_SAFE_NO_PAD.decode(keys.token(&[id.bytes()])).expect("base64url");
        let cookie = URL_SAFE_NO_PAD.decode(keys.seal(&id)).expect("base64url");
        assert_ne!(form[..MAC_LENGTH], cookie[SessionId::LENGTH..]);
        assert_eq!(format!("{keys:?}"), "Keys(1 of them)");
    }
}
