//! Stored: a session as stores and snapshots keep it: plain values, and the bytes they become.
//!
//! Comes in: what a living session holds. Goes out: the same, after a restart or on another machine. The first byte tells
//! the format's version, and the next version reads this one. Never holds an id, only what is kept in its place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::data::Data;
use crate::session::id::{Digest, Proof};
use crate::session::lifetime::Times;
use crate::session::origin::Origin;

/// The version that is written for whoever has no claims, so that the version before reads it.
const VERSION: u8 = 1;

/// The version that is written for whoever has claims.
const WITH_CLAIMS: u8 = 2;

/// A session as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Under which key.
    pub digest: Digest,
    /// Which ids are its own.
    pub turn: Turn,
    /// Who is logged in.
    pub identity: Option<Identity>,
    /// A digest of what the login was proved with, such as the hash of a password: a changed one ends the session. Zero
    /// where the login method has nothing of the kind.
    pub credential: u64,
    /// When it was made: each login makes a session.
    pub created: Timestamp,
    /// When a request last came with it, true to `touch_interval`.
    pub last_seen: Timestamp,
    /// "Keep me signed in" was ticked.
    pub remember: bool,
    /// An idle limit of its own, in seconds; zero: none.
    pub idle: u32,
    /// Where it was made.
    pub origin: Origin,
    /// What applications keep in it.
    pub data: Data,
    /// How often a store has written it: what a later write must have been based on.
    pub revision: u64,
}

/// Which ids a session has just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The present one.
    pub proof: Proof,
    /// Since when.
    pub since: Timestamp,
    /// The one before, until shortly after the present one was shown.
    pub previous: Option<Proof>,
    /// When the present one was first shown.
    pub shown: Option<Timestamp>,
}

/// Bytes that are not a session of a version we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a session of a format that this version reads")]
pub struct Unreadable;

impl Stored {
    /// What its limits depend on.
    pub(in crate::session) fn times(&self) -> Times {
        Times {
            authenticated: self.identity.as_ref().map(|_| self.created),
            last_seen: self.last_seen,
            remember: self.remember,
            idle: self.idle,
        }
    }

