//! Return targets: nobody is sent to another site, however a target is written, wherever one is taken.
//!
//! Whole programs, raw requests: each target is sent as it stands (where HTTP lets it), percent-encoded, and encoded twice,
//! in the query and in the form, of the login and of the logout, with the host the browser asked for and with a poisoned one.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::{Browser, EchoUpstream, Message, PASSWORD, Raw, TestGateway};

/// Where browsers, or servers behind, may be led elsewhere by what looks like a path.
const HOSTILE: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "//evil.example:80/",
    "//user@evil.example",
    "//[::1]/",
    "//0x7f000001/",
    "//evil%E3%80%82example",
    "https://evil.example",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "http:/\\evil.example",
    "ftp://evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>",
    "vbscript:x",
    "blob:https://evil.example/x",
    "file:///etc/passwd",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "\\evil.example",
    "/\\/evil.example",
    "/\\\\evil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%5c%5cevil.example",
    "%5c%5cevil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "/%09%2fevil.example",
    "\t//evil.example",
    "%09//evil.example",
    "/\n/evil.example",
    "/%0a/evil.example",
    "/\r/evil.example",
    "/%0d/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/%0D%0ASet-Cookie:%20cloakroom=x",
    "/\u{0}/evil.example",
    "/%00/evil.example",
    "/\u{b}/evil.example",
    "/\u{7f}/evil.example",
    " //evil.example",
    "%20//evil.example",
    "/ /evil.example",
    "/%2f/evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "%2f%2fevil.example",
    "/%2f%2fevil.example",
    "/.//evil.example",
    "/./evil.example",
    "/..//evil.example",
    "/../evil.example",
    "/a/..//evil.example",
    "/a/../..//evil.example",
    "/%2e//evil.example",
    "/%2e%2e//evil.example",
    "/.%2e//evil.example",
    "/a//evil.example",
    "@evil.example",
    ":80",
    ":@evil.example",
    ".evil.example",
    "evil.example",
    "evil.example/",
    "localhost",
    "?//evil.example",
    "#//evil.example",
    "http://127.0.0.1@evil.example/",
    "http://127.0.0.1:80@evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1:1/",
    "http://evil.example#@127.0.0.1/",
    "http://evil.example?@127.0.0.1/",
    "http://evil.example\\@127.0.0.1/",
    "/\u{2028}/evil.example",
    "/\u{2029}/evil.example",
    "/\u{feff}/evil.example",
    "/\u{200b}/evil.example",
    "\u{ff0f}\u{ff0f}evil.example",
    "/\u{ff0f}evil.example",
    "/\u{2215}evil.example",
    "/\u{2044}evil.example",
    "/\u{ff3c}evil.example",
    "//evil\u{3002}example",
    "//evil\u{ff0e}example",
    "//ｅvil.example",
    "/〱evil.example",
    "/한글//evil.example",
    "/%c0%afevil.example",
    "/%e0%80%afevil.example",
    "/%ff//evil.example",
    "/_cloakroom/logout",
    "/_cloakroom/login?return=//evil.example",
    "/%5fcloakroom/logout",
    "/_cloakroom%2flogout",
    "/_cloakroom/replay?request=//evil.example",
    "/_cloakroom/replay?request=abcdefghijklmnopqrst-_&return=//evil.example",
];

fn gateway() -> (EchoUpstream, TestGateway) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "");
    (upstream, gateway)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn all() -> impl Iterator<Item = String> {
    let long = [format!("//{}.example", "a".repeat(3000)), format!("/{}", "a/".repeat(2500))];
    HOSTILE.iter().map(|target| (*target).to_owned()).chain(long)
}

/// A place to go is a path of this very site, as every browser reads it.
#[track_caller]
fn assert_stays(location: &str, of: &str) {
    let lower = location.to_ascii_lowercase();
    assert!(location.starts_with('/') && !location.starts_with("//"), "{of:?} led to {location:?}");
    assert!(!location.contains('\\') && !lower.contains("%5c"), "{of:?} led to {location:?}");
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{of:?} led to {location:?}");
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let hidden = ["//", "%2f", "%09", "%0a", "%0d", "%00", "/./", "/../"];
    assert!(
        !hidden.iter().any(|part| path.to_ascii_lowercase().contains(part)),
        "{of:?} led to {location:?}"
    );
    assert!(!path.starts_with("/_cloakroom/log"), "{of:?} led to {location:?}");
}

/// No line of an answer, and no address in its page, leads elsewhere.
#[track_caller]
fn assert_harmless(answer: &Message, of: &str) {
    answer.headers("location").into_iter().for_each(|location| assert_stays(location, of));
    assert!(!answer.head.to_ascii_lowercase().contains("evil"), "{of:?}: {}", answer.head);
    let text = answer.text();
    for attribute in ["href=\"", "action=\"", "src=\"", "name=\"return\" value=\""] {
        for part in text.split(attribute).skip(1) {
            let value = part.split('"').next().unwrap_or_default().replace("&#x2f;", "/");
            if value != "data:," {
                assert!(
                    value.is_empty() || value.starts_with('/') && !value.starts_with("//"),
                    "{of:?}: {value}"
                );
                assert!(!value.contains("evil"), "{of:?}: {value}");
            }
        }
    }
}

