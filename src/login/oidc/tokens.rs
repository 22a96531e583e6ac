//! Tokens: what a provider gives, and how a session keeps it.
//!
//! Comes in: tokens as given. Goes out: each concealed for its own purpose, and the same again. Never in clear where others
//! may read: stores, snapshots and logs.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::session::keys::Keys;

/// Bytes of the longest token that is kept.
const LONGEST: usize = 8192;

/// What a provider gives (RFC 6749, section 5.1).
#[derive(Deserialize)]
#[serde(from = "Given")]
pub struct Tokens {
    /// What it says of the person.
    pub id: Option<SecretString>,
    /// What opens its own doors, and those of applications that trust it.
    pub access: Option<SecretString>,
    /// What is good for others.
    pub refresh: Option<SecretString>,
    /// How long nobody needs to ask, where the provider says that.
    pub seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    token_type: Option<String>,
    /// Seconds; some write them as text.
    #[serde(default)]
    expires_in: Value,
}

impl From<Given> for Tokens {
    fn from(given: Given) -> Self {
        // What must be shown in another way than we do is of no use to anybody (RFC 6749, section 7.1).
        let is_bearer = given.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("Bearer"));
        Self {
            id: given.id_token.map(SecretString::from),
            access: given.access_token.filter(|_| is_bearer).map(SecretString::from),
            refresh: given.refresh_token.map(SecretString::from),
            seconds: given.expires_in.as_u64().or_else(|| given.expires_in.as_str()?.parse().ok()),
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the provider says of the person.
    Id,
    /// What opens doors.
    Access,
    /// What is good for others.
    Refresh,
}

impl Kind {
    /// What conceals a token is bound to this, so that none is ever taken for another.
    const fn bound(self) -> &'static [u8] {
        match self {
            Self::Id => b"oidc id token",
            Self::Access => b"oidc access token",
            Self::Refresh => b"oidc refresh token",
        }
    }
}

/// A token as a session keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concealed(String);

impl Concealed {
    /// A token that only our keys bring back; `None` for one that is too long to be kept.
    pub fn new(kind: Kind, token: &SecretString, keys: &Keys) -> Option<Self> {
        let token = Some(token.expose_secret()).filter(|token| token.len() <= LONGEST)?;
        Some(Self(keys.conceal(&[kind.bound()], token.as_bytes())))
    }

    /// The token, if one of our keys concealed it for this.
    pub fn reveal(&self, kind: Kind, keys: &Keys) -> Option<SecretString> {
        let token = keys.disclose(&[kind.bound()], &self.0)?;
        Some(std::str::from_utf8(&token).ok()?.into())
    }

    /// As it is kept.
    pub fn into_text(self) -> String {
        self.0
    }

    /// As it was kept.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use secrecy::SecretBox;

    use super::*;
    use crate::session::Key;

    /// Keys made of this byte.
    pub fn keys(byte: u8) -> Keys {
        let secret = SecretBox::new(vec![byte; 32].into_boxed_slice());
        Keys::new(&[Key { id: "k".to_owned(), secret }])
    }

    #[test]
    fn a_token_comes_back_for_what_it_is_for_and_with_our_keys_only() {
        let concealed = Concealed::new(Kind::Access, &"a token".into(), &keys(1)).expect("short enough");
        let kept = Concealed::from_text(concealed.into_text());
        assert!(!format!("{kept:?}").contains("a token"));
        let reveal =
            |kind, byte| kept.reveal(kind, &keys(byte)).map(|token| token.expose_secret().to_owned());
        assert_eq!(reveal(Kind::Access, 1).as_deref(), Some("a token"));
        assert_eq!(reveal(Kind::Access, 2), None);
        assert_eq!((reveal(Kind::Refresh, 1), reveal(Kind::Id, 1)), (None, None));
        assert_eq!(Concealed::new(Kind::Id, &"x".repeat(LONGEST + 1).into(), &keys(1)), None);
    }

    #[test]
    fn what_is_given_is_read_however_it_is_written() {
        let read = |json: &str| serde_json::from_str::<Tokens>(json).expect("an object");
        let seconds = |json: &str| read(json).seconds;
        assert_eq!(seconds(r#"{"expires_in": 300}"#), Some(300));
        assert_eq!(seconds(r#"{"expires_in": "300"}"#), Some(300));
        assert_eq!(seconds(r#"{"expires_in": -1}"#), None);
        assert_eq!(seconds("{}"), None);
        let has_access = |json: &str| read(json).access.is_some();
        assert!(has_access(r#"{"access_token": "a", "token_type": "bearer"}"#));
        assert!(has_access(r#"{"access_token": "a"}"#));
        assert!(!has_access(r#"{"access_token": "a", "token_type": "DPoP"}"#), "nobody could show it");
    }
}
