//! Guard: names that only the gateway may say.
//!
//! Comes in: the configured names, once, then a field's name. Goes out: whether an application would take it for one
//! of ours, however it is spelled: CGI and its heirs read `X-Auth-User`, `x_auth_user` and `X.Auth.User` as one name.
//! Never looks at values.

use super::IdentityNames;

/// Names starting like this, folded, are ours.
const PREFIXES: [&[u8]; 2] = [SESSION, b"x_forwarded_"];

/// `Session-Data`, `Session-Set` and their family, folded.
const SESSION: &[u8] = b"session_";

/// Further names, folded. Some are ours to write; the others make applications believe in another client, path or
/// method than the one that was judged, or (`Proxy`) send their own traffic elsewhere.
const NAMES: [&str; 11] = [
    "forwarded",
    "path_info",
    "proxy",
    "script_name",
    "x_auth_assertion",
    "x_original_method",
    "x_original_uri",
    "x_original_url",
    "x_real_ip",
    "x_request_id",
    "x_rewrite_url",
];

/// Knows every name that only the gateway may say.
#[derive(Debug)]
pub struct Guard {
    /// Folded.
    names: Vec<Box<[u8]>>,
    /// Bit n: some name is n bytes long (the longest ones share the last bit).
    lengths: u64,
    /// Bit n: some name or prefix starts with the ASCII character n.
    firsts: u128,
}

impl Guard {
    /// Guards the built-in names and the configured ones, those of session headers among them.
    pub fn new(names: &IdentityNames, session_headers: &[String]) -> Self {
        let configured = names.all().chain(session_headers.iter().map(String::as_str));
        let firsts = PREFIXES.into_iter().fold(0, |bits, prefix| bits | first_bit(prefix));
        let mut guard = Self { names: Vec::new(), lengths: 0, firsts };
        NAMES.into_iter().chain(configured).for_each(|name| guard.add(name));
        guard
    }

    /// Guards one more name.
    pub fn add(&mut self, name: &str) {
        let folded: Box<[u8]> = name.bytes().map(fold).collect();
        self.lengths |= length_bit(&folded);
        self.firsts |= first_bit(&folded);
        self.names.push(folded);
    }

    /// Whether a name is one of ours, folded.
    #[inline]
    pub fn covers(&self, name: &[u8]) -> bool {
        self.firsts & first_bit(name) != 0
            && (PREFIXES.iter().any(|prefix| starts_folded(name, prefix))
                || self.lengths & length_bit(name) != 0
                    && self.names.iter().any(|ours| ours.len() == name.len() && starts_folded(name, ours)))
    }
}

/// Whether a response field is an instruction to the gateway (`Session-*`), under any spelling.
pub fn is_instruction(name: &[u8]) -> bool {
    starts_folded(name, SESSION)
}

/// Whether applications would take two names for one. From behind: those of one family begin alike.
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).rev().all(|(&one, &other)| fold(one) == fold(other))
}

/// Lower case, with `_` for everything that is not a letter or digit.
fn fold(byte: u8) -> u8 {
    FOLDED[usize::from(byte)]
}

const FOLDED: [u8; 256] = {
    let mut folded = [b'_'; 256];
    let mut byte: u8 = 0;
    while byte < 0x80 {
        if byte.is_ascii_alphanumeric() {
            folded[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    folded
};

fn starts_folded(name: &[u8], folded: &[u8]) -> bool {
    name.len() >= folded.len() && name.iter().zip(folded).all(|(&byte, &ours)| fold(byte) == ours)
}

fn first_bit(name: &[u8]) -> u128 {
    name.first().map_or(0, |&byte| 1 << fold(byte))
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(
            &IdentityNames { user: "Remote.User".to_owned(), ..IdentityNames::default() },
            &["X-Theme".to_owned()],
        )
    }

    #[test]
    fn our_names_are_known_under_any_spelling() {
        let spellings = [
            "remote-user",
            "x_theme",
            "REMOTE_USER",
            "x_auth_email",
            "X.Auth.Groups",
            "X-AUTH-NAME",
            "x!auth~name",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "X-Forwarded-Anything",
            "Forwarded",
            "X-Real-IP",
            "X_Request_Id",
            "Session-Id",
            "session_data",
            "SESSION.SET",
            "Session-Logout",
            "X-Auth-Assertion",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X-Original-Method",
            "Proxy",
            "Script_Name",
        ];
        for name in spellings {
            assert!(guard().covers(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        let others = [
            "",
            "Host",
            "Cookie",
            "X-Auth",
            "X-Auth-User",
            "X-Auth-Users",
            "Session",
            "X-Forwarded",
            "Proxied",
            "Sec-Fetch-Mode",
            "X-Requested-With",
            "Accept",
            "Authorization",
            "X-Request-Ids",
            "é",
        ];
        for name in others {
            assert!(!guard().covers(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn session_instructions_are_known_under_any_spelling() {
        assert!(is_instruction(b"session_set") && is_instruction(b"Session-Login"));
        assert!(!is_instruction(b"X-Session-Set") && !is_instruction(b"Session"));
    }
}
