//! Content: what stands in a session of Django, as far as it is about who is logged in, and for how long.
//!
//! Comes in: JSON that the site has signed. Goes out: the login in it, if there is one, and when the session ends. Where
//! Django lets a session live for longer than the site asked for, this does not. Never reads what applications keep.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::format::Unreadable;
use crate::clock::Timestamp;

/// What a session says.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Who is logged in.
    pub login: Option<Login>,
    /// What the site said about its end.
    pub expiry: Expiry,
}

/// A login, as Django notes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The user's primary key.
    pub user: UserId,
    /// The class that let them in.
    pub backend: String,
    /// Made from the password of that time.
    pub hash: String,
}

/// The primary key of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserId {
    /// A whole number.
    Number(i64),
    /// 32 hexadecimal digits.
    Uuid(String),
}

/// When a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// As all of the site do; also when it asked the browser to forget it: a browser may remember all the same.
    Usual,
    /// So long after it was last written.
    After(Duration),
    /// Then.
    At(Timestamp),
}

#[derive(Deserialize)]
struct Json {
    #[serde(default, rename = "_auth_user_id")]
    user: Option<String>,
    #[serde(default, rename = "_auth_user_backend")]
    backend: Option<String>,
    #[serde(default, rename = "_auth_user_hash")]
    hash: Option<String>,
    #[serde(default, rename = "_session_expiry")]
    expiry: Option<NumberOrText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl Content {
    /// Reads a session. `zone` says what a time without an offset means. A login without all of its three parts is none,
    /// as it is to Django.
    pub fn read(json: &[u8], zone: &TimeZone) -> Result<Self, Unreadable> {
        let json: Json = serde_json::from_slice(json).map_err(|_| Unreadable::Content)?;
        let login = match (json.user, json.backend, json.hash) {
            (Some(user), Some(backend), Some(hash)) => {
                Some(Login { user: UserId::read(&user).ok_or(Unreadable::Content)?, backend, hash })
            }
            _ => None,
        };
        let expiry = match json.expiry {
            None => Expiry::Usual,
            Some(NumberOrText::Number(0.0)) => Expiry::Usual,
            Some(NumberOrText::Number(seconds)) => {
                Expiry::After(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
            }
            Some(NumberOrText::Text(text)) => Expiry::At(moment(&text, zone).ok_or(Unreadable::Content)?),
        };
        Ok(Self { login, expiry })
    }
}

impl UserId {
    fn read(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Number(number));
        }
        let dashes = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let inner =
            |(at, byte): (usize, u8)| if dashes(at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
        let is_uuid = text.len() == 36 && text.bytes().enumerate().all(inner);
        is_uuid.then(|| Self::Uuid(text.replace('-', "").to_ascii_lowercase()))
    }
}

impl Expiry {
    /// When a session ends that was last written at `written`, on a site where they usually last for `usual`.
    pub fn after(self, written: Timestamp, usual: Duration) -> Timestamp {
        match self {
            Expiry::Usual => written.plus(usual),
            Expiry::After(duration) => written.plus(duration),
            Expiry::At(moment) => moment,
        }
    }
}

/// A date and a time, with an offset or without: as `isoformat` writes them, and databases.
pub fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local = text.parse::<DateTime>().ok()?;
        zone.to_ambiguous_timestamp(local).compatible().ok()
    })?;
    Some(Timestamp::from_unix_millis(u64::try_from(moment.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn read(json: &str) -> Result<Content, Unreadable> {
        Content::read(json.as_bytes(), &TimeZone::UTC)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1000)
    }

    fn expires(expiry: &str) -> Timestamp {
        let json = format!(r#"{{"_session_expiry":{expiry}}}"#);
        read(&json).expect("readable").expiry.after(at(1_767_225_600), DAY)
    }

    #[test]
    fn a_login_is_read_whatever_else_there_is() {
        let json = r#"{"cart":[1,{"a":null}],"x":"\ud800","_auth_user_id":"17","_auth_user_hash":"h","_auth_user_backend":"a.B"}"#;
        let login = read(json).expect("readable").login.expect("logged in");
        assert_eq!(login.user, UserId::Number(17));
        assert_eq!((login.backend.as_str(), login.hash.as_str()), ("a.B", "h"));
    }

    #[test]
    fn keys_may_be_uuids_and_nothing_stranger() {
        let with = |id: &str| {
            read(&format!(r#"{{"_auth_user_id":{id},"_auth_user_hash":"h","_auth_user_backend":"b"}}"#))
        };
        let user = |id: &str| with(id).expect("readable").login.expect("logged in").user;
        assert_eq!(
            user(r#""6FA459EA-ee8a-3ca4-894e-db77e160355e""#),
            UserId::Uuid("6fa459eaee8a3ca4894edb77e160355e".to_owned())
        );
        assert_eq!(user(r#""7""#), UserId::Number(7));
        for id in [r#""alice""#, r#""1 OR 1=1""#, r#""""#, "7", r#""6fa459ea-ee8a-3ca4-894e-db77e160355""#] {
            assert_eq!(with(id), Err(Unreadable::Content), "{id}");
        }
    }

    #[test]
    fn a_login_without_all_of_its_parts_is_none() {
        for json in [r#"{}"#, r#"{"_auth_user_id":"1"}"#, r#"{"_auth_user_id":"1","_auth_user_backend":"b"}"#]
        {
            assert_eq!(read(json), Ok(Content { login: None, expiry: Expiry::Usual }), "{json}");
        }
    }

    #[test]
    fn a_session_ends_when_the_site_said() {
        assert_eq!(expires("null"), at(1_767_225_600 + 86_400));
        assert_eq!(expires("0"), at(1_767_225_600 + 86_400));
        assert_eq!(expires("300"), at(1_767_225_900));
        assert_eq!(expires("-5"), at(1_767_225_600));
        assert_eq!(
            expires(r#""2026-01-15T00:00:00.123456+00:00""#),
            Timestamp::from_unix_millis(1_768_435_200_123)
        );
        assert_eq!(expires(r#""2026-01-15T09:00:00+09:00""#), at(1_768_435_200));
        assert_eq!(expires(r#""2026-01-15T00:00:00""#), at(1_768_435_200));
        assert_eq!(expires("1e300"), Timestamp::from_unix_millis(u64::MAX));
        assert_eq!(expires(r#""1960-01-01T00:00:00+00:00""#), at(0));
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_time_zone_of_the_site() {
        let seoul = TimeZone::get("Asia/Seoul").expect("known");
        assert_eq!(
            moment("2026-01-15 09:00:00.5", &seoul),
            Some(Timestamp::from_unix_millis(1_768_435_200_500))
        );
        assert_eq!(moment("2026-01-15 00:00:00+00:00", &seoul), Some(at(1_768_435_200)));
        assert_eq!(moment("soon", &seoul), None);
    }

    #[test]
    fn what_is_not_a_session_is_not_read() {
        let deep = format!(r#"{{"a":{}}}"#, "[".repeat(100_000));
        let no_time = r#"{"_session_expiry":"never"}"#;
        for json in ["", "null", "1", "\"a\"", "{", no_time, r#"{"_auth_user_id":[]}"#, deep.as_str()] {
            assert_eq!(read(json), Err(Unreadable::Content), "{}", json.get(..20).unwrap_or(json));
        }
    }

    proptest! {
        #[test]
        fn hostile_content_never_panics(bytes: Vec<u8>, text in ".*", number: f64, seconds: u64) {
            let _ = Content::read(&bytes, &TimeZone::UTC);
            let quoted = serde_json::to_string(&text).expect("text");
            for value in [quoted, number.to_string()] {
                let json = format!(r#"{{"_session_expiry":{value},"_auth_user_id":{value}}}"#);
                if let Ok(content) = read(&json) {
                    content.expiry.after(Timestamp::from_unix_millis(seconds), DAY);
                }
            }
        }
    }
}
