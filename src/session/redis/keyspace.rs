//! Keyspace: what keys are called, and what is kept under them that is text.
//!
//! Comes in: a prefix, digests, users. Goes out: names. Those of one session have the same hash tag, so that a script may
//! use them together in a Cluster. Never holds a user's name: a digest stands for it.

use aws_lc_rs::digest::{SHA256, digest};

use crate::session::id::Digest;
use crate::session::record::EndReason;

/// Names of keys and of the channel.
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    /// All names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The key of a session that lives, and that of its tombstone.
    pub fn session(&self, digest: Digest) -> [String; 2] {
        let tagged = format!("{}{{{}}}", self.prefix, digest.to_hex());
        [format!("{tagged}:s"), format!("{tagged}:e")]
    }

    /// Matches the keys of all sessions that live.
    pub fn sessions(&self) -> String {
        format!("{}{{*}}:s", self.prefix)
    }

    /// Whose session it is that is kept under this key.
    pub fn digest(&self, key: &[u8]) -> Option<Digest> {
        let digest = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b"{")?.strip_suffix(b"}:s")?;
        Digest::from_hex(std::str::from_utf8(digest).ok()?)
    }

    /// The key of a user's list; `whose` as [`whose`] says it.
    pub fn list(&self, whose: &str) -> String {
        format!("{}user:{whose}", self.prefix)
    }

    /// Where news is told.
    pub fn channel(&self) -> String {
        format!("{}news", self.prefix)
    }
}

/// A user as keys and records name them; empty for nobody.
pub(super) fn whose(user: Option<&str>) -> String {
    user.map_or_else(String::new, |user| hex(&digest(&SHA256, user.as_bytes()).as_ref()[..16]))
}

/// The text of a tombstone: why, what follows, and which call put it there.
pub(super) fn tombstone(reason: EndReason, follower: Option<Digest>, call: &str) -> String {
    let follower = follower.map_or_else(|| "-".to_owned(), |digest| digest.to_hex());
    format!("{} {follower} {call}", reason.as_str())
}

/// What a tombstone says.
pub(super) fn read_tombstone(text: &[u8]) -> Option<(EndReason, Option<Digest>)> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let (why, follower) = (words.next()?, words.next()?);
    Some((EndReason::named(why), Digest::from_hex(follower)))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("half a byte is one digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    #[test]
    fn keys_of_one_session_are_in_one_slot_and_tell_whose_they_are() {
        let keyspace = Keyspace::new("cloakroom:");
        let digest = SessionId::mint().digest();
        let [session, tombstone] = keyspace.session(digest);
        let tag = |key: &str| key.split(['{', '}']).nth(1).map(str::to_owned);
        assert_eq!(tag(&session), tag(&tombstone));
        assert_eq!(tag(&session), Some(digest.to_hex()));
        assert_eq!(keyspace.digest(session.as_bytes()), Some(digest));
        assert_eq!(keyspace.digest(tombstone.as_bytes()), None);
        for other in ["cloakroom:{}:s", "other:{0}:s", "", "cloakroom:user:00", "cloakroom:{+0}:s"] {
            assert_eq!(keyspace.digest(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_users_name_is_in_no_key() {
        let list = Keyspace::new("c:").list(&whose(Some("홍길동")));
        assert_eq!(list.len(), "c:user:".len() + 32);
        assert!(list.is_ascii());
        assert_ne!(whose(Some("alice")), whose(Some("alice ")));
        assert_eq!(whose(None), "");
    }

    #[test]
    fn a_tombstone_says_why_and_what_follows() {
        let digest = SessionId::mint().digest();
        for (reason, follower) in [(EndReason::Logout, None), (EndReason::Replaced, Some(digest))] {
            let text = tombstone(reason, follower, "call");
            assert_eq!(read_tombstone(text.as_bytes()), Some((reason, follower)), "{text}");
        }
        let later = read_tombstone(b"of-a-later-version -");
        assert_eq!(later, Some((EndReason::Revoked, None)));
        assert_eq!(read_tombstone(b"\xff"), None);
        assert_eq!(read_tombstone(b"logout"), None);
    }
}
