//! Credentials: the user and password that an application asks for itself, said in the visitor's place.
//!
//! Comes in: what the operator configured (`credentials:`), and who is asking. Goes out: the value of `Authorization` with
//! the Basic scheme (RFC 7617), or none. Never somebody else's: without the visitor's own password, and without one for all,
//! nothing is said. Never prints a password.

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
pub struct Credentials {
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

impl Credentials {
    /// The value of `Authorization` for somebody; `kept` is the password in their session, if there is one.
    pub fn basic(&self, identity: Option<&Identity>, kept: Option<&str>) -> Option<Zeroizing<String>> {
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

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, [redacted])", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        Identity::new("alice", None, None, &[]).expect("valid")
    }

    fn credentials(user: &str, password: Option<&str>) -> Credentials {
        Credentials {
            user: Template::parse(user).expect("valid"),
            people: BTreeMap::new(),
            key: None,
            note: None,
            password: password.map(Into::into),
        }
    }

    fn said(credentials: &Credentials, identity: Option<&Identity>, kept: Option<&str>) -> Option<String> {
        let value = credentials.basic(identity, kept)?;
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
    fn no_name_moves_the_border_to_the_password() {
        let named = |user| Identity::new(user, None, None, &[]).expect("valid");
        assert_eq!(said(&credentials("{user}", Some("all")), Some(&named("root:x")), None), None);
        assert_eq!(said(&credentials("{user}", None), Some(&alice()), Some("a\r\nb")), None);
    }
}
