//! Target: where to go after signing in or out.
//!
//! Comes in: whatever stood in `return=`. Goes out: a path on this very origin, `/` in case of doubt. Never an address
//! elsewhere, however a browser may read it (WHATWG URL, section 4.4: `\` counts as `/`, tabs and line breaks as nothing).

use percent_encoding::percent_decode_str;

use crate::login::replay::is_name;

const LONGEST: usize = 4096;

/// Pages of ours that a login may lead to: one's own sessions, and one's second factor.
const OWN_PAGES: [&str; 2] = ["/sessions", "/totp"];

/// A path that is still encoded after so many times is meant to deceive somebody.
const MOST_DECODED: usize = 4;

/// The wanted path if it is safe to go there: it starts with one `/`, has no empty or dot segments, no backslash or
/// control character, also after percent-decoding, and does not lead back under `reserved`, unless to one of the
/// pages that are there for somebody who is signed in, or to that of a request that waits.
pub fn return_target<'a>(wanted: &'a str, reserved: &str) -> &'a str {
    let own_page = wanted.strip_prefix(reserved);
    let is_open = own_page.is_some_and(|page| {
        OWN_PAGES.contains(&page) || page.strip_prefix("/replay?request=").is_some_and(is_name)
    });
    if is_open || is_safe(wanted, reserved) { wanted } else { "/" }
}

fn is_safe(wanted: &str, reserved: &str) -> bool {
    let plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if wanted.len() > LONGEST || !plain {
        return false;
    }
    let mut path = wanted.split(['?', '#']).next().unwrap_or_default().to_owned();
    // Somebody behind us may decode once more than we do.
    for _ in 0..MOST_DECODED {
        if !is_safe_path(&path, reserved) {
            return false;
        }
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else { return false };
        if decoded == path {
            return true;
        }
        path = decoded.into_owned();
    }
    false
}

fn is_safe_path(path: &str, reserved: &str) -> bool {
    let Some(below_root) = path.strip_prefix('/') else { return false };
    let mut segments = below_root.split('/').peekable();
    while let Some(segment) = segments.next() {
        let inner_and_empty = segment.is_empty() && segments.peek().is_some();
        if inner_and_empty || matches!(segment, "." | "..") {
            return false;
        }
    }
    let back_inside =
        path.strip_prefix(reserved).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !back_inside && !path.chars().any(|found| found.is_control() || found == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_ours_is_kept_as_it_is() {
        for good in [
            "/",
            "/reports/2026?month=7&x=a%0Ab#top",
            "/%ED%95%9C%EA%B8%80/",
            "/100%25/50%25off",
            "/a/b/",
            "/search?next=https://elsewhere.example/&u=//x",
            "/_cloakroomy",
            "/user@host",
            "/a:b",
            "/_cloakroom/sessions",
            "/_cloakroom/replay?request=abcdefghijklmnopqrst-_",
            "/_cloakroom/totp",
        ] {
            assert_eq!(return_target(good, "/_cloakroom"), good);
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_leads_home() {
        for bad in [
            "",
            "evil",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/ /evil.example",
            "/%09/evil.example",
            "/%0d%0aLocation:%20https://evil.example",
            "/%2fevil.example",
            "/%2f%2fevil.example",
            "/%5cevil.example",
            "/a%5c..%5cb",
            "/%00",
            "%2f%2fevil.example",
            "https:evil.example",
            "https://evil.example",
            "https:/evil.example",
            "http://app.example:81/",
            "http://app.example.evil.example/",
            "http://app.example@evil.example/",
            "@evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/./evil",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e%2e//evil.example",
            "/a/../..//evil.example",
            "/a//b",
            "?a",
            "#a",
            "/\u{2028}",
            "/한글",
            "/%ff",
            "%2Fa",
            "/%252fevil.example",
            "/%25252fevil.example",
            "/%255cevil.example",
            "/%2509/evil.example",
            "/%252e%252e/evil",
            "/%25ff",
            "/%2525252525252561",
            "/\u{0}",
            "/_cloakroom",
            "/_cloakroom/logout",
            "/%5fcloakroom/login?return=/",
            "/_cloakroom?x",
            "/_cloakroom/sessions/",
            "/_cloakroom/sessions?done=others",
            "/_cloakroom/replay",
            "/_cloakroom/replay?request=",
            "/_cloakroom/replay?request=abcdefghijklmnopqrst-_&x",
            "/_cloakroom/replay?request=abcdefghijklmnopqrst-/",
        ] {
            assert_eq!(return_target(bad, "/_cloakroom"), "/", "{bad:?}");
        }
        assert_eq!(return_target(&format!("/{}", "a".repeat(5000)), "/_cloakroom"), "/");
    }
}
