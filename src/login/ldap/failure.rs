//! Failure: what a directory says when it does not do what it was asked.
//!
//! Comes in: result codes (RFC 4511, section 4.1.9) and texts of a server. Goes out: whether another server may know better,
//! and why a bind was refused, for the log. Never shows a password.

use ldap3::controls::RawControl;
use ldap3::{LdapError, LdapResult};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server cannot be reached, or broke off.
    #[error("{0}")]
    Cut(String),
    /// The server answered, and that is final.
    #[error("{}", said(.0))]
    Said(LdapResult),
    /// The directory holds something that cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Failure {
    /// It took too long.
    pub fn late() -> Self {
        Failure::Cut("no answer in time".to_owned())
    }

    /// What a server said, unless that only means it cannot do anything just now.
    pub fn of(result: LdapResult) -> Self {
        match result.rc {
            BUSY | UNAVAILABLE => Failure::Cut(said(&result)),
            _ => Failure::Said(result),
        }
    }

    /// Whether the entry in question is not there.
    pub fn is_no_such_object(&self) -> bool {
        matches!(self, Failure::Said(result) if result.rc == NO_SUCH_OBJECT)
    }
}

impl From<LdapError> for Failure {
    fn from(error: LdapError) -> Self {
        match error {
            LdapError::LdapResult { result } => Failure::of(result),
            LdapError::FilterParsing => Failure::Unusable("the filter cannot be read".to_owned()),
            LdapError::Timeout { .. } => Failure::late(),
            LdapError::Io { source } => Failure::Cut(source.to_string()),
            other => Failure::Cut(other.to_string()),
        }
    }
}

const STRONGER_AUTH_REQUIRED: u32 = 8;
const CONFIDENTIALITY_REQUIRED: u32 = 13;
const NO_SUCH_OBJECT: u32 = 32;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;

/// The request for, and the answer of, a server that looks after passwords (draft-behera-ldap-password-policy-11).
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// Asks the server to say more about a bind; those that do not know how say nothing.
pub(super) fn ask_for_policy() -> RawControl {
    RawControl { ctype: PASSWORD_POLICY.to_owned(), crit: false, val: None }
}

/// What came of a bind with somebody's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It is theirs, and counts.
    Yes,
    /// It is not, or the account does not count; why, where the server says more than that it is wrong.
    No(Option<String>),
}

/// Judges the answer to a bind. What is wrong with the connection and not with the password is a failure.
pub(super) fn judge(result: LdapResult) -> Result<Bound, Failure> {
    let policy = policy_error(&result);
    match (result.rc, policy) {
        (0, None) => Ok(Bound::Yes),
        // After a reset, such a bind is good for nothing but to set another password.
        (0, Some(error)) => Ok(Bound::No(Some(of_policy(error).to_owned()))),
        (STRONGER_AUTH_REQUIRED | CONFIDENTIALITY_REQUIRED, _) => Err(Failure::Said(result)),
        (BUSY | UNAVAILABLE, _) => Err(Failure::of(result)),
        (49, Some(error)) => Ok(Bound::No(Some(of_policy(error).to_owned()))),
        (49, None) => Ok(Bound::No(of_active_directory(&result.text).map(str::to_owned))),
        _ => Ok(Bound::No(Some(said(&result)))),
    }
}

/// `PasswordPolicyResponseValue ::= SEQUENCE { warning [0] CHOICE … OPTIONAL, error [1] ENUMERATED … OPTIONAL }`
fn policy_error(result: &LdapResult) -> Option<u8> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == PASSWORD_POLICY)?;
    let value = control.1.val.as_deref()?;
    let [0x30, length, parts @ ..] = value else { return None };
    let mut parts = parts.get(..usize::from(*length))?;
    while let [tag, length, rest @ ..] = parts {
        let (inner, after) = rest.split_at_checked(usize::from(*length))?;
        if *tag == 0x81 {
            return inner.first().copied();
        }
        parts = after;
    }
    None
}

fn of_policy(error: u8) -> &'static str {
    match error {
        0 => "the password has expired",
        1 => "the account is locked",
        2 => "the password was reset and must be changed",
        _ => "the directory's password policy refuses it",
    }
}

