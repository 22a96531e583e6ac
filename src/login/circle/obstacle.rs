//! Obstacle: why a cookie of ours does not come back.
//!
//! Comes in: how the cookie is configured, and a request without it. Goes out: the attribute that stands in the way, as far
//! as that can be known from here (RFC 6265bis, section 5.7). Never blames the browser where the configuration is at fault.

use crate::message::Fields;
use crate::session::{CookieSettings, SameSite};

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `__Host-` or `__Secure-` over http.
    Prefix,
    /// `Secure` over http.
    Secure,
    /// `Domain` of another host.
    Domain,
    /// `Path` of other pages.
    Path,
    /// `SameSite=None` without `Secure`.
    SameSiteNone,
    /// `SameSite=Strict`, and the request comes from another site.
    SameSiteStrict,
    /// None of these: cookies are switched off, or somebody on the way takes them out.
    Blocked,
}

/// A request without the cookie.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The host, in lower case and without port.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// Whether the browser speaks https.
    pub secure: bool,
    /// The fields.
    pub fields: &'a Fields,
}

impl Obstacle {
    /// What stands in the way of a cookie at a request.
    pub fn find(cookie: &CookieSettings, seen: &Seen<'_>) -> Self {
        let prefixed = ["__Host-", "__Secure-"].iter().any(|prefix| cookie.name.starts_with(prefix));
        let crosses = seen
            .fields
            .get("sec-fetch-site")
            .is_some_and(|site| matches!(site, b"cross-site" | b"same-site"));
        match cookie.same_site {
            _ if prefixed && !seen.secure => Obstacle::Prefix,
            _ if cookie.secure && !seen.secure => Obstacle::Secure,
            _ if cookie.domain.as_deref().is_some_and(|domain| !is_within(seen.host, domain)) => {
                Obstacle::Domain
            }
            _ if !is_below(seen.path, &cookie.path) => Obstacle::Path,
            SameSite::None if !cookie.secure => Obstacle::SameSiteNone,
            SameSite::Strict if crosses => Obstacle::SameSiteStrict,
            _ => Obstacle::Blocked,
        }
    }

    /// As in `Set-Cookie`, with the value that is configured.
    pub fn attribute(self, cookie: &CookieSettings) -> String {
        match self {
            Obstacle::Prefix | Obstacle::Blocked => cookie.name.clone(),
            Obstacle::Secure => "Secure".to_owned(),
            Obstacle::Domain => format!("Domain={}", cookie.domain.as_deref().unwrap_or_default()),
            Obstacle::Path => format!("Path={}", cookie.path),
            Obstacle::SameSiteNone => "SameSite=None".to_owned(),
            Obstacle::SameSiteStrict => "SameSite=Strict".to_owned(),
        }
    }
}

/// Whether a cookie for this domain is taken from this host (RFC 6265bis, section 5.1.3).
fn is_within(host: &str, domain: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a cookie for this path is sent to that one (RFC 6265bis, section 5.1.4).
fn is_below(path: &str, cookie_path: &str) -> bool {
    let whole = cookie_path.ends_with('/');
    path.strip_prefix(cookie_path).is_some_and(|rest| whole || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(name: &str, secure: bool, same_site: SameSite) -> CookieSettings {
        let (name, path, domain) = (name.to_owned(), "/".to_owned(), None);
        CookieSettings { name, secure, same_site, path, domain, partitioned: false }
    }

    fn at(cookie: &CookieSettings, host: &str, path: &str, secure: bool, site: &str) -> Obstacle {
        let mut fields = Fields::new();
        fields.append("Sec-Fetch-Site", site);
        Obstacle::find(cookie, &Seen { host, path, secure, fields: &fields })
    }

    #[test]
    fn the_attribute_that_stands_in_the_way_is_found() {
        use SameSite::{Lax, None, Strict};
        let host = cookie("__Host-cloakroom", true, Lax);
        let secure = cookie("cloakroom", true, Lax);
        let none = cookie("cloakroom", false, None);
        let strict = cookie("cloakroom", false, Strict);
        let domain = CookieSettings { domain: Some("example.com".to_owned()), ..secure.clone() };
        let path = CookieSettings { path: "/app".to_owned(), ..secure.clone() };
        for (cookie, name, page, https, site, expected, attribute) in [
            (&host, "a.b", "/", false, "same-origin", Obstacle::Prefix, "__Host-cloakroom"),
            (&host, "a.b", "/", true, "same-origin", Obstacle::Blocked, "__Host-cloakroom"),
            (&secure, "a.b", "/", false, "same-origin", Obstacle::Secure, "Secure"),
            (&none, "a.b", "/", false, "same-origin", Obstacle::SameSiteNone, "SameSite=None"),
            (&strict, "a.b", "/", false, "cross-site", Obstacle::SameSiteStrict, "SameSite=Strict"),
            (&strict, "a.b", "/", false, "same-origin", Obstacle::Blocked, "cloakroom"),
            (&domain, "badexample.com", "/", true, "", Obstacle::Domain, "Domain=example.com"),
            (&domain, "app.example.com", "/", true, "", Obstacle::Blocked, "cloakroom"),
            (&domain, "example.com", "/", true, "", Obstacle::Blocked, "cloakroom"),
            (&path, "a.b", "/application", true, "", Obstacle::Path, "Path=/app"),
            (&path, "a.b", "/app/x", true, "", Obstacle::Blocked, "cloakroom"),
        ] {
            let found = at(cookie, name, page, https, site);
            assert_eq!(
                (found, found.attribute(cookie).as_str()),
                (expected, attribute),
                "{name}{page} {site}"
            );
        }
    }
}
