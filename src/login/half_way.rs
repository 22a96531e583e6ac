//! Half way: what is known of somebody between their password and their code.
//!
//! Comes in: who gave the right password, and what they wanted. Goes out: a text for a hidden field of the next form, which
//! only we can read, only in the browser it was made for, and only for some minutes; and the same again. Nothing is kept on
//! our side. Never stands for a login: whoever has it has yet to prove something.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::login::factor::totp::Secret;
use crate::session::keys::Keys;

/// So long somebody may look for their telephone.
const LASTING: Duration = Duration::from_secs(5 * 60);

/// Somebody who gave the right password.
#[derive(Clone, Debug)]
pub(super) struct HalfWay {
    pub user: String,
    /// Of the password, as it was then.
    pub credential: u64,
    pub remember: bool,
    pub remember_name: bool,
    /// Where to go afterwards.
    pub target: String,
    /// Until when.
    pub until: Timestamp,
    /// What they are about to enrol with.
    pub secret: Option<Secret>,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    user: String,
    credential: u64,
    remember: bool,
    remember_name: bool,
    target: String,
    until: u64,
    secret: Option<Zeroizing<String>>,
}

/// Until when what begins now may be finished.
pub(super) fn until(now: Timestamp) -> Timestamp {
    now.plus(LASTING)
}

impl HalfWay {
    /// For a form in the browser that has this nonce.
    pub fn seal(&self, keys: &Keys, nonce: &[u8]) -> String {
        let written = Written {
            user: self.user.clone(),
            credential: self.credential,
            remember: self.remember,
            remember_name: self.remember_name,
            target: self.target.clone(),
            until: self.until.unix_millis(),
            secret: self.secret.as_ref().map(Secret::base32),
        };
        let plain = serde_json::to_vec(&written).expect("texts and numbers can be written");
        keys.conceal(&bound(nonce), &Zeroizing::new(plain))
    }

    /// From a form, if it is of this browser and not too old.
    pub fn open(keys: &Keys, nonce: &[u8], text: &str, now: Timestamp) -> Option<Self> {
        let plain = keys.disclose(&bound(nonce), text)?;
        let written: Written = serde_json::from_slice(&plain).ok()?;
        let until = Timestamp::from_unix_millis(written.until);
        // A clock that was set back makes nothing last longer.
        let lasts = now < until && until <= now.plus(LASTING);
        let secret = match written.secret {
            Some(text) => Some(Secret::from_base32(&text)?),
            None => None,
        };
        lasts.then_some(Self {
            user: written.user,
            credential: written.credential,
            remember: written.remember,
            remember_name: written.remember_name,
            target: written.target,
            until,
            secret,
        })
    }
}

fn bound(nonce: &[u8]) -> [&[u8]; 2] {
    [b"half way", nonce]
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;
    use crate::session::Key;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn it_is_read_in_its_own_browser_and_for_some_minutes_only() {
        let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![1; 32].into_boxed_slice()) };
        let keys = Keys::new(&[key]);
        let half = HalfWay {
            user: "김철수".to_owned(),
            credential: u64::MAX,
            remember: true,
            remember_name: false,
            target: "/reports?a=1".to_owned(),
            until: until(NOW),
            secret: Some(Secret::fresh()),
        };
        let text = half.seal(&keys, b"browser");
        let open = |nonce: &[u8], text: &str, now| HalfWay::open(&keys, nonce, text, now);
        let again = open(b"browser", &text, NOW.plus(LASTING - Duration::from_secs(1))).expect("in time");
        assert_eq!((again.user, again.credential, again.target), (half.user, u64::MAX, half.target));
        assert_eq!((again.remember, again.secret), (true, half.secret));
        assert!(open(b"another", &text, NOW).is_none());
        assert!(open(b"browser", &text, NOW.plus(LASTING)).is_none());
        assert!(open(b"browser", &text, Timestamp::from_unix_millis(0)).is_none());
        assert!(open(b"browser", &text[1..], NOW).is_none());
        assert!(open(b"browser", "", NOW).is_none());
    }
}
