//! Origin: where a session was made, in so few bytes that every session can hold it.
//!
//! Comes in: a client's address and what its browser says of itself. Goes out: the same, as people read it on the page of
//! their sessions. Never keeps the text of a browser: that would be a fingerprint.

use std::net::IpAddr;

use memchr::memmem;

/// Where a session was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; none over a Unix socket.
    pub address: Option<IpAddr>,
    /// Which browser, as a number of our own; 0 is unknown.
    pub browser: u8,
    /// On which system, likewise.
    pub system: u8,
}

/// So much of a `User-Agent` is looked at. The usual ones are no longer than half of it.
const LONGEST: usize = 512;

/// A name for people, and what gives it away. Stores keep places in these lists, counted from 1: new entries go to the end.
type Known = (&'static str, &'static [&'static str]);

const BROWSERS: [Known; 7] = [
    ("Edge", &["Edg/", "EdgA/", "EdgiOS/", "Edge/"]),
    ("Opera", &["OPR/", "OPX/", "OPT/", "Opera/"]),
    ("Samsung Internet", &["SamsungBrowser/"]),
    ("Firefox", &["Firefox/", "FxiOS/"]),
    ("Chrome", &["Chrome/", "CriOS/", "Chromium/"]),
    ("Safari", &["Safari/"]),
    ("curl", &["curl/"]),
];

const SYSTEMS: [Known; 6] = [
    ("Windows", &["Windows"]),
    ("macOS", &["Macintosh", "Mac OS X"]),
    ("Linux", &["Linux", "X11"]),
    ("Android", &["Android"]),
    ("iOS", &["iPhone", "iPad", "iPod"]),
    ("ChromeOS", &["CrOS"]),
];

/// In which order to ask, as places in the lists: whoever claims to be others as well comes before them. Edge and Opera
/// say Chrome, and Chrome says Safari; iPhones say Mac OS X, and Android says Linux.
const BROWSERS_IN_ORDER: [u8; 7] = [1, 2, 3, 4, 5, 6, 7];
const SYSTEMS_IN_ORDER: [u8; 6] = [1, 4, 5, 6, 2, 3];

impl Origin {
    /// What an address and a `User-Agent` tell.
    pub fn of(address: Option<IpAddr>, user_agent: &[u8]) -> Self {
        let said = &user_agent[..user_agent.len().min(LONGEST)];
        Self {
            address: address.map(|address| address.to_canonical()),
            browser: recognise(said, &BROWSERS, &BROWSERS_IN_ORDER),
            system: recognise(said, &SYSTEMS, &SYSTEMS_IN_ORDER),
        }
    }

    /// The browser, for people.
    pub fn browser_name(&self) -> Option<&'static str> {
        name(self.browser, &BROWSERS)
    }

    /// The system, for people.
    pub fn system_name(&self) -> Option<&'static str> {
        name(self.system, &SYSTEMS)
    }
}

fn recognise(said: &[u8], known: &[Known], order: &[u8]) -> u8 {
    let says = |number: &u8| {
        let (_, tokens) = known[usize::from(*number) - 1];
        tokens.iter().any(|token| memmem::find(said, token.as_bytes()).is_some())
    };
    order.iter().copied().find(says).unwrap_or(0)
}