/// Active Directory tells reasons in its text: `80090308: LdapErr: DSID-…, comment: …, data 533, v4563`.
fn of_active_directory(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("data ")?;
    let code = rest.split(',').next()?.trim();
    Some(match code {
        "530" => "the account may not log in at this time",
        "531" => "the account may not log in from this computer",
        "532" => "the password has expired",
        "533" => "the account is disabled",
        "701" => "the account has expired",
        "773" => "the password must be changed",
        "775" => "the account is locked",
        _ => return None,
    })
}

/// What a server said, for the log: a word for the code, and its text.
fn said(result: &LdapResult) -> String {
    let text: String = result.text.chars().filter(|found| !found.is_control()).take(300).collect();
    let word = match result.rc {
        8 => "stronger authentication is required",
        10 => "it refers to another server, which is not asked",
        13 => "it wants TLS",
        19 => "a constraint",
        32 => "no such entry",
        34 => "not a distinguished name",
        48 => "the entry has no password",
        49 => "wrong password",
        50 => "not allowed",
        53 => "unwilling",
        _ => "refused",
    };
    match text.is_empty() {
        true => format!("{word} (result code {})", result.rc),
        false => format!("{word} (result code {}: {text})", result.rc),
    }
}

#[cfg(test)]
mod tests {
    use ldap3::controls::Control;

    use super::*;

    fn result(rc: u32, text: &str, policy: Option<&[u8]>) -> LdapResult {
        let ctrls = policy.map(|value| {
            Control(
                None,
                RawControl { ctype: PASSWORD_POLICY.to_owned(), crit: false, val: Some(value.to_vec()) },
            )
        });
        LdapResult {
            rc,
            matched: String::new(),
            text: text.to_owned(),
            refs: Vec::new(),
            ctrls: ctrls.into_iter().collect(),
        }
    }

    fn why(rc: u32, text: &str, policy: Option<&[u8]>) -> String {
        match judge(result(rc, text, policy)).expect("an answer") {
            Bound::No(why) => why.unwrap_or_default(),
            Bound::Yes => "yes".to_owned(),
        }
    }

    #[test]
    fn only_success_without_reservation_counts() {
        assert_eq!(why(0, "", None), "yes");
        assert_eq!(why(0, "", Some(&[0x30, 0])), "yes");
        assert_eq!(why(0, "", Some(&[0x30, 5, 0xa0, 3, 0x80, 1, 60])), "yes", "it will expire");
        assert_eq!(why(0, "", Some(&[0x30, 3, 0x81, 1, 2])), "the password was reset and must be changed");
        assert_eq!(why(49, "", None), "");
        assert_eq!(why(49, "", Some(&[0x30, 3, 0x81, 1, 1])), "the account is locked");
        assert_eq!(
            why(49, "", Some(&[0x30, 8, 0xa0, 3, 0x80, 1, 60, 0x81, 1, 0])),
            "the password has expired"
        );
        assert!(why(53, "", None).contains("unwilling"));
        assert!(why(10, "", None).contains("not asked"));
    }

    #[test]
    fn active_directory_tells_why() {
        let text = "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 533, v4563";
        assert_eq!(why(49, text, None), "the account is disabled");
        assert_eq!(why(49, &text.replace("533", "532"), None), "the password has expired");
        assert_eq!(why(49, &text.replace("533", "52e"), None), "");
    }

    #[test]
    fn a_broken_control_is_no_control() {
        for broken in [&[][..], &[0x30], &[0x30, 9, 0x81], &[0x30, 2, 0x81, 9], &[0x04, 0]] {
            assert_eq!(why(0, "", Some(broken)), "yes");
        }
    }

    #[test]
    fn what_is_wrong_with_the_connection_is_nobodys_wrong_password() {
        for rc in [8, 13, 51, 52] {
            assert!(judge(result(rc, "", None)).is_err(), "{rc}");
        }
        assert!(matches!(Failure::of(result(52, "", None)), Failure::Cut(_)));
    }
}