    /// Everything but the revision, for a store to keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.data.as_bytes().len());
        self.write_to(&mut out);
        out
    }

    /// The same, behind what `out` holds.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let claims: Vec<_> = self.identity.iter().flat_map(Identity::claims).collect();
        out.push(if claims.is_empty() { VERSION } else { WITH_CLAIMS });
        out.extend_from_slice(self.digest.bytes());
        put_u64(out, self.turn.proof.bits());
        put_u64(out, self.turn.since.unix_millis());
        put_u64(out, self.turn.previous.map_or(0, Proof::bits));
        put_u64(out, self.turn.shown.map_or(0, Timestamp::unix_millis));
        put_u64(out, self.credential);
        put_u64(out, self.created.unix_millis());
        put_u64(out, self.last_seen.unix_millis());
        out.push(u8::from(self.remember));
        out.extend_from_slice(&self.idle.to_be_bytes());
        let address = self.origin.address.map(|address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        });
        out.extend_from_slice(&address.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        out.extend_from_slice(&[self.origin.browser, self.origin.system]);
        match &self.identity {
            None => out.push(0),
            Some(identity) => {
                out.push(1);
                put_bytes(out, identity.user().as_bytes());
                put_bytes(out, identity.email().unwrap_or_default().as_bytes());
                put_bytes(out, identity.name().unwrap_or_default().as_bytes());
                let groups: Vec<_> = identity.groups().collect();
                put_u64(out, groups.len() as u64);
                groups.iter().for_each(|group| put_bytes(out, group.as_bytes()));
                if !claims.is_empty() {
                    put_u64(out, claims.len() as u64);
                    claims.iter().for_each(|(name, value)| {
                        put_bytes(out, name.as_bytes());
                        put_bytes(out, value.as_bytes());
                    });
                }
            }
        }
        put_bytes(out, self.data.as_bytes());
    }

    /// What [`Stored::to_bytes`] made, with the revision its store tells.
    pub fn from_bytes(bytes: &[u8], revision: u64) -> Result<Self, Unreadable> {
        Self::parse(bytes, revision, |found| found.read())
    }

    /// The same, where many are read: the sessions of one person share an identity.
    pub fn from_bytes_of_many(
        bytes: &[u8],
        revision: u64,
        people: &mut PeopleRead,
    ) -> Result<Self, Unreadable> {
        Self::parse(bytes, revision, |found| people.identity(found))
    }

    fn parse(
        bytes: &[u8],
        revision: u64,
        identity: impl FnOnce(Identified<'_>) -> Result<Identity, Unreadable>,
    ) -> Result<Self, Unreadable> {
        let mut bytes = Reader(bytes);
        let [version] = bytes.take()?;
        if !matches!(version, VERSION | WITH_CLAIMS) {
            return Err(Unreadable);
        }
        let digest = Digest::from_bytes(bytes.take()?);
        let turn = Turn {
            proof: Proof::from_bits(bytes.u64()?),
            since: bytes.time()?,
            previous: Some(bytes.u64()?).filter(|bits| *bits != 0).map(Proof::from_bits),
            shown: Some(bytes.time()?).filter(|time| time.unix_millis() != 0),
        };
        let (credential, created, last_seen) = (bytes.u64()?, bytes.time()?, bytes.time()?);
        let remember = bytes.take::<1>()? != [0];
        let idle = u32::from_be_bytes(bytes.take()?);
        let address = Ipv6Addr::from(bytes.take::<16>()?);
        let [browser, system] = bytes.take()?;
        let address = (!address.is_unspecified()).then(|| IpAddr::V6(address).to_canonical());
        let identity = match bytes.take::<1>()? {
            [0] => None,
            _ => Some(identity(bytes.identity(version)?)?),
        };
        let data = Data::from_bytes(bytes.slice()?).ok_or(Unreadable)?;
        let origin = Origin { address, browser, system };
        let stored = Self {
            digest,
            turn,
            identity,
            credential,
            created,
            last_seen,
            remember,
            idle,
            origin,
            data,
            revision,
        };
        if bytes.0.is_empty() { Ok(stored) } else { Err(Unreadable) }
    }
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.take().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, Unreadable> {
        self.u64().map(Timestamp::from_unix_millis)
    }

    fn slice(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.u64()?).map_err(|_| Unreadable)?;
        let (slice, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(slice)
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.slice()?).map_err(|_| Unreadable)
    }

    /// The bytes of an identity, unread.
    fn identity(&mut self, version: u8) -> Result<Identified<'a>, Unreadable> {
        let all = self.0;
        let facts = 3;
        (0..facts).try_for_each(|_| self.slice().map(drop))?;
        (0..self.u64()?).try_for_each(|_| self.slice().map(drop))?;
        if version == WITH_CLAIMS {
            (0..self.u64()?).try_for_each(|_| self.slice().and_then(|_| self.slice()).map(drop))?;
        }
        Ok(Identified { bytes: &all[..all.len() - self.0.len()], version })
    }
}

/// An identity as it is written.
struct Identified<'a> {
    bytes: &'a [u8],
    version: u8,
}

impl Identified<'_> {
    fn read(self) -> Result<Identity, Unreadable> {
        let mut bytes = Reader(self.bytes);
        let (user, email, name) = (bytes.text()?, bytes.text()?, bytes.text()?);
        let count = bytes.u64()?;
        let groups = (0..count).map(|_| bytes.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let identity = Identity::new(user, known(email), known(name), &groups).map_err(|_| Unreadable)?;
        if self.version == VERSION {
            return Ok(identity);
        }
        let count = bytes.u64()?;
        let claims = (0..count).map(|_| Ok((bytes.text()?, bytes.text()?))).collect::<Result<Vec<_>, _>>()?;
        identity.with_claims(claims).map_err(|_| Unreadable)
    }
}

