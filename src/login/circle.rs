//! Circle: somebody signs in again and again, and no cookie of ours ever comes back.
//!
//! Comes in: that somebody has signed in, and that somebody without a cookie is about to be sent to the login. Goes out:
//! whether that goes round in circles. Browsers without cookies are told apart by address and what they say of themselves;
//! of those that come anew (an address typed in, a bookmark) nothing is counted. Never more memory than set.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::message::Fields;

pub mod obstacle;

/// So many times round within this long is a circle.
const ROUNDS: u32 = 3;
const WITHIN: Duration = Duration::from_secs(30);

/// Browsers remembered; the longest unused go first.
const ROOM: u64 = 10_000;

type Browser = [u8; 16];

/// Who goes round. Outlives nothing: half a minute is soon over.
#[derive(Debug)]
pub struct Circles(Cache<Browser, Rounds>);

#[derive(Clone, Copy, Debug)]
struct Rounds {
    since: Timestamp,
    count: u32,
    /// A ticket went out, and has not been seen since.
    signed_in: bool,
}

impl Default for Circles {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(ROOM).time_to_live(2 * WITHIN).build())
    }
}

impl Circles {
    /// Somebody was handed a ticket.
    pub fn signed_in(&self, client: Option<IpAddr>, fields: &Fields, now: Timestamp) {
        self.note(browser(client, fields), now, |rounds| rounds.signed_in = true);
    }

    /// The ticket came back: there is no circle.
    pub fn came_back(&self, client: Option<IpAddr>, fields: &Fields) {
        self.0.invalidate(&browser(client, fields));
    }

    /// Somebody without a ticket is about to be sent to the login: whether that is one time too many.
    pub fn sent_back(&self, client: Option<IpAddr>, fields: &Fields, now: Timestamp) -> bool {
        if comes_anew(fields) {
            return false;
        }
        self.round(client, fields, now, |rounds| std::mem::take(&mut rounds.signed_in))
    }

    /// A form of ours came without the cookie that belongs to it: whether that is one time too many.
    pub fn without_cookie(&self, client: Option<IpAddr>, fields: &Fields, now: Timestamp) -> bool {
        self.round(client, fields, now, |_| true)
    }

    fn round(
        &self,
        client: Option<IpAddr>,
        fields: &Fields,
        now: Timestamp,
        counts: impl Fn(&mut Rounds) -> bool,
    ) -> bool {
        let browser = browser(client, fields);
        let mut is_circle = false;
        if self.0.contains_key(&browser) || counts(&mut Rounds { since: now, count: 0, signed_in: false }) {
            self.note(browser, now, |rounds| {
                rounds.count += u32::from(counts(rounds));
                is_circle = rounds.count >= ROUNDS;
                // Whoever has been told may try again.
                if is_circle {
                    rounds.count = 0;
                }
            });
        }
        is_circle
    }

    fn note(&self, browser: Browser, now: Timestamp, change: impl FnOnce(&mut Rounds)) {
        self.0.entry(browser).and_compute_with(|entry| {
            let known = entry.map(moka::Entry::into_value);
            let known = known.filter(|rounds| rounds.since <= now && now.since(rounds.since) < WITHIN);
            let mut rounds = known.unwrap_or(Rounds { since: now, count: 0, signed_in: false });
            change(&mut rounds);
            Op::Put(rounds)
        });
    }
}

/// Whether somebody has typed the address in, or comes from a bookmark (Fetch Metadata, section 2.3).
fn comes_anew(fields: &Fields) -> bool {
    fields.get("sec-fetch-site") == Some(b"none")
}

/// What tells browsers apart that send no cookie.
fn browser(client: Option<IpAddr>, fields: &Fields) -> Browser {
    let mut hash = Context::new(&SHA256);
    hash.update(client.map(|address| address.to_canonical().to_string()).unwrap_or_default().as_bytes());
    for name in ["user-agent", "accept-language"] {
        hash.update(b"\n");
        hash.update(fields.get(name).unwrap_or_default());
    }
    *hash.finish().as_ref().first_chunk().expect("a SHA-256 is 32 bytes long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        fields
    }

    /// Whether each of some rounds is one too many, with so many seconds between them.
    fn rounds(circles: &Circles, fields: &Fields, count: u64, seconds: u64) -> Vec<bool> {
        let round = |n| {
            circles.signed_in(None, fields, at(n * seconds));
            circles.sent_back(None, fields, at(n * seconds))
        };
        (0..count).map(round).collect()
    }

    #[test]
    fn three_times_round_is_a_circle_and_then_it_begins_anew() {
        let browser = fields(&[("User-Agent", "x")]);
        assert_eq!(rounds(&Circles::default(), &browser, 5, 1), [false, false, true, false, false]);
        assert_eq!(rounds(&Circles::default(), &browser, 5, 15), [false; 5], "too slow");
    }

    #[test]
    fn a_ticket_that_comes_back_ends_it() {
        let (circles, browser) = (Circles::default(), fields(&[]));
        assert_eq!(rounds(&circles, &browser, 2, 1), [false; 2]);
        circles.came_back(None, &browser);
        assert_eq!(rounds(&circles, &browser, 2, 1), [false; 2]);
    }

    #[test]
    fn who_has_not_signed_in_does_not_go_round() {
        let circles = Circles::default();
        let browser = fields(&[]);
        assert!((0..10).all(|n| !circles.sent_back(None, &browser, at(n))));
        assert_eq!(circles.0.iter().count(), 0, "and takes up no room");
        let typed = fields(&[("Sec-Fetch-Site", "none")]);
        assert_eq!(rounds(&circles, &typed, 5, 1), [false; 5]);
    }

    #[test]
    fn forms_without_their_cookie_go_round() {
        let circles = Circles::default();
        let browser = fields(&[]);
        let told: Vec<_> = (0..4).map(|n| circles.without_cookie(None, &browser, at(n))).collect();
        assert_eq!(told, [false, false, true, false]);
        let other = fields(&[("User-Agent", "y")]);
        assert!(!circles.without_cookie(None, &other, at(3)), "each browser for itself");
    }
}
