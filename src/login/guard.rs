//! Guard: was this form filled in on our own page, in this very browser?
//!
//! Comes in: the fields of a request. Goes out: yes or no, and the tokens our forms carry. Before login there is no
//! session to bind a form to, so a random nonce in a cookie of its own stands in. Never trusts a token alone: a browser
//! that says where the form was sent from is believed, too.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::message::Fields;
use crate::session::cookie;
use crate::session::keys::Keys;

/// Names of the nonce cookie, over TLS and in plain text.
pub const NONCE_COOKIES: [&str; 2] = ["__Host-cloakroom-login", "cloakroom-login"];

/// Names of the cookie that remembers a user name, over TLS and in plain text.
pub const NAME_COOKIES: [&str; 2] = ["__Host-cloakroom-user", "cloakroom-user"];

/// Names of the cookie that binds a request that waits for a login to its browser, over TLS and in plain text.
pub const REPLAY_COOKIES: [&str; 2] = ["__Host-cloakroom-replay", "cloakroom-replay"];

/// What the cookies of logins under way elsewhere begin with, over TLS and in plain text; a dot and more follow.
pub const STUB_COOKIES: [&str; 2] = ["__Host-cloakroom-oidc", "cloakroom-oidc"];

/// All cookies of the login pages, which may have a dot and more behind their names: none is ever passed on to an upstream,
/// and none is an upstream's to set.
pub const OWN_COOKIES: [&str; 8] = [
    NONCE_COOKIES[0],
    NONCE_COOKIES[1],
    NAME_COOKIES[0],
    NAME_COOKIES[1],
    REPLAY_COOKIES[0],
    REPLAY_COOKIES[1],
    STUB_COOKIES[0],
    STUB_COOKIES[1],
];

/// Characters of a nonce: 32 bytes in base64url.
const NONCE_LENGTH: usize = 43;

/// What binds a login form to a browser.
pub struct Nonce<'a> {
    value: Cow<'a, str>,
    secure: bool,
}

impl<'a> Nonce<'a> {
    /// The nonce this browser showed, if it can be one of ours.
    pub fn shown(fields: &'a Fields, secure: bool) -> Option<Self> {
        let value = cookie::find(fields, name(secure))?;
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (value.len() == NONCE_LENGTH && value.bytes().all(alphabet))
            .then_some(Self { value: Cow::Borrowed(value), secure })
    }

    /// A new one.
    pub fn fresh(secure: bool) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
        Self { value: Cow::Owned(URL_SAFE_NO_PAD.encode(bytes)), secure }
    }

    /// What tells this browser from all others.
    pub fn bytes(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// The token for a form in this browser.
    pub fn token(&self, keys: &Keys) -> String {
        keys.token(&[b"login", self.value.as_bytes()])
    }

    /// Whether a form's token belongs to this browser.
    pub fn matches(&self, keys: &Keys, token: &str) -> bool {
        keys.knows(token, &[b"login", self.value.as_bytes()])
    }

    /// `Set-Cookie` for a nonce the browser does not have yet.
    pub fn set_cookie(&self) -> Option<String> {
        matches!(self.value, Cow::Owned(_)).then(|| attributes(&self.value, self.secure))
    }

    /// `Set-Cookie` that takes the nonce away, once it has served.
    pub fn take_back(secure: bool) -> String {
        format!("{}; Max-Age=0", attributes("", secure))
    }
}

fn name(secure: bool) -> &'static str {
    NONCE_COOKIES[usize::from(!secure)]
}

fn attributes(value: &str, secure: bool) -> String {
    let secure_attribute = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure_attribute}", name(secure))
}

/// Whether a posted form may come from a page of ours, by what the browser says of it (Fetch, section 3.2; Fetch Metadata,
/// section 2.3). Clients that say nothing pass: they have the token to show.
pub fn sent_from_here(fields: &Fields, origins: &[String]) -> bool {
    let site = fields.get("sec-fetch-site");
    let site_is_ours = site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
    let mut given = fields.get_all("origin");
    let origin_is_ours = match given.next() {
        None => true,
        Some(b"null") => site == Some(b"same-origin"),
        Some(origin) => origins.iter().any(|ours| ours.as_bytes().eq_ignore_ascii_case(origin)),
    };
    site_is_ours && origin_is_ours && given.next().is_none()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;
    use crate::session::Key;

    fn fields(all: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in all {
            fields.append(name, value);
        }
        fields
    }

    #[test]
    fn a_form_from_elsewhere_is_refused() {
        let ours = ["https://app.example".to_owned()];
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("Origin", "https://app.example")], true),
            (&[("Origin", "https://APP.example"), ("Sec-Fetch-Site", "same-origin")], true),
            (&[("Sec-Fetch-Site", "none")], true),
            (&[("Origin", "null"), ("Sec-Fetch-Site", "same-origin")], true),
            (&[("Origin", "null")], false),
            (&[("Origin", "http://app.example")], false),
            (&[("Origin", "https://app.example:444")], false),
            (&[("Origin", "https://app.example.evil.example")], false),
            (&[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")], false),
            (&[("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")], false),
            (&[("Sec-Fetch-Site", "same-site")], false),
            (&[("Sec-Fetch-Site", "")], false),
            (&[("Origin", "https://app.example"), ("Origin", "https://evil.example")], false),
        ];
        for (given, expected) in cases {
            assert_eq!(sent_from_here(&fields(given), &ours), *expected, "{given:?}");
        }
    }

    #[test]
    fn a_login_token_belongs_to_one_browser() {
        let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![1; 32].into_boxed_slice()) };
        let keys = Keys::new(&[key]);
        let (one, other) = (Nonce::fresh(true), Nonce::fresh(true));
        assert!(one.matches(&keys, &one.token(&keys)));
        assert!(!other.matches(&keys, &one.token(&keys)));
    }

    #[test]
    fn a_nonce_comes_back_in_its_cookie() {
        for secure in [true, false] {
            let fresh = Nonce::fresh(secure);
            let set = fresh.set_cookie().expect("new to the browser");
            assert_eq!(set.contains("; Secure"), secure);
            assert_eq!(set.starts_with("__Host-"), secure);
            let pair = set.split(';').next().expect("a pair");
            let head = fields(&[("Cookie", &format!("a=1; {pair}"))]);
            let shown = Nonce::shown(&head, secure).expect("it came back");
            assert_eq!(shown.value, fresh.value);
            assert_eq!(shown.set_cookie(), None);
            assert!(Nonce::shown(&head, !secure).is_none(), "a cookie of the other scheme is not taken");
        }
        assert!(Nonce::shown(&fields(&[("Cookie", "cloakroom-login=x")]), false).is_none());
    }
}
