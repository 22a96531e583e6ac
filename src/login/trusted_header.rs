//! Trusted header: a proxy before us has asked already, and says who it is.
//!
//! Comes in: what a trusted proxy says ([`headers::Outer`](crate::headers::Outer)). Goes out: who that is. Never believes
//! anybody else, never counts as a fresh login, since nobody knows when that was.

use percent_encoding::percent_decode_str;

use crate::clock::Timestamp;
use crate::headers::{Inbound, Outer, OuterNames};
use crate::identity::{Identity, InvalidIdentity};
use crate::login::vouch::{Look, Voucher};
use crate::session::{Guest, Means};

/// `login.trusted_header`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names to look under.
    pub names: OuterNames,
    /// Values are percent-encoded, as another Cloakroom writes them.
    pub percent_encoded: bool,
    /// Where people sign out.
    pub logout_url: Option<String>,
}

/// The word of a proxy before us.
#[derive(Debug)]
pub struct TrustedHeader {
    percent_encoded: bool,
}

/// Nobody knows when somebody has proved something to somebody else.
const UNKNOWN: Timestamp = Timestamp::from_unix_millis(0);

impl TrustedHeader {
    /// As configured.
    pub fn new(settings: &Settings) -> Self {
        Self { percent_encoded: settings.percent_encoded }
    }

    fn identity(&self, outer: &Outer) -> Result<Identity, InvalidIdentity> {
        let text = |said: &str| match self.percent_encoded {
            true => percent_decode_str(said).decode_utf8_lossy().into_owned(),
            false => said.to_owned(),
        };
        let groups = outer.groups.as_deref().unwrap_or_default();
        let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
        let groups: Vec<String> = groups.map(text).collect();
        let (email, name) = (outer.email.as_deref().map(text), outer.name.as_deref().map(text));
        Identity::new(&text(&outer.user), email.as_deref(), name.as_deref(), &groups)
    }
}

impl Voucher for TrustedHeader {
    fn look(&self, request: &Inbound, logged_in: Option<&Identity>, _: Timestamp) -> Look {
        let Some(outer) = request.outer.as_deref().filter(|_| logged_in.is_none()) else {
            return Look::Nothing;
        };
        match self.identity(outer) {
            Ok(identity) => {
                Look::Is(Guest { identity, authenticated_at: UNKNOWN, by: Means::Proxy, credential: 0 })
            }
            Err(error) => {
                tracing::warn!("what a trusted proxy says of the user cannot be used: {error}");
                Look::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_says_becomes_an_identity_or_nothing() {
        let outer = |user: &str, groups: &str| Outer {
            user: user.to_owned(),
            email: None,
            groups: Some(groups.to_owned()),
            name: Some("%EA%B9%80".to_owned()),
        };
        let plain = TrustedHeader { percent_encoded: false };
        let alice = plain.identity(&outer("alice", "staff, finance,,")).expect("plain");
        assert_eq!(
            (alice.groups().collect::<Vec<_>>(), alice.name()),
            (vec!["staff", "finance"], Some("%EA%B9%80"))
        );
        let encoded = TrustedHeader { percent_encoded: true };
        let kim = encoded.identity(&outer("a%20b", "a%2Cb,c")).expect("encoded");
        assert_eq!((kim.user(), kim.name()), ("a b", Some("김")));
        assert_eq!(kim.groups().collect::<Vec<_>>(), ["a,b", "c"]);
        assert!(
            encoded.identity(&outer("a%0d%0aX-Admin: 1", "")).is_err(),
            "a line break gets into no header"
        );
        assert!(plain.identity(&outer(&"a".repeat(257), "")).is_err());
    }
}
