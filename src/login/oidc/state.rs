//! State: what travels to a provider and back with a login under way.
//!
//! Comes in: where somebody wants to go, and at which provider they log in. Goes out: the `state` of a request, which only
//! our keys can make or read, and the same again with the answer. It is of use only to the browser with its
//! [`stub`](crate::login::oidc::stub), once, and not for long. Never shows where anybody wants to go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::login::oidc::failure::Failure;
use crate::login::oidc::stub::LASTING;
use crate::session::keys::Keys;

/// What seals it is bound to this.
const BOUND: &[u8] = b"oidc state";

/// Bytes of the longest target that travels with it: addresses have to stay short enough for everybody on the way.
const LONGEST: usize = 2048;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name, which the browser's stub knows.
    #[serde(rename = "n")]
    pub name: String,
    /// At which provider.
    #[serde(rename = "p")]
    pub provider: String,
    /// When it was begun, in milliseconds since 1970.
    #[serde(rename = "b")]
    begun: u64,
    /// Where to go afterwards.
    #[serde(rename = "t")]
    pub target: String,
    /// Whether whoever it is must prove it anew.
    #[serde(rename = "f", default)]
    pub fresh: bool,
}

impl State {
    /// A login that begins now.
    pub fn new(name: String, provider: &str, target: &str, fresh: bool, now: Timestamp) -> Self {
        let target = if target.len() <= LONGEST { target } else { "/" };
        Self {
            name,
            provider: provider.to_owned(),
            begun: now.unix_millis(),
            target: target.to_owned(),
            fresh,
        }
    }

    /// When it was begun.
    pub fn begun(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.begun)
    }

    /// As it travels.
    pub fn sealed(&self, keys: &Keys) -> String {
        keys.conceal(&[BOUND], &serde_json::to_vec(self).expect("texts and numbers can be written"))
    }

    /// The one that has come back from this provider, in time.
    pub fn open(sealed: &str, provider: &str, keys: &Keys, now: Timestamp) -> Result<Self, Failure> {
        let plain = keys.disclose(&[BOUND], sealed).ok_or(Failure::UnknownState)?;
        let state: Self = serde_json::from_slice(&plain).map_err(|_| Failure::UnknownState)?;
        if state.provider != provider {
            return Err(Failure::OtherProvider);
        }
        if now.since(state.begun()) > Duration::from_secs(LASTING) {
            return Err(Failure::TooLate);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;
    use crate::session::Key;

    fn keys(byte: u8) -> Keys {
        Keys::new(&[Key { id: "k".to_owned(), secret: SecretBox::new(vec![byte; 32].into_boxed_slice()) }])
    }

    #[test]
    fn a_state_comes_back_in_time_to_its_provider_and_with_our_keys_only() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let state = State::new("name".to_owned(), "a", "/reports?a=한글", true, now);
        let sealed = state.sealed(&keys(1));
        assert!(!sealed.contains("reports") && sealed.bytes().all(|byte| byte.is_ascii_graphic()));
        let later = |seconds| now.plus(Duration::from_secs(seconds));
        assert_eq!(State::open(&sealed, "a", &keys(1), later(600)).expect("in time"), state);
        let refused = |sealed: &str, provider, keys: &Keys, now| {
            State::open(sealed, provider, keys, now).expect_err("refused").to_string()
        };
        assert_eq!(refused(&sealed, "a", &keys(1), later(601)), Failure::TooLate.to_string());
        assert_eq!(refused(&sealed, "b", &keys(1), now), Failure::OtherProvider.to_string());
        assert_eq!(refused(&sealed, "a", &keys(2), now), Failure::UnknownState.to_string());
        for changed in ["", "x", &sealed[1..], &format!("{sealed}A"), "\u{0}", "한글"] {
            assert_eq!(refused(changed, "a", &keys(1), now), Failure::UnknownState.to_string());
        }
    }

    #[test]
    fn a_target_that_is_too_long_to_travel_leads_home() {
        let now = Timestamp::from_unix_millis(0);
        let target = |length| State::new(String::new(), "a", &"/".repeat(length), false, now).target;
        assert_eq!((target(2048).len(), target(2049).as_str()), (2048, "/"));
    }
}