fn token(page: &Message) -> String {
    let text = page.text();
    let rest = text.split("name=\"token\" value=\"").nth(1).unwrap_or_else(|| panic!("no token in {text}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn a_login_leads_to_no_other_site() {
    let (_upstream, gateway) = gateway();
    let mut browser = Browser::of(&gateway);
    let good = token(&browser.get("/_cloakroom/login"));
    for bad in all() {
        let query = format!("/_cloakroom/login?return={}", encoded(&bad));
        if query.len() < 8000 {
            assert_harmless(&browser.get(&query), &bad);
            assert_harmless(&browser.get(&query.replace("return=", "return=&return=")), &bad);
        }
        // Each login takes the nonce away: what stays in this browser is used again.
        for target in [bad.clone(), encoded(&bad)] {
            let mut one = Browser::of(&gateway);
            one.cookies = browser.cookies.clone();
            let form = [("username", "alice"), ("password", PASSWORD), ("token", &good), ("return", &target)];
            let answer = one.post("/_cloakroom/login", &form);
            assert_eq!(answer.status, 303, "{bad:?}");
            assert_harmless(&answer, &bad);
        }
    }
}

#[test]
fn a_logout_leads_to_no_other_site() {
    let (_upstream, gateway) = gateway();
    for bad in all() {
        let mut browser = Browser::of(&gateway);
        browser.sign_in("alice");
        let query = format!("/_cloakroom/logout?return={}", encoded(&bad));
        if query.len() < 8000 {
            assert_harmless(&browser.get(&query), &bad);
        }
        let good = token(&browser.get("/_cloakroom/logout"));
        let form = [("token", good.as_str()), ("return", &bad)];
        let answer = browser.post("/_cloakroom/logout", &form);
        assert_eq!(answer.status, 303);
        assert_harmless(&answer, &bad);
        // Nobody is signed in any more: this leads on as well.
        let answer = browser.post("/_cloakroom/logout", &[("return", &encoded(&bad)), ("token", "")]);
        assert_harmless(&answer, &bad);
    }
}

#[test]
fn a_target_in_raw_bytes_is_refused_or_harmless() {
    let (_upstream, gateway) = gateway();
    for bad in all().filter(|bad| !bad.contains(['\r', '\n', '\0'])) {
        for page in ["login", "logout"] {
            let head =
                format!("GET /_cloakroom/{page}?return={bad} HTTP/1.1\r\nHost: {}\r\n", gateway.address());
            let answer =
                Raw::ask(gateway.address(), format!("{head}Accept: text/html\r\nConnection: close\r\n\r\n"));
            assert!(matches!(answer.status, 200 | 400 | 414), "{bad:?}: {}", answer.status);
            assert_harmless(&answer, &bad);
        }
    }
}

#[test]
fn a_poisoned_host_says_nothing_about_where_to_go() {
    let (_upstream, gateway) = gateway();
    for host in ["evil.example", "evil.example:80", "app.example.evil.example", "127.0.0.1"] {
        for fields in [
            "",
            "X-Forwarded-Host: evil.example\r\n",
            "Forwarded: host=evil.example;proto=https\r\n",
            "X-Original-URL: //evil.example\r\nX-Rewrite-URL: //evil.example\r\n",
            "X-Forwarded-Prefix: //evil.example\r\n",
            "Referer: https://evil.example/\r\n",
        ] {
            for target in ["/secret?a=b", "//evil.example/x", "/_cloakroom/sessions", "/_cloakroom/replay"] {
                let head =
                    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Accept: text/html\r\n\r\n");
                let answer = Raw::ask(gateway.address(), head);
                assert!(matches!(answer.status, 302 | 303 | 400), "{host} {target}: {}", answer.status);
                let location = answer.header("location").unwrap_or("/");
                assert!(
                    location.starts_with('/') && !location.starts_with("//"),
                    "{host} {target}: {location}"
                );
            }
        }
    }
}

#[test]
fn what_is_safe_still_works() {
    let (_upstream, gateway) = gateway();
    for good in [
        "/a/b?x=//y&z=https://w.example#top",
        "/%ED%95%9C%EA%B8%80/",
        "/user@host:80/",
        "/_cloakroom/sessions",
    ] {
        let mut browser = Browser::of(&gateway);
        let page = format!("/_cloakroom/login?return={}", encoded(good));
        let answer = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
        assert_eq!((answer.status, answer.header("location")), (303, Some(good)));
    }
}
