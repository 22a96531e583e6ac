//! Browser: what binds a request that waits to the browser it came from.
//!
//! Comes in: the fields of a request. Goes out: a mark, and the cookie that brings it back. Only a digest is kept: what is
//! in memory cannot be shown as a cookie.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::login::guard::REPLAY_COOKIES;
use crate::message::Fields;
use crate::session::cookie;

/// Characters of the cookie: 32 bytes in base64url.
const LENGTH: usize = 43;

/// One browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; 32]);

impl Mark {
    /// The mark of a cookie's value.
    pub fn of(value: &[u8]) -> Self {
        Self(digest(&SHA256, value).as_ref().try_into().expect("a SHA-256 is 32 bytes long"))
    }

    /// The mark this browser showed, if it can be one of ours.
    pub fn shown(fields: &Fields, secure: bool) -> Option<Self> {
        let value = cookie::find(fields, name(secure))?;
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (value.len() == LENGTH && value.bytes().all(alphabet)).then(|| Self::of(value.as_bytes()))
    }

    /// A new one, and the `Set-Cookie` for it.
    pub fn fresh(secure: bool) -> (Self, String) {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system's generator works once the system is up");
        let value = URL_SAFE_NO_PAD.encode(bytes);
        (Self::of(value.as_bytes()), attributes(&value, secure))
    }
}

/// Whether the browser shows such a cookie, whatever is in it.
pub fn is_shown(fields: &Fields, secure: bool) -> bool {
    cookie::find(fields, name(secure)).is_some()
}

fn name(secure: bool) -> &'static str {
    REPLAY_COOKIES[usize::from(!secure)]
}

/// It goes with the browser's session, as the request in its window does.
fn attributes(value: &str, secure: bool) -> String {
    let secure_attribute = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure_attribute}", name(secure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_in_its_cookie() {
        for secure in [true, false] {
            let (mark, set) = Mark::fresh(secure);
            assert_eq!((set.contains("; Secure"), set.starts_with("__Host-")), (secure, secure));
            let mut fields = Fields::new();
            fields.append("Cookie", format!("a=1; {}", set.split(';').next().expect("a pair")));
            assert_eq!(Mark::shown(&fields, secure), Some(mark));
            assert_eq!(Mark::shown(&fields, !secure), None);
            assert!(is_shown(&fields, secure) && !is_shown(&fields, !secure));
        }
        let mut fields = Fields::new();
        fields.append("Cookie", "cloakroom-replay=short");
        assert_eq!(Mark::shown(&fields, false), None);
    }
}
