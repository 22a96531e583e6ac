//! Ticket: the cookie's way out.
//!
//! Comes in: a sealed id, or a session sealed in pieces, and how the cookie is configured. Goes out: a `Set-Cookie` value,
//! or one that takes the cookie back. Never looks at a request.

use std::fmt;
use std::time::Duration;

use ::cookie::time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::session::cookie::pieces::Names;
use crate::session::settings::{CookieSettings, SameSite};

/// A `Set-Cookie` value with an id in it, or one that takes the cookie back.
pub struct Ticket(String);

impl Ticket {
    /// The value for `Set-Cookie`. Answers that carry it are not to be stored by caches.
    pub fn set_cookie(&self) -> &str {
        &self.0
    }

    /// Hands `value` out: for `lasting` when the person shall be remembered, else until the browser's session ends.
    pub(in crate::session) fn hand_out(
        settings: &CookieSettings,
        value: String,
        lasting: Option<Duration>,
        now: Timestamp,
    ) -> Self {
        Self::give(settings, &settings.name, value, lasting, now)
    }

    /// Hands out `values`, one cookie each, and takes back those of the numbers in `shown` that are no longer needed.
    pub(in crate::session) fn hand_out_pieces(
        settings: &CookieSettings,
        names: &Names,
        values: Vec<String>,
        shown: impl Iterator<Item = usize>,
        lasting: Option<Duration>,
        now: Timestamp,
    ) -> Vec<Self> {
        let spare = shown.filter(|number| *number >= values.len());
        let spare: Vec<_> = spare.map(|number| Self::expire(settings, names.of(number))).collect();
        let give = |(number, value)| Self::give(settings, names.of(number), value, lasting, now);
        values.into_iter().enumerate().map(give).chain(spare).collect()
    }

    fn give(
        settings: &CookieSettings,
        name: &str,
        value: String,
        lasting: Option<Duration>,
        now: Timestamp,
    ) -> Self {
        let mut cookie = attributes(settings, name, value);
        if let Some(lasting) = lasting {
            let seconds = i64::try_from(lasting.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(::cookie::time::Duration::seconds(seconds));
            cookie.set_expires(moment(now.plus(lasting)));
        }
        Self(cookie.to_string())
    }

    /// Takes the cookie back: same name, path and domain, already expired.
    pub(in crate::session) fn take_back(settings: &CookieSettings) -> Self {
        Self::expire(settings, &settings.name)
    }

    /// Takes a cookie in pieces back: the first in any case, and those of the numbers in `shown`.
    pub(in crate::session) fn take_back_pieces(
        settings: &CookieSettings,
        names: &Names,
        shown: impl Iterator<Item = usize>,
    ) -> Vec<Self> {
        let numbers = std::iter::once(0).chain(shown.filter(|number| *number > 0));
        numbers.map(|number| Self::expire(settings, names.of(number))).collect()
    }

    fn expire(settings: &CookieSettings, name: &str) -> Self {
        let mut cookie = attributes(settings, name, String::new());
        cookie.set_max_age(::cookie::time::Duration::ZERO);
        cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        Self(cookie.to_string())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

fn attributes(settings: &CookieSettings, name: &str, value: String) -> ::cookie::Cookie<'static> {
    let mut cookie = ::cookie::Cookie::new(name.to_owned(), value);
    cookie.set_path(settings.path.clone());
    cookie.set_http_only(true);
    cookie.set_secure(settings.secure);
    cookie.set_same_site(match settings.same_site {
        SameSite::Lax => ::cookie::SameSite::Lax,
        SameSite::Strict => ::cookie::SameSite::Strict,
        SameSite::None => ::cookie::SameSite::None,
    });
    if let Some(domain) = &settings.domain {
        cookie.set_domain(domain.clone());
    }
    if settings.partitioned {
        cookie.set_partitioned(true);
    }
    cookie
}

/// The end of the year 9999 stands for everything later.
fn moment(at: Timestamp) -> OffsetDateTime {
    const LAST: i64 = 253_402_300_799;
    let seconds = i64::try_from(at.unix_seconds()).unwrap_or(LAST).min(LAST);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-cloakroom";

    fn settings() -> CookieSettings {
        CookieSettings {
            name: NAME.to_owned(),
            secure: true,
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            partitioned: false,
        }
    }

    #[test]
    fn a_session_cookie_has_neither_max_age_nor_expires() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let ticket = Ticket::hand_out(&settings(), "v".repeat(64), None, now);
        let parts: Vec<_> = ticket.set_cookie().split("; ").collect();
        assert_eq!(parts[0], format!("{NAME}={}", "v".repeat(64)));
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(parts.contains(&attribute), "{parts:?}");
        }
        assert_eq!(parts.len(), 5, "{parts:?}");
        assert_eq!(format!("{ticket:?}"), "Ticket(…)");
    }

    #[test]
    fn a_persistent_cookie_has_max_age_and_expires_in_agreement() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let month = Duration::from_secs(30 * 24 * 3600);
        let ticket = Ticket::hand_out(&settings(), "v".to_owned(), Some(month), now);
        assert!(ticket.set_cookie().contains("; Max-Age=2592000"), "{}", ticket.set_cookie());
        let expires = "; Expires=Sun, 14 Feb 2027 08:00:00 GMT";
        assert!(ticket.set_cookie().contains(expires), "{}", ticket.set_cookie());
        Ticket::hand_out(&settings(), String::new(), Some(Duration::MAX), now);
    }

    #[test]
    fn taking_back_names_the_same_cookie_and_lets_it_expire() {
        let settings = CookieSettings {
            domain: Some("example.com".to_owned()),
            path: "/app".to_owned(),
            same_site: SameSite::None,
            partitioned: true,
            ..settings()
        };
        let ticket = Ticket::take_back(&settings);
        for part in [
            "__Host-cloakroom=;",
            "Max-Age=0",
            "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "Path=/app",
            "Domain=example.com",
            "Partitioned",
            "SameSite=None",
            "Secure",
            "HttpOnly",
        ] {
            assert!(ticket.set_cookie().contains(part), "{part} in {}", ticket.set_cookie());
        }
    }

    #[test]
    fn pieces_go_out_under_their_names_and_those_no_longer_needed_are_taken_back() {
        let (settings, names) = (settings(), Names::new(NAME));
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let lasting = Some(Duration::from_secs(60));
        let values = vec!["a".to_owned(), "b".to_owned()];
        let tickets =
            Ticket::hand_out_pieces(&settings, &names, values, [0, 1, 2, 7].into_iter(), lasting, now);
        let whole = Ticket::hand_out(&settings, "a".to_owned(), lasting, now);
        let attributes = whole.set_cookie().split_once(';').expect("attributes").1;
        let gone = Ticket::take_back(&settings);
        let gone = gone.set_cookie().split_once(';').expect("attributes").1;
        let expected = [
            format!("{NAME}=a;{attributes}"),
            format!("{NAME}.1=b;{attributes}"),
            format!("{NAME}.2=;{gone}"),
            format!("{NAME}.7=;{gone}"),
        ];
        assert_eq!(tickets.iter().map(Ticket::set_cookie).collect::<Vec<_>>(), expected);

        let back = Ticket::take_back_pieces(&settings, &names, [2].into_iter());
        let expected = [format!("{NAME}=;{gone}"), format!("{NAME}.2=;{gone}")];
        assert_eq!(back.iter().map(Ticket::set_cookie).collect::<Vec<_>>(), expected);
    }
}
