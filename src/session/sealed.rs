//! Sealed: sessions that the browser keeps, whole, unreadable and in pieces.
//!
//! Comes in: a session as plain values, or the pieces that a request showed. Goes out: cookie values that only the holder
//! of a key can read or make, or the session again. What was changed, cut, mixed or left out is nobody's session. Never
//! knows whether a session was ended: what a browser keeps, it can show again until it expires.
//!
//! A piece is `count ‖ set ‖ text`: how many pieces there are (one digit), which of them belong together (four
//! characters), and its part of `base64url(nonce ‖ sealed ‖ tag)`. Set and count only sort; the tag judges.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::clock::Timestamp;
use crate::message::Fields;
use crate::session::cookie::pieces::{LONGEST, MOST, Names, Pieces};
use crate::session::keys::Keys;
use crate::session::keys::sealing::{NONCE_LENGTH, Sealing, TAG_LENGTH};
use crate::session::settings::CookieSettings;
use crate::session::stored::Stored;
use crate::session::ticket::Ticket;

/// The version of what is sealed.
const VERSION: u8 = 1;

/// Count and set.
const HEADER: usize = 5;

/// Room for all attributes but `Path` and `Domain`, the longest of each.
const ATTRIBUTES: usize = 160;

/// Shorter texts are not worth the compressor's time.
const WORTH_COMPRESSING: usize = 512;

/// No session becomes larger than this when it is unpacked, whoever packed it.
const LARGEST: usize = 256 * 1024;

/// The compressor's effort, of 10.
const EFFORT: u8 = 6;

/// How a text was packed before it was sealed.
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// The session does not fit in as many pieces as a browser is asked to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is too large for a cookie: {needed} bytes, and {room} are there")]
pub struct TooLarge {
    /// What it would take, packed and sealed.
    pub needed: usize,
    /// What all pieces together hold.
    pub room: usize,
}

/// Seals sessions for one cookie, and opens what comes back.
pub struct Sealed {
    keys: Arc<Sealing>,
    cookie: CookieSettings,
    names: Names,
    bound: Vec<u8>,
}

impl Sealed {
    /// For the cookie as configured. What is sealed for another name is not opened.
    pub fn new(keys: &Keys, cookie: &CookieSettings) -> Self {
        let mut bound = b"cloakroom/1 sealed session".to_vec();
        bound.push(VERSION);
        bound.extend_from_slice(&(cookie.name.len() as u64).to_be_bytes());
        bound.extend_from_slice(cookie.name.as_bytes());
        let names = Names::new(&cookie.name);
        Self { keys: Arc::clone(keys.session()), cookie: cookie.clone(), names, bound }
    }

    /// Cuts the pieces out of a request, and the cookies called like one of `others`, whose values nobody asks for.
    pub fn take(&self, fields: &mut Fields, others: &[&str]) -> Pieces {
        self.names.take(fields, others)
    }

    /// The cookies that hold a session, by name, none longer than browsers keep with its attributes.
    pub fn seal(&self, session: &Stored) -> Result<Vec<(String, String)>, TooLarge> {
        let named = |(number, value)| (self.names.of(number).to_owned(), value);
        Ok(self.values(session)?.into_iter().enumerate().map(named).collect())
    }

    /// Tickets that hand a session out and take back what is left of the one that the request `shown` came with: for
    /// `lasting` when the person shall be remembered, else until the browser's session ends.
    pub fn hand_out(
        &self,
        session: &Stored,
        shown: &Pieces,
        lasting: Option<Duration>,
        now: Timestamp,
    ) -> Result<Vec<Ticket>, TooLarge> {
        let values = self.values(session)?;
        Ok(Ticket::hand_out_pieces(&self.cookie, &self.names, values, shown.numbers(), lasting, now))
    }

    /// Tickets that take back every piece that was shown.
    pub fn take_back(&self, shown: &Pieces) -> Vec<Ticket> {
        Ticket::take_back_pieces(&self.cookie, &self.names, shown.numbers())
    }

    /// The session in these pieces, if one of our keys sealed it for this cookie. Where there are pieces of several, as of
    /// a cookie that another host has planted, the first whole one counts.
    pub fn open(&self, pieces: &Pieces) -> Option<Stored> {
        pieces.values(0).find_map(|first| self.unseal(&whole(pieces, first)?))
    }

