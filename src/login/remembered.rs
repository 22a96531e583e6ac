//! Remembered: the user name that stands in the form already, for those who wanted that.
//!
//! Comes in: a cookie, and what the box says at a login. Goes out: a name to fill in, and the cookie for next time. It proves
//! nothing: whoever changes it has typed another name, and nothing more. Never passed on to an upstream.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::clock::civil::Civil;
use crate::login::guard::NAME_COOKIES;
use crate::message::Fields;
use crate::session::cookie;

/// Bytes of the longest name that is filled in: as long as the form's field may be.
const LONGEST: usize = 256;

/// The name this browser remembers, if that can be one.
pub fn shown(fields: &Fields, secure: bool) -> Option<String> {
    let value = cookie::find(fields, name(secure)).filter(|value| value.len() <= 3 * LONGEST)?;
    let user = percent_decode_str(value).decode_utf8().ok()?;
    let good = !user.is_empty() && user.len() <= LONGEST && !user.chars().any(char::is_control);
    good.then(|| user.into_owned())
}

/// Whether the browser has such a cookie, whatever is in it.
pub fn is_shown(fields: &Fields, secure: bool) -> bool {
    cookie::find(fields, name(secure)).is_some()
}

/// `Set-Cookie` that has the browser remember `user`; one too long is not remembered.
pub fn set_cookie(user: &str, lasting: Duration, secure: bool, now: Timestamp) -> Option<String> {
    let expires = Civil::from(now.plus(lasting)).http_date();
    let value = utf8_percent_encode(user, NON_ALPHANUMERIC).to_string();
    let seconds = lasting.as_secs();
    (user.len() <= LONGEST)
        .then(|| format!("{}; Max-Age={seconds}; Expires={expires}", attributes(&value, secure)))
}

/// `Set-Cookie` that has the browser forget.
pub fn take_back(secure: bool) -> String {
    format!("{}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", attributes("", secure))
}

fn name(secure: bool) -> &'static str {
    NAME_COOKIES[usize::from(!secure)]
}

fn attributes(value: &str, secure: bool) -> String {
    let secure_attribute = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure_attribute}", name(secure))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn sent(cookie: &str) -> Fields {
        let mut fields = Fields::new();
        fields.append("Cookie", cookie);
        fields
    }

    #[test]
    fn a_name_in_any_script_comes_back_as_it_was() {
        for user in ["alice", "김철수", "a;b=c, \"d\" %41", "<script>"] {
            for secure in [true, false] {
                let set = set_cookie(user, YEAR, secure, start()).expect("short enough");
                assert_eq!(set.contains("; Secure"), secure);
                assert_eq!(set.starts_with("__Host-"), secure);
                assert!(
                    set.contains("; HttpOnly; SameSite=Lax") && set.contains("; Max-Age=31536000; Expires=")
                );
                let pair = set.split(';').next().expect("a pair");
                assert_eq!(shown(&sent(pair), secure).as_deref(), Some(user));
                assert_eq!(shown(&sent(pair), !secure), None);
            }
        }
    }

    #[test]
    fn what_is_no_name_is_not_filled_in() {
        assert_eq!(set_cookie(&"a".repeat(257), YEAR, true, start()), None);
        for value in ["", "%00", "a%0d%0ab", "%ff", &"a".repeat(257), &"%41".repeat(300)] {
            assert_eq!(shown(&sent(&format!("cloakroom-user={value}")), false), None, "{value}");
        }
    }
}
