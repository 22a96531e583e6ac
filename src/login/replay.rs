//! Replay: requests that came without a login and wait for it.
//!
//! Comes in: what is to be sent again: method, target, content type and body, and the browser it came from. Goes out: the
//! same, once, to whoever has logged in in that browser. Never keeps more bytes than it is given, nor anything longer than
//! its lifetime, and never a cookie or a credential. It lives in this process's memory only.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Method;

use crate::clock::Timestamp;
use crate::message::Fields;
use browser::Mark;

pub mod browser;

/// `login.replay_body`, `login.replay_total` and `login.replay_for`.
#[derive(Clone, Copy, Debug)]
pub struct ReplaySettings {
    /// Bytes of the largest body that is kept (default 64 KiB); 0 keeps nothing.
    pub body: usize,
    /// Bytes of all that is kept (default 16 MiB).
    pub total: usize,
    /// For how long (default 10 min).
    pub lasting: Duration,
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self { body: 64 << 10, total: 16 << 20, lasting: Duration::from_secs(600) }
    }
}

/// A request that waits.
#[derive(Clone)]
pub struct Kept {
    /// POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Path in normal form, and query.
    pub target: String,
    /// The site it was for, with its port.
    pub authority: String,
    /// What the body is.
    pub content_type: Option<Vec<u8>>,
    /// The body.
    pub body: Bytes,
    /// Who may send it, where that is known: whoever was signed in, or has been asked already.
    pub user: Option<String>,
    /// The page of this site that it was sent from.
    pub page: Option<String>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({}, {} bytes)", self.method, self.body.len())
    }
}

/// What each of them takes up besides its body.
const OVERHEAD: usize = 1024;

/// Characters of a name: 16 bytes in base64url.
const NAME_LENGTH: usize = 22;

/// Methods whose requests are worth sending again: they change something.
pub fn changes_something(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// Whether a request means the same when it is sent again without these fields, which are not kept.
pub fn is_whole_without_fields(fields: &Fields) -> bool {
    const MATTERS: [&str; 9] = [
        "authorization",
        "content-encoding",
        "content-range",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    ];
    !MATTERS.iter().any(|name| fields.contains(name))
}

/// Whether a text can be the name of a request.
pub fn is_name(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == NAME_LENGTH && text.bytes().all(alphabet)
}

/// All that is kept. Outlives a configuration.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    places: HashMap<String, Place>,
    /// Bytes of all places, and of those that are about to be filled.
    taken: usize,
    /// Counts what is kept: the oldest goes first.
    count: u64,
}

#[derive(Debug)]
struct Place {
    kept: Kept,
    browser: Mark,
    from: Option<IpAddr>,
    since: Timestamp,
    number: u64,
}

impl Place {
    fn size(&self) -> usize {
        OVERHEAD + self.kept.body.len() + self.kept.target.len()
    }

    /// Whether it is still there for this browser, site and user.
    fn is_for(&self, browser: &Mark, authority: &str, user: &str) -> bool {
        self.browser == *browser
            && self.kept.authority.eq_ignore_ascii_case(authority)
            && self.kept.user.as_deref().is_none_or(|whose| whose == user)
    }
}

/// Room for a body that is still to be read; given back when dropped.
#[derive(Debug)]
pub struct Room<'s> {
    shelf: &'s Shelf,
    bytes: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.shelf.inside().taken -= self.bytes;
    }
}

/// Who wants to see or send a request.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The browser that shows itself.
    pub browser: Mark,
    /// The site it is on.
    pub authority: &'a str,
    /// Who is logged in there.
    pub user: &'a str,
}