/// A number from a store may be that of a later version.
fn name(number: u8, known: &[Known]) -> Option<&'static str> {
    let at = usize::from(number).checked_sub(1)?;
    known.get(at).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(user_agent: &str) -> (Option<&'static str>, Option<&'static str>) {
        let origin = Origin::of(None, user_agent.as_bytes());
        (origin.browser_name(), origin.system_name())
    }

    #[test]
    fn browsers_are_told_apart_although_each_claims_to_be_the_others() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let cases = [
            (
                "(Windows NT 10.0; Win64; x64) {} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
                "Edge",
                "Windows",
            ),
            (
                "(Linux; Android 10; K) {} Chrome/141.0.0.0 Mobile Safari/537.36 EdgA/141.0.0.0",
                "Edge",
                "Android",
            ),
            (
                "(iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 \
                 EdgiOS/141.0.3537.57 Mobile/15E148 Safari/604.1",
                "Edge",
                "iOS",
            ),
            (
                "(Windows NT 10.0; Win64; x64) {} Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0",
                "Opera",
                "Windows",
            ),
            (
                "(Linux; Android 10; K) {} Chrome/139.0.0.0 Mobile Safari/537.36 OPR/92.0.0.0",
                "Opera",
                "Android",
            ),
            (
                "(Linux; Android 10; K) {} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
                "Samsung Internet",
                "Android",
            ),
            ("(X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox", "Linux"),
            ("(Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox", "macOS"),
            ("(Android 16; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", "Firefox", "Android"),
            (
                "(iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/144.0 \
                 Mobile/15E148 Safari/605.1.15",
                "Firefox",
                "iOS",
            ),
            ("(Windows NT 10.0; Win64; x64) {} Chrome/143.0.0.0 Safari/537.36", "Chrome", "Windows"),
            ("(Macintosh; Intel Mac OS X 10_15_7) {} Chrome/143.0.0.0 Safari/537.36", "Chrome", "macOS"),
            ("(X11; Linux x86_64) {} Chrome/143.0.0.0 Safari/537.36", "Chrome", "Linux"),
            ("(X11; CrOS x86_64 14541.0.0) {} Chrome/143.0.0.0 Safari/537.36", "Chrome", "ChromeOS"),
            ("(Linux; Android 10; K) {} Chrome/143.0.0.0 Mobile Safari/537.36", "Chrome", "Android"),
            (
                "(iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0.7499.38 \
                 Mobile/15E148 Safari/604.1",
                "Chrome",
                "iOS",
            ),
            (
                "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 \
                 Safari/605.1.15",
                "Safari",
                "macOS",
            ),
            (
                "(iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 \
                 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
            ),
        ];
        for (rest, browser, system) in cases {
            let user_agent = format!("Mozilla/5.0 {}", rest.replace("{}", WEBKIT));
            assert_eq!(names(&user_agent), (Some(browser), Some(system)), "{user_agent}");
        }
    }

    #[test]
    fn what_is_no_browser_is_told_as_far_as_it_tells() {
        assert_eq!(names("curl/8.17.0"), (Some("curl"), None));
        assert_eq!(names("python-requests/2.32.5"), (None, None));
        assert_eq!(names("Wget/1.25.0 (linux-gnu)"), (None, None));
        assert_eq!(
            names("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko"),
            (None, Some("Windows"))
        );
        assert_eq!(names(""), (None, None));
    }

    #[test]
    fn an_address_is_kept_in_its_usual_form() {
        let mapped = "::ffff:192.0.2.1".parse().ok();
        assert_eq!(Origin::of(mapped, b"").address, "192.0.2.1".parse().ok());
        assert_eq!(Origin::of(None, b"").address, None);
    }

    #[test]
    fn only_the_beginning_of_an_absurd_text_is_looked_at() {
        let absurd = format!("{}Firefox/144.0", "Fire".repeat(1_000_000));
        assert_eq!(names(&absurd), (None, None));
    }

    #[test]
    fn every_number_that_is_given_has_a_name_and_is_asked_for_once() {
        let sorted = |order: &[u8]| {
            let mut order = order.to_vec();
            order.sort_unstable();
            order.into_iter().map(usize::from).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&BROWSERS_IN_ORDER), (1..=BROWSERS.len()).collect::<Vec<_>>());
        assert_eq!(sorted(&SYSTEMS_IN_ORDER), (1..=SYSTEMS.len()).collect::<Vec<_>>());
        let unknown = Origin { browser: 200, system: 0, ..Origin::default() };
        assert_eq!((unknown.browser_name(), unknown.system_name()), (None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(user_agent in prop::collection::vec(any::<u8>(), 0..2000)) {
            let origin = Origin::of(None, &user_agent);
            let _ = (origin.browser_name(), origin.system_name());
        }
    }
}