    fn values(&self, session: &Stored) -> Result<Vec<String>, TooLarge> {
        let attributes =
            ATTRIBUTES + self.cookie.path.len() + self.cookie.domain.as_ref().map_or(0, String::len);
        let name = self.names.of(MOST - 1).len() + "=".len();
        let each = LONGEST.saturating_sub(name + HEADER + attributes);
        let room = each * MOST;
        let plain = plain(session);
        if plain.len() > LARGEST {
            return Err(TooLarge { needed: plain.len(), room });
        }
        let text = self.sealed(pack(plain));
        let count = text.len().div_ceil(each.max(1));
        if count > MOST || each == 0 {
            return Err(TooLarge { needed: text.len(), room });
        }
        let set = URL_SAFE_NO_PAD.encode(random::<3>());
        let part = |number| &text[number * each..text.len().min((number + 1) * each)];
        Ok((0..count).map(|number| format!("{count}{set}{}", part(number))).collect())
    }

    /// `base64url(nonce ‖ sealed ‖ tag)`
    fn sealed(&self, mut packed: Vec<u8>) -> String {
        let nonce = random();
        let tag = self.keys.first().seal(nonce, &self.bound, &mut packed);
        URL_SAFE_NO_PAD.encode([&nonce[..], &packed, &tag].concat())
    }

