//! Format: the signed text that Django makes of a session.
//!
//! Comes in: a value from a database, a file or a cookie, which anybody may have written. Goes out: what was signed, and
//! when, if one of the site's secrets signed it. Every comparison takes constant time, and every secret is tried. Never
//! unpacks what is not signed, nor more than [`LONGEST`] bytes.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Timestamp;

/// The most that a session may hold, in bytes of JSON.
pub const LONGEST: usize = 1 << 20;

/// The salt of sessions in databases and files: the module and the name of the class, which are the same for all three.
pub const STORED: &str = "django.contrib.sessions.SessionStore";

/// The salt of sessions in cookies.
pub const IN_COOKIE: &str = "django.contrib.sessions.backends.signed_cookies";

const USER_HASH: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// Why a value is not a session of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No secret of the site made its signature.
    #[error("it is not signed with a secret of the site")]
    Signature,
    /// Signed, and still not what Django writes.
    #[error("it is signed, but not in the format of Django 3.1 or later")]
    Format,
    /// Signed, and larger than any session should be.
    #[error("it holds more than 1 MiB")]
    TooLong,
    /// Unpacked, and its content is of another kind.
    #[error("its content is not that of a session in JSON")]
    Content,
}

/// The key of a session in a database or a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey<'a>(&'a str);

impl<'a> SessionKey<'a> {
    /// 32 to 40 lower-case letters and digits: Django makes 32, and its table has room for 40. All else is nobody's, and
    /// goes into neither a query nor a path.
    pub fn parse(value: &'a str) -> Option<Self> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        ((32..=40).contains(&value.len()) && value.bytes().all(inner)).then_some(Self(value))
    }

    /// As it stands in the cookie.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for SessionKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey")
    }
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The content, unpacked.
    pub content: Vec<u8>,
    /// When it was signed.
    pub signed: Timestamp,
}

/// The site's secrets, made into keys for one purpose: the present one first.
pub struct Keys(Vec<hmac::Key>);

impl Keys {
    /// For signed values with this salt.
    pub fn signing(secrets: &[SecretString], salt: &str) -> Self {
        Self::derive(secrets, &[salt, "signer"])
    }

    /// For what a login was proved with.
    pub fn of_users(secrets: &[SecretString]) -> Self {
        Self::derive(secrets, &[USER_HASH])
    }

    fn derive(secrets: &[SecretString], purpose: &[&str]) -> Self {
        let key = |secret: &SecretString| {
            let mut hash = digest::Context::new(&digest::SHA256);
            purpose.iter().for_each(|part| hash.update(part.as_bytes()));
            hash.update(secret.expose_secret().as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, hash.finish().as_ref())
        };
        Self(secrets.iter().map(key).collect())
    }

    /// Opens `body:time:signature`.
    pub fn open(&self, value: &str) -> Result<Opened, Unreadable> {
        let (message, signature) = value.rsplit_once(':').ok_or(Unreadable::Signature)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unreadable::Signature)?;
        if !self.made(message.as_bytes(), &signature) {
            return Err(Unreadable::Signature);
        }
        let (body, time) = message.rsplit_once(':').ok_or(Unreadable::Format)?;
        let signed = seconds(time).ok_or(Unreadable::Format)?;
        Ok(Opened {
            content: unpack(body)?,
            signed: Timestamp::from_unix_millis(signed.saturating_mul(1000)),
        })
    }

    /// Whether `shown`, from a session, was made from the user's password as the database has it now.
    pub fn fits(&self, password: &str, shown: &str) -> bool {
        unhex(shown).is_some_and(|tag| self.made(password.as_bytes(), &tag))
    }

    fn made(&self, message: &[u8], tag: &[u8]) -> bool {
        self.0.iter().any(|key| hmac::verify(key, message, tag).is_ok())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keys({} of them)", self.0.len())
    }
}

/// base64url; after a dot, of zlib.
fn unpack(body: &str) -> Result<Vec<u8>, Unreadable> {
    let (packed, body) = body.strip_prefix('.').map_or((false, body), |rest| (true, rest));
    let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| Unreadable::Format)?;
    if !packed {
        return if bytes.len() <= LONGEST { Ok(bytes) } else { Err(Unreadable::TooLong) };
    }
    decompress_to_vec_zlib_with_limit(&bytes, LONGEST).map_err(|error| match error.status {
        miniz_oxide::inflate::TINFLStatus::HasMoreOutput => Unreadable::TooLong,
        _ => Unreadable::Format,
    })
}