impl Shelf {
    /// Room for a body of so many bytes. Where there is none, the oldest request of the address that has the most goes.
    pub fn reserve(&self, bytes: usize, settings: &ReplaySettings, now: Timestamp) -> Option<Room<'_>> {
        let bytes = bytes + OVERHEAD;
        let mut inside = self.inside();
        if inside.taken + bytes > settings.total {
            inside.sweep(settings.lasting, now);
        }
        while inside.taken + bytes > settings.total {
            inside.make_room()?;
        }
        inside.taken += bytes;
        Some(Room { shelf: self, bytes })
    }

    /// Keeps a request; what it is called.
    pub fn keep(
        &self,
        room: Room<'_>,
        kept: Kept,
        browser: Mark,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> String {
        drop(room);
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
        let name = URL_SAFE_NO_PAD.encode(bytes);
        let mut inside = self.inside();
        inside.count += 1;
        let place = Place { kept, browser, from: from.map(household), since: now, number: inside.count };
        inside.taken += place.size();
        inside.places.insert(name.clone(), place);
        name
    }

    /// Shows a request to whoever may send it; from now on nobody else may. Somebody else makes it go.
    pub fn show(
        &self,
        name: &str,
        claim: &Claim<'_>,
        settings: &ReplaySettings,
        now: Timestamp,
    ) -> Option<Kept> {
        let mut inside = self.inside();
        let place = inside.find(name, claim, settings.lasting, now)?;
        place.kept.user = Some(claim.user.to_owned());
        Some(place.kept.clone())
    }

    /// Takes a request out, for good.
    pub fn take(
        &self,
        name: &str,
        claim: &Claim<'_>,
        settings: &ReplaySettings,
        now: Timestamp,
    ) -> Option<Kept> {
        let mut inside = self.inside();
        inside.find(name, claim, settings.lasting, now)?;
        inside.remove(name).map(|place| place.kept)
    }

    /// The newest request of a browser, where it does not say which.
    pub fn newest(&self, browser: &Mark) -> Option<String> {
        let inside = self.inside();
        let own = inside.places.iter().filter(|(_, place)| place.browser == *browser);
        own.max_by_key(|(_, place)| place.number).map(|(name, _)| name.clone())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn find(
        &mut self,
        name: &str,
        claim: &Claim<'_>,
        lasting: Duration,
        now: Timestamp,
    ) -> Option<&mut Place> {
        let place = self.places.get(name).filter(|place| place.browser == claim.browser)?;
        let over = now.since(place.since) >= lasting;
        if over || !place.is_for(&claim.browser, claim.authority, claim.user) {
            self.remove(name);
            return None;
        }
        self.places.get_mut(name)
    }

    fn remove(&mut self, name: &str) -> Option<Place> {
        let place = self.places.remove(name)?;
        self.taken -= place.size();
        Some(place)
    }

    fn sweep(&mut self, lasting: Duration, now: Timestamp) {
        let mut freed = 0;
        self.places.retain(|_, place| {
            let lives = now.since(place.since) < lasting;
            freed += if lives { 0 } else { place.size() };
            lives
        });
        self.taken -= freed;
    }

    fn make_room(&mut self) -> Option<()> {
        let mut shares: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for place in self.places.values() {
            *shares.entry(place.from).or_default() += place.size();
        }
        let (greediest, _) = shares.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let theirs = self.places.iter().filter(|(_, place)| place.from == greediest);
        let name = theirs.min_by_key(|(_, place)| place.number).map(|(name, _)| name.clone())?;
        self.remove(&name).map(|_| ())
    }
}

/// IPv4 whole, IPv6 by its first 64 bits.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ReplaySettings =
        ReplaySettings { body: 1000, total: 8 * 1024, lasting: Duration::from_secs(600) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn request(body: &'static [u8], user: Option<&str>) -> Kept {
        Kept {
            method: Method::POST,
            target: "/notes?x=1".to_owned(),
            authority: "App.example".to_owned(),
            content_type: None,
            body: Bytes::from_static(body),
            user: user.map(str::to_owned),
            page: None,
        }
    }

    fn mark(byte: u8) -> Mark {
        Mark::of(&[byte; 4])
    }

    fn claim(browser: u8, user: &str) -> Claim<'_> {
        Claim { browser: mark(browser), authority: "app.example", user }
    }

    fn put(shelf: &Shelf, kept: Kept, browser: u8, from: [u8; 4], now: Timestamp) -> String {
        let room = shelf.reserve(kept.body.len(), &SETTINGS, now).expect("room");
        shelf.keep(room, kept, mark(browser), Some(from.into()), now)
    }

    #[test]
    fn a_request_is_sent_once_by_whoever_logs_in_in_its_browser() {
        let shelf = Shelf::default();
        let name = put(&shelf, request(b"a=b", None), 1, [192, 0, 2, 1], at(0));
        assert!(is_name(&name));
        assert!(shelf.show(&name, &claim(2, "alice"), &SETTINGS, at(1)).is_none(), "another browser");
        let shown = shelf.show(&name, &claim(1, "alice"), &SETTINGS, at(1)).expect("it waits");
        assert_eq!((&shown.body[..], shown.method), (&b"a=b"[..], Method::POST));
        assert!(shelf.take(&name, &claim(1, "alice"), &SETTINGS, at(2)).is_some());
        assert!(shelf.take(&name, &claim(1, "alice"), &SETTINGS, at(2)).is_none());
        assert_eq!(shelf.inside().taken, 0);
    }

    #[test]
    fn another_user_makes_it_go() {
        let shelf = Shelf::default();
        let asked = put(&shelf, request(b"", None), 1, [192, 0, 2, 1], at(0));
        assert!(shelf.show(&asked, &claim(1, "alice"), &SETTINGS, at(1)).is_some());
        let of_alice = put(&shelf, request(b"", Some("alice")), 1, [192, 0, 2, 1], at(0));
        for name in [asked, of_alice] {
            assert!(shelf.take(&name, &claim(1, "bob"), &SETTINGS, at(2)).is_none());
            assert!(shelf.take(&name, &claim(1, "alice"), &SETTINGS, at(2)).is_none(), "it has gone");
        }
    }

    #[test]
    fn neither_another_site_nor_a_later_day_sends_it() {
        let shelf = Shelf::default();
        let name = put(&shelf, request(b"", None), 1, [192, 0, 2, 1], at(0));
        let elsewhere = Claim { authority: "app.example:8443", ..claim(1, "alice") };
        assert!(shelf.take(&name, &elsewhere, &SETTINGS, at(1)).is_none());
        let name = put(&shelf, request(b"", None), 1, [192, 0, 2, 1], at(0));
        assert!(shelf.show(&name, &claim(1, "alice"), &SETTINGS, at(599)).is_some());
        assert!(shelf.show(&name, &claim(1, "alice"), &SETTINGS, at(600)).is_none());
    }

    #[test]
    fn who_has_the_most_gives_way() {
        let shelf = Shelf::default();
        let of_one = put(&shelf, request(b"", None), 1, [192, 0, 2, 1], at(0));
        let many: Vec<_> =
            (0..20).map(|n| put(&shelf, request(b"x", None), 2, [198, 51, 100, 1], at(n))).collect();
        assert!(shelf.inside().taken <= SETTINGS.total);
        assert!(shelf.show(&of_one, &claim(1, "alice"), &SETTINGS, at(30)).is_some());
        assert!(shelf.show(&many[19], &claim(2, "mallory"), &SETTINGS, at(30)).is_some());
        assert!(shelf.show(&many[0], &claim(2, "mallory"), &SETTINGS, at(30)).is_none());
        assert_eq!(shelf.newest(&mark(1)).as_ref(), Some(&of_one));
    }

    #[test]
    fn room_that_is_being_filled_counts_and_is_given_back() {
        let shelf = Shelf::default();
        let rooms: Vec<_> = (0..4).map_while(|_| shelf.reserve(1000, &SETTINGS, at(0))).collect();
        assert_eq!(rooms.len(), 4);
        assert!(shelf.reserve(1000, &SETTINGS, at(0)).is_none());
        drop(rooms);
        assert_eq!(shelf.inside().taken, 0);
        assert!(shelf.reserve(1000, &SETTINGS, at(0)).is_some());
        assert!(shelf.reserve(SETTINGS.total, &SETTINGS, at(0)).is_none());
    }

    #[test]
    fn households_count_as_one() {
        let [one, other] = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| text.parse().expect("an address"));
        assert_eq!(household(one), household(other));
        assert_ne!(household(one), household("2001:db8:0:1::1".parse().expect("an address")));
    }
}