    fn unseal(&self, text: &[u8]) -> Option<Stored> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LENGTH>()?;
        let mut packed = vec![0; sealed.len()];
        let mut keys = self.keys.all();
        keys.find_map(|key| key.open(*nonce, &self.bound, (sealed, tag), &mut packed))?;
        let plain = unpack(packed)?;
        let (revision, bytes) = plain.split_first_chunk()?;
        Stored::from_bytes(bytes, u64::from_be_bytes(*revision)).ok()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("keys", &self.keys)
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

/// The text of all pieces that belong to `first`; `None` where one is missing, or there are more than it says.
fn whole(pieces: &Pieces, first: &[u8]) -> Option<Vec<u8>> {
    let header = first.first_chunk::<HEADER>()?;
    let count = usize::from(header[0].checked_sub(b'0')?);
    if !(1..=MOST).contains(&count) {
        return None;
    }
    let part = |number| pieces.values(number).find_map(|value| value.strip_prefix(header));
    if pieces.numbers().any(|number| number >= count && part(number).is_some()) {
        return None;
    }
    let mut text = first[HEADER..].to_vec();
    for number in 1..count {
        text.extend_from_slice(part(number)?);
    }
    Some(text)
}

/// What is sealed: the revision, and the session as every store keeps it.
fn plain(session: &Stored) -> Vec<u8> {
    let mut plain = session.revision.to_be_bytes().to_vec();
    session.write_to(&mut plain);
    plain
}

/// Compressed where that helps; the first byte tells.
fn pack(plain: Vec<u8>) -> Vec<u8> {
    if plain.len() > WORTH_COMPRESSING {
        let deflated = compress_to_vec(&plain, EFFORT);
        if deflated.len() < plain.len() {
            return [&[DEFLATED], &deflated[..]].concat();
        }
    }
    [&[PLAIN], &plain[..]].concat()
}

fn unpack(mut packed: Vec<u8>) -> Option<Vec<u8>> {
    match *packed.first()? {
        DEFLATED => decompress_to_vec_with_limit(&packed[1..], LARGEST).ok(),
        PLAIN => {
            packed.remove(0);
            Some(packed)
        }
        _ => None,
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;
    use crate::identity::Identity;
    use crate::session::data::Data;
    use crate::session::id::SessionId;
    use crate::session::origin::Origin;
    use crate::session::settings::{Key, SameSite};
    use crate::session::stored::Turn;

    const NAME: &str = "__Host-cloakroom";

    fn keys(bytes: &[u8]) -> Keys {
        let key = |byte: &u8| Key {
            id: format!("k{byte}"),
            secret: SecretBox::new(vec![*byte; 32].into_boxed_slice()),
        };
        Keys::new(&bytes.iter().map(key).collect::<Vec<_>>())
    }

    fn cookie(name: &str) -> CookieSettings {
        CookieSettings {
            name: name.to_owned(),
            secure: true,
            same_site: SameSite::Strict,
            path: "/some/application".to_owned(),
            domain: Some("a-long-name.of-a-host.example.com".to_owned()),
            partitioned: true,
        }
    }

    fn sealed() -> Sealed {
        Sealed::new(&keys(&[1]), &cookie(NAME))
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    /// A session of a known size that cannot be compressed, thanks to a user whose groups nobody could guess.
    fn session(groups: usize) -> Stored {
        let id = SessionId::mint();
        let group = |_| URL_SAFE_NO_PAD.encode(random::<75>());
        let groups: Vec<String> = (0..groups).map(group).collect();
        Stored {
            digest: id.digest(),
            turn: Turn { proof: id.proof(), since: now(), previous: None, shown: None },
            identity: Some(Identity::new("alice", None, None, &groups).expect("valid")),
            credential: 1,
            created: now(),
            last_seen: now(),
            remember: false,
            idle: 0,
            origin: Origin::default(),
            data: Data::default(),
            revision: 9,
        }
    }

    /// As a browser shows cookies.
    fn shown(cookies: &[(String, String)]) -> Pieces {
        let mut fields = Fields::new();
        let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !pairs.is_empty() {
            fields.append("cookie", pairs.join("; "));
        }
        let pieces = sealed().take(&mut fields, &[]);
        assert!(fields.is_empty(), "all are cut out");
        pieces
    }

    fn open(cookies: &[(String, String)]) -> Option<Stored> {
        sealed().open(&shown(cookies))
    }

    #[test]
    fn a_session_comes_back_from_one_piece_or_five() {
        for (groups, count) in [(0, 1), (20, 1), (50, 2), (90, 3), (125, 4), (160, 5)] {
            let session = session(groups);
            let mut cookies = sealed().seal(&session).expect("it fits");
            assert_eq!(cookies.len(), count, "{groups} groups");
            let names = Names::new(NAME);
            assert!((0..count).all(|number| cookies[number].0 == names.of(number)));
            assert_eq!(open(&cookies), Some(session.clone()));
            cookies.reverse();
            assert_eq!(open(&cookies), Some(session), "in whatever order they come");
        }
    }

    #[test]
    fn no_set_cookie_is_longer_than_browsers_keep() {
        let forever = Some(Duration::MAX);
        let tickets = sealed().hand_out(&session(160), &Pieces::default(), forever, now()).expect("it fits");
        let lengths: Vec<_> = tickets.iter().map(|ticket| ticket.set_cookie().len()).collect();
        assert!(lengths.iter().all(|length| *length <= LONGEST), "{lengths:?}");
        assert!(lengths[0] > LONGEST - 64, "and no room is given away: {lengths:?}");
    }

    #[test]
    fn what_does_not_fit_is_said_to_be_too_large() {
        let error = sealed().seal(&session(250)).expect_err("20 KB of noise");
        assert!(error.to_string().starts_with("the session is too large for a cookie: "), "{error}");
        assert!(error.needed > error.room);
        let narrow = CookieSettings { path: format!("/{}", "p".repeat(5000)), ..cookie(NAME) };
        let narrow = Sealed::new(&keys(&[1]), &narrow);
        assert_eq!(narrow.seal(&session(0)).map_err(|error| error.room), Err(0));
    }

    #[test]
    fn what_repeats_itself_takes_less_room() {
        let groups: Vec<_> = (0..2000).map(|at| format!("department-of-something-{at}")).collect();
        let identity = Identity::new("alice", None, None, &groups).expect("valid");
        let session = Stored { identity: Some(identity), ..session(0) };
        assert!(session.to_bytes().len() > 50_000);
        let cookies = sealed().seal(&session).expect("it fits, compressed");
        assert_eq!(open(&cookies), Some(session));
    }

    #[test]
    fn nothing_unpacks_to_more_than_the_limit() {
        let bomb = [&[DEFLATED], &compress_to_vec(&vec![0; LARGEST + 1], EFFORT)[..]].concat();
        assert!(bomb.len() < 1000);
        assert_eq!(unpack(bomb), None);
        assert_eq!((unpack(vec![]), unpack(vec![7, 1])), (None, None));
        assert_eq!(unpack(pack(vec![0; LARGEST])), Some(vec![0; LARGEST]));
    }

    #[test]
    fn the_same_session_looks_different_each_time() {
        let session = session(0);
        let [one, other] = [(); 2].map(|()| sealed().seal(&session).expect("it fits"));
        assert_ne!(one[0].1[HEADER..], other[0].1[HEADER..]);
        assert_eq!(open(&one), open(&other));
    }

    #[test]
    fn the_first_key_seals_all_open_and_a_removed_key_is_forgotten() {
        let session = session(0);
        let [old, both, new] =
            [&[1][..], &[2, 1], &[2]].map(|bytes| Sealed::new(&keys(bytes), &cookie(NAME)));
        let of_old = shown(&old.seal(&session).expect("it fits"));
        assert!(both.open(&of_old).is_some() && new.open(&of_old).is_none());
        let of_both = shown(&both.seal(&session).expect("it fits"));
        assert!(new.open(&of_both).is_some() && old.open(&of_both).is_none());
    }

    #[test]
    fn what_was_sealed_for_another_cookie_is_not_opened() {
        let other = Sealed::new(&keys(&[1]), &cookie("other"));
        let value = other.seal(&session(0)).expect("it fits").remove(0).1;
        assert_eq!(open(&[(NAME.to_owned(), value)]), None);
    }

    #[test]
    fn pieces_that_are_missing_swapped_mixed_or_too_many_are_nobodys() {
        let (one, other) = (session(90), session(90));
        let [one, other] = [one, other].map(|session| sealed().seal(&session).expect("it fits"));
        assert_eq!(one.len(), 3);
        for missing in 0..3 {
            let mut rest = one.clone();
            rest.remove(missing);
            assert_eq!(open(&rest), None, "without {missing}");
            let mut mixed = one.clone();
            mixed[missing] = other[missing].clone();
            assert_eq!(open(&mixed), None, "{missing} of another session");
            // Even where somebody makes the headers fit.
            let (header, text) = (&one[missing].1[..HEADER], &other[missing].1[HEADER..]);
            mixed[missing].1 = format!("{header}{text}");
            assert_eq!(open(&mixed), None, "{missing} of another session, in disguise");
        }
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            let mut swapped = one.clone();
            (swapped[a].1, swapped[b].1) = (one[b].1.clone(), one[a].1.clone());
            assert_eq!(open(&swapped), None, "{a} and {b}");
        }
        for number in 3..10 {
            let mut more = one.clone();
            more.push((format!("{NAME}.{number}"), one[2].1.clone()));
            assert_eq!(open(&more), None, "and {number}");
        }
        assert_eq!(sealed().open(&Pieces::default()), None);
    }

    #[test]
    fn what_is_left_of_another_version_or_was_planted_does_no_harm() {
        let (before, after) = (session(90), session(0));
        let [before, now] = [&before, &after].map(|session| sealed().seal(session).expect("it fits"));
        let left = [&now[..], &before[2..]].concat();
        assert_eq!(open(&left), Some(after.clone()));
        assert_eq!(
            open(&[&before[..1], &left[..]].concat()),
            Some(after.clone()),
            "an old first piece in front"
        );
        let planted = (NAME.to_owned(), format!("1AAAA{}", "A".repeat(200)));
        assert_eq!(open(&[&[planted], &now[..]].concat()), Some(after));
    }

    #[test]
    fn what_was_cut_or_changed_anywhere_is_nobodys() {
        let cookies = sealed().seal(&session(0)).expect("it fits");
        let (name, value) = cookies[0].clone();
        for length in 0..value.len() {
            assert_eq!(open(&[(name.clone(), value[..length].to_owned())]), None, "{length} characters");
        }
        // The set is a matter of sorting, and of one piece there is nothing to sort.
        for at in (0..value.len()).filter(|at| !(1..HEADER).contains(at)) {
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(open(&[(name.clone(), changed)]), None, "character {at}");
        }
    }

    #[test]
    fn a_smaller_session_takes_its_spare_pieces_back() {
        let large = shown(&sealed().seal(&session(90)).expect("it fits"));
        let tickets = sealed().hand_out(&session(0), &large, None, now()).expect("it fits");
        let starts: Vec<_> = tickets.iter().map(|ticket| &ticket.set_cookie()[..NAME.len() + 3]).collect();
        assert_eq!(starts[1..], [format!("{NAME}.1="), format!("{NAME}.2=")]);
        assert!(tickets[1..].iter().all(|ticket| ticket.set_cookie().contains("=; ")));
        assert!(tickets[1..].iter().all(|ticket| ticket.set_cookie().contains("Max-Age=0")));
        assert_eq!(sealed().take_back(&large).len(), 3);
        assert_eq!(sealed().take_back(&Pieces::default()).len(), 1);
    }

    proptest! {
        #[test]
        fn no_pieces_make_the_reader_panic(
            values in prop::collection::vec((0_usize..10, "[0-7]{0,1}[AB]{0,5}[A-Za-z0-9_=-]{0,80}"), 0..12),
        ) {
            let named = values.into_iter().map(|(number, value)| (Names::new(NAME).of(number).to_owned(), value));
            prop_assert_eq!(open(&named.collect::<Vec<_>>()), None);
        }

        #[test]
        fn no_bytes_make_the_unpacking_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            let _ = unpack(bytes.clone());
            bytes[0] = DEFLATED;
            prop_assert!(unpack(bytes).is_none_or(|plain| plain.len() <= LARGEST));
        }
    }
}