/// A number in base 62: digits, then upper case, then lower case.
fn seconds(text: &str) -> Option<u64> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    let step = |number: u64, byte| number.checked_mul(62)?.checked_add(u64::from(digit(byte)?));
    if text.is_empty() { None } else { text.bytes().try_fold(0, step) }
}

/// 32 bytes from lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by Django 5.2 with this secret at 2026-01-01T00:00:00Z.
    const SECRET: &str = "test-secret-key-0123456789-abcdefghijklmnopqrstuvwxyz";
    const SIGNED: Timestamp = Timestamp::from_unix_millis(1_767_225_600_000);
    const PASSWORD: &str =
        "pbkdf2_sha256$1000000$abcdefghijklmnopqrstuv$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g=";
    const HASH: &str = "7c42d188a982ff861288d89dee681e0eab21d1d21e35f7a406ced965b3d57f89";
    const SMALL: &str = "eyJhIjoxfQ:1vb66i:HArqcfhj3FC082WZEQiyrJ0nQb6mKVbE0Ylpjo2xOVg";
    const KOREAN: &str = "eyJ4IjoiXHVhYzAwIn0:1vb66i:58pcx4-LHHZ7GWGQ9NpJ5NBz94NoqGhY8ALNX43gb7o";
    const BODY: &str = ".eJxVjEEOwiAQRe_C2pAOLTC4dO8ZyMAMUjVtUtqV8e7apAvd_vfef6lI21rj1mSJI6uzAnX63RLlh0w74DtNt1nneVqXMeld0Qdt-jqzPC-H-3dQqdVv7fNgGBApoCkFHRhExsAiDkE6oWSAgQ1Ib4unoXNZODibera-YFDvD9_xN_I";
    const IN_DATABASE: &str = "1vb66i:LZMrL3Ku6dSfFpBlPH3_xjt3qlfJoN2Vsl0oHDndaRM";
    const IN_COOKIES: &str = "1vb66i:9TtQimkpPq-vJv5iJzjSvdu1pvbrpH3aAgysHfAPgKA";

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    fn stored() -> Keys {
        Keys::signing(&secrets(&[SECRET]), STORED)
    }

    /// Signs as Django does.
    fn sign(body: &str, time: &str, salt: &str) -> String {
        let message = format!("{body}:{time}");
        let tag = hmac::sign(&Keys::signing(&secrets(&[SECRET]), salt).0[0], message.as_bytes());
        format!("{message}:{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Makes a signed session of a JSON text, at [`SIGNED`].
    fn session(json: &str, salt: &str) -> String {
        sign(&URL_SAFE_NO_PAD.encode(json), "1vb66i", salt)
    }

    #[test]
    fn values_that_django_wrote_are_read() {
        let opened = stored().open(SMALL).expect("signed");
        assert_eq!((opened.content.as_slice(), opened.signed), (br#"{"a":1}"#.as_slice(), SIGNED));
        assert_eq!(stored().open(KOREAN).expect("signed").content, br#"{"x":"\uac00"}"#);
        let login = format!(
            r#"{{"_auth_user_id":"1","_auth_user_backend":"django.contrib.auth.backends.ModelBackend","_auth_user_hash":"{HASH}"}}"#
        );
        let packed = stored().open(&format!("{BODY}:{IN_DATABASE}")).expect("signed");
        assert_eq!(String::from_utf8(packed.content), Ok(login.clone()));
        let cookies = Keys::signing(&secrets(&[SECRET]), IN_COOKIE);
        let packed = cookies.open(&format!("{BODY}:{IN_COOKIES}")).expect("signed");
        assert_eq!((String::from_utf8(packed.content), packed.signed), (Ok(login), SIGNED));
    }

    #[test]
    fn our_signatures_are_those_of_django() {
        assert_eq!(session(r#"{"a":1}"#, STORED), SMALL);
    }

    #[test]
    fn a_signature_counts_only_for_its_purpose_and_its_secret() {
        let in_cookie = format!("{BODY}:{IN_COOKIES}");
        assert_eq!(stored().open(&in_cookie), Err(Unreadable::Signature));
        let others = Keys::signing(&secrets(&["another secret"]), STORED);
        assert_eq!(others.open(SMALL), Err(Unreadable::Signature));
        let with_fallback = Keys::signing(&secrets(&["another secret", SECRET]), STORED);
        assert!(with_fallback.open(SMALL).is_ok());
    }

    #[test]
    fn a_value_with_any_character_changed_is_not_signed() {
        for at in 0..SMALL.len() {
            let mut bytes = SMALL.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let value = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(stored().open(&value), Err(Unreadable::Signature), "{at}");
        }
    }

    #[test]
    fn what_is_signed_may_still_be_no_session() {
        let nothing = sign("e30", "", STORED);
        let wide = sign("e30", "zzzzzzzzzzzzzzzz", STORED);
        let negative = sign("e30", "-1", STORED);
        let not_packed = sign(".e30", "1vb66i", STORED);
        let not_encoded = sign("{}", "1vb66i", STORED);
        for value in [nothing, wide, negative, not_packed, not_encoded] {
            assert_eq!(stored().open(&value), Err(Unreadable::Format), "{value}");
        }
        let untimed = sign("e30", "1vb66i", STORED).replacen("e30:", "", 1);
        assert_eq!(stored().open(&untimed), Err(Unreadable::Signature));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; LONGEST + 1], 9);
        let bomb = sign(&format!(".{}", URL_SAFE_NO_PAD.encode(packed)), "1vb66i", STORED);
        assert!(bomb.len() < 4096);
        assert_eq!(stored().open(&bomb), Err(Unreadable::TooLong));
        let just = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; LONGEST], 9);
        let just = sign(&format!(".{}", URL_SAFE_NO_PAD.encode(just)), "1vb66i", STORED);
        assert_eq!(stored().open(&just).expect("small enough").content.len(), LONGEST);
        let plain = sign(&URL_SAFE_NO_PAD.encode(vec![b' '; LONGEST + 1]), "1vb66i", STORED);
        assert_eq!(stored().open(&plain), Err(Unreadable::TooLong));
    }

    #[test]
    fn a_changed_password_fits_no_more_and_an_old_secret_does() {
        assert!(Keys::of_users(&secrets(&[SECRET])).fits(PASSWORD, HASH));
        assert!(Keys::of_users(&secrets(&["a newer secret", SECRET])).fits(PASSWORD, HASH));
        assert!(!Keys::of_users(&secrets(&["a newer secret"])).fits(PASSWORD, HASH));
        assert!(!Keys::of_users(&secrets(&[SECRET])).fits("pbkdf2_sha256$1$b$c", HASH));
        for shown in ["", &HASH[1..], &HASH.to_uppercase(), &format!("{HASH}00")] {
            assert!(!Keys::of_users(&secrets(&[SECRET])).fits(PASSWORD, shown), "{shown}");
        }
    }

    #[test]
    fn keys_that_could_lead_elsewhere_are_none() {
        let good = "a0".repeat(16);
        assert_eq!(SessionKey::parse(&good).map(SessionKey::as_str), Some(good.as_str()));
        let wrong =
            ["".to_owned(), good[1..].to_owned(), good.to_uppercase(), "a".repeat(41), "/".repeat(32)];
        for value in wrong.iter().chain(&[format!("../{}", &good[3..]), format!("{}\0", &good[1..])]) {
            assert_eq!(SessionKey::parse(value), None, "{value}");
        }
    }

    #[test]
    fn no_secret_and_no_key_is_shown_by_debug() {
        let key = "k".repeat(32);
        let all = format!("{:?} {:?}", stored(), SessionKey::parse(&key));
        assert!(!all.contains("secret") && !all.contains("kk"), "{all}");
    }

    proptest! {
        #[test]
        fn hostile_values_never_panic(value in ".*", time in "[0-9A-Za-z:.-]{0,20}", bytes: Vec<u8>) {
            prop_assert!(stored().open(&value).is_err());
            let _ = stored().open(&sign(&value, &time, STORED));
            let _ = stored().open(&sign(&format!(".{}", URL_SAFE_NO_PAD.encode(bytes)), &time, STORED));
            let _ = (SessionKey::parse(&value), stored().fits(&time, &value));
        }
    }
}