/// Identities that were read, by their bytes: to make each once is faster, and a million sessions of a thousand people hold
/// a thousand. Forgets them when there are very many.
#[derive(Debug, Default)]
pub struct PeopleRead(HashMap<Box<[u8]>, Identity>);

impl PeopleRead {
    const MOST: usize = 1 << 16;

    fn identity(&mut self, found: Identified<'_>) -> Result<Identity, Unreadable> {
        // Both versions tell their own length: the same bytes never are one person in one and another in the other.
        let bytes = found.bytes;
        if let Some(known) = self.0.get(bytes) {
            return Ok(known.clone());
        }
        let identity = found.read()?;
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(bytes.into(), identity.clone());
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::id::SessionId;

    fn stored() -> Stored {
        let (id, now) = (SessionId::mint(), Timestamp::from_unix_millis(1_800_000_000_000));
        let groups = ["staff".to_owned(), "경리".to_owned()];
        Stored {
            digest: id.digest(),
            turn: Turn {
                proof: id.proof(),
                since: now,
                previous: Some(id.renewed().proof()),
                shown: Some(now),
            },
            identity: Some(Identity::new("alice", None, Some("Alice"), &groups).expect("valid")),
            credential: 7,
            created: now,
            last_seen: now,
            remember: true,
            idle: 60,
            origin: Origin { address: "192.0.2.1".parse().ok(), browser: 1, system: 2 },
            data: Data::default(),
            revision: 3,
        }
    }

    #[test]
    fn what_was_kept_comes_back() {
        let stored = stored();
        assert_eq!(Stored::from_bytes(&stored.to_bytes(), 3), Ok(stored.clone()));
        let nobody = Stored {
            identity: None,
            turn: Turn { previous: None, shown: None, ..stored.turn },
            origin: Origin { address: None, ..stored.origin },
            ..stored
        };
        assert_eq!(Stored::from_bytes(&nobody.to_bytes(), 3), Ok(nobody.clone()));
        let claims = [("role", "a"), ("role", "b"), ("부서", "경리")];
        let alice = Identity::new("alice", None, None, &[]).and_then(|alice| alice.with_claims(claims));
        let with_claims = Stored { identity: alice.ok(), ..nobody };
        assert_eq!(Stored::from_bytes(&with_claims.to_bytes(), 3), Ok(with_claims));
    }

    #[test]
    fn sessions_of_one_person_share_an_identity_where_many_are_read() {
        let (mut people, bytes) = (PeopleRead::default(), stored().to_bytes());
        let mut read =
            |bytes| Stored::from_bytes_of_many(bytes, 3, &mut people).map(|stored| stored.identity);
        let (one, other) = (read(&bytes), read(&bytes));
        assert_eq!(one, Ok(stored().identity));
        let user = |read: &Result<Option<Identity>, Unreadable>| {
            read.as_ref().ok().and_then(Option::as_ref).map(|identity| identity.user().as_ptr())
        };
        assert_eq!(user(&one), user(&other));
        let bob = Stored { identity: Identity::new("bob", None, None, &[]).ok(), ..stored() };
        assert_eq!(read(&bob.to_bytes()), Ok(bob.identity));
    }

    #[test]
    fn bytes_that_were_cut_are_refused() {
        let bytes = stored().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Stored::from_bytes(&bytes[..length], 0), Err(Unreadable), "{length}");
        }
        assert!(Stored::from_bytes(&[bytes, vec![0]].concat(), 0).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Stored::from_bytes(&bytes, 0);
            let mut known = stored().to_bytes();
            for (at, byte) in bytes.iter().enumerate().step_by(7) {
                let at = (at * 31 + usize::from(*byte)) % known.len();
                known[at] ^= byte;
            }
            let _ = Stored::from_bytes(&known, 0);
        }
    }
}
