//! Credentials: what an application asks for itself, a password or a token, said in the visitor's place.
//!
//! Comes in: what the operator configured (`credentials:`), and who is asking. Goes out: the value of `Authorization` with
//! the Basic scheme (RFC 7617) or the Bearer scheme (RFC 6750), or none. Never somebody else's: without the visitor's own
//! password or token, and without a password for all, nothing is said. Never prints either.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::template::Template;
use crate::identity::Identity;
use crate::session::data::DataKey;

/// The header.
pub const NAME: &str = "Authorization";

/// What an application is told instead of the client's own `Authorization`.
#[derive(Debug)]
pub enum Credentials {
    /// A user and a password.
    Basic(Basic),
    /// A token that the provider gave at the login.
    Bearer(Bearer),
}

/// Which of a provider's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The access token: for whoever opens doors to those it was given to.
    AccessToken,
    /// The ID token: for whoever wants to know who somebody is, and knows us at the provider.
    IdToken,
}

/// A user and a password.
pub struct Basic {
    /// The user's name there.
    pub user: Template,
    /// Those of single people, by their names here; these go first.
    pub people: BTreeMap<String, Person>,
    /// The password is in the session, under this key.
    pub key: Option<DataKey>,
    /// The password is in the session, where the login put it.
    pub note: Option<String>,
    /// The password of everybody.
    pub password: Option<SecretString>,
}

/// What one person is called there.
pub struct Person {
    /// The user's name there, if it is not the usual one.
    pub user: Option<String>,
    /// The password there.
    pub password: SecretString,
}

/// The value of `Authorization` with a token; `None` for what is no token, since it could be another field as well.
pub fn bearer(token: &SecretString) -> Option<Zeroizing<String>> {
    let token = token.expose_secret();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| Zeroizing::new(["Bearer ", token].concat()))
}

impl Basic {
    /// The value of `Authorization` for somebody; `kept` is the password in their session, if there is one.
    pub fn value(&self, identity: Option<&Identity>, kept: Option<&str>) -> Option<Zeroizing<String>> {
        let person = identity.and_then(|identity| self.people.get(identity.user()));
        let everybodys = self.password.as_ref().map(|password| password.expose_secret());
        let password = person.map(|person| person.password.expose_secret()).or(kept).or(everybodys)?;
        let user = match person.and_then(|person| person.user.clone()) {
            Some(user) => user,
            None => self.user.text(identity)?,
        };
        // A colon would move the border between user and password (RFC 7617, section 2).
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return None;
        }
        let pair = Zeroizing::new([&user, ":", password].concat());
        let mut value = Zeroizing::new("Basic ".to_owned());
        STANDARD.encode_string(pair.as_bytes(), &mut value);
        Some(value)
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Basic({:?}, [redacted])", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        Identity::new("alice", None, None, &[]).expect("valid")
    }

    fn credentials(user: &str, password: Option<&str>) -> Basic {
        Basic {
            user: Template::parse(user).expect("valid"),
            people: BTreeMap::new(),
            key: None,
            note: None,
            password: password.map(Into::into),
        }
    }

    fn said(credentials: &Basic, identity: Option<&Identity>, kept: Option<&str>) -> Option<String> {
        let value = credentials.value(identity, kept)?;
        let pair = STANDARD.decode(value.strip_prefix("Basic ").expect("the scheme")).expect("base64");
        Some(String::from_utf8(pair).expect("UTF-8"))
    }

    #[test]
    fn the_visitors_own_password_goes_before_everybodys() {
        let mut credentials = credentials("corp-{user}", Some("all"));
        assert_eq!(said(&credentials, Some(&alice()), None).as_deref(), Some("corp-alice:all"));
        assert_eq!(said(&credentials, Some(&alice()), Some("비밀")).as_deref(), Some("corp-alice:비밀"));
        let person = Person { user: Some("ALICE01".to_owned()), password: "own".into() };
        credentials.people.insert("alice".to_owned(), person);
        assert_eq!(said(&credentials, Some(&alice()), Some("kept")).as_deref(), Some("ALICE01:own"));
        assert_eq!(format!("{credentials:?}").matches("own").count(), 0);
    }

    #[test]
    fn nothing_is_said_of_somebody_who_is_not_known() {
        assert_eq!(said(&credentials("{user}", Some("all")), None, None), None);
        assert_eq!(said(&credentials("{user}", None), Some(&alice()), None), None);
        assert_eq!(said(&credentials("service", Some("all")), None, None).as_deref(), Some("service:all"));
    }

    #[test]
    fn a_token_is_one_word() {
        let said = |token: &str| bearer(&token.into()).map(|value| value.to_string());
        assert_eq!(said("eyJ.a-b_c~+/=").as_deref(), Some("Bearer eyJ.a-b_c~+/="));
        for token in ["", "two words", "a\r\nX-Auth-User: root", "토큰"] {
            assert_eq!(said(token), None, "{token}");
        }
    }

    #[test]
    fn no_name_moves_the_border_to_the_password() {
        let named = |user| Identity::new(user, None, None, &[]).expect("valid");
        assert_eq!(said(&credentials("{user}", Some("all")), Some(&named("root:x")), None), None);
        assert_eq!(said(&credentials("{user}", None), Some(&alice()), Some("a\r\nb")), None);
    }
}
