//! Template: filters and names of the directory, with what people typed put in.
//!
//! Comes in: a text of the configuration with `{user}` or `{dn}` in it, and values. Goes out: the text with each value
//! escaped for where it stands, a filter (RFC 4515, section 3) or a distinguished name (RFC 4514, section 2.4). A value can
//! end up as nothing but a value: no filter grows by what somebody typed.

use std::borrow::Cow;

use ldap3::{dn_escape, ldap_escape};

/// The place of the user name as typed.
const USER: &str = "{user}";

/// The place of a distinguished name.
const DN: &str = "{dn}";

/// A filter. Both values are escaped for filters, the distinguished name also where it is escaped as a name already.
pub(super) fn filter(template: &str, user: &str, dn: &str) -> String {
    fill(template, &ldap_escape(user), &ldap_escape(dn))
}

/// A distinguished name with a user name in it.
pub(super) fn name(template: &str, user: &str) -> String {
    fill(template, &dn_escape(user), "")
}

/// Puts values in for the places in one go: a value that reads like a place is not filled again.
fn fill(template: &str, user: &str, dn: &str) -> String {
    let mut filled = String::with_capacity(template.len() + user.len() + dn.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (place, value) = match () {
            () if rest.starts_with(USER) => (USER, user),
            () if rest.starts_with(DN) => (DN, dn),
            () => ("{", "{"),
        };
        filled.push_str(value);
        rest = &rest[place.len()..];
    }
    filled.push_str(rest);
    filled
}

/// Attribute and value of the first part of a distinguished name: `cn` and `staff` of `cn=staff,ou=groups`. The value is as
/// it was before it was escaped; `None` where that is not UTF-8, or the name is none.
pub(super) fn first_part(dn: &str) -> Option<(&str, Cow<'_, str>)> {
    let (attribute, rest) = dn.split_once('=')?;
    let mut value = Vec::with_capacity(rest.len());
    let mut kept = 0;
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'+' | b';' => break,
            b'\\' => {
                let first = bytes.next()?;
                match char::from(first).to_digit(16) {
                    Some(high) => {
                        let low = char::from(bytes.next()?).to_digit(16)?;
                        value.push(u8::try_from(high << 4 | low).ok()?);
                    }
                    None => value.push(first),
                }
                kept = value.len();
            }
            b' ' => value.push(b' '),
            other => {
                value.push(other);
                kept = value.len();
            }
        }
    }
    // Blanks at the end are not part of a value unless they are escaped.
    value.truncate(kept);
    let value = String::from_utf8(value).ok()?;
    let value = value.trim_start().to_owned();
    (!value.is_empty()).then(|| (attribute.trim(), Cow::Owned(value)))
}

/// Whether an entry stands below another, or is it. Blanks around commas and upper case do not count.
pub(super) fn is_below(dn: &str, base: &str) -> bool {
    let plain = |text: &str| {
        let parts: Vec<_> = text.split(',').map(|part| part.trim().to_lowercase()).collect();
        parts.join(",")
    };
    let (dn, base) = (plain(dn), plain(base));
    dn == base || dn.strip_suffix(&base).is_some_and(|rest| rest.ends_with(',') && !rest.ends_with("\\,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: &str = "(&(objectClass=person)(uid={user}))";

    #[test]
    fn what_is_typed_stays_one_value_of_a_filter() {
        for (typed, expected) in [
            ("alice", "(&(objectClass=person)(uid=alice))"),
            ("*", "(&(objectClass=person)(uid=\\2a))"),
            (")(uid=*", "(&(objectClass=person)(uid=\\29\\28uid=\\2a))"),
            ("*)(|(uid=*", "(&(objectClass=person)(uid=\\2a\\29\\28|\\28uid=\\2a))"),
            ("\\00", "(&(objectClass=person)(uid=\\5c00))"),
            ("a\0b", "(&(objectClass=person)(uid=a\\00b))"),
            ("김철수", "(&(objectClass=person)(uid=김철수))"),
        ] {
            let filled = filter(FILTER, typed, "");
            assert_eq!(filled, expected);
            assert!(ldap3::parse_filter(&filled).is_ok(), "{filled}");
        }
    }

    #[test]
    fn a_name_that_reads_like_a_place_is_not_filled_again() {
        assert_eq!(filter("(|(uid={user})(dn={dn}))", "{dn}", "{user}"), "(|(uid={dn})(dn={user}))");
        assert_eq!(filter("({user}{other}{user})", "a", "b"), "(a{other}a)");
    }

    #[test]
    fn a_distinguished_name_is_escaped_once_more_within_a_filter() {
        let dn = "cn=Smith\\, Ann (IT),dc=example";
        let filled = filter("(member={dn})", "", dn);
        assert_eq!(filled, "(member=cn=Smith\\5c, Ann \\28IT\\29,dc=example)");
    }

    #[test]
    fn what_is_typed_stays_one_value_of_a_name() {
        for (typed, expected) in [
            ("alice", "uid=alice,ou=people"),
            ("alice,ou=admins", "uid=alice\\2cou\\3dadmins,ou=people"),
            ("a+uid=b", "uid=a\\2buid\\3db,ou=people"),
            ("#a", "uid=\\23a,ou=people"),
            (" a ", "uid=\\20a\\20,ou=people"),
            ("a\"<>;\\", "uid=a\\22\\3c\\3e\\3b\\5c,ou=people"),
        ] {
            assert_eq!(name("uid={user},ou=people", typed), expected);
        }
    }

    #[test]
    fn a_group_is_called_by_the_first_part_of_its_name() {
        for (dn, attribute, value) in [
            ("cn=staff,ou=groups,dc=example", "cn", "staff"),
            ("CN = Domain Admins , OU=x", "CN", "Domain Admins"),
            ("cn=a\\,b,ou=x", "cn", "a,b"),
            ("cn=a\\2Cb,ou=x", "cn", "a,b"),
            ("cn=\\EC\\9D\\B8\\EC\\82\\AC,ou=x", "cn", "인사"),
            ("cn=a\\20,ou=x", "cn", "a "),
            ("cn=a+gid=3,ou=x", "cn", "a"),
        ] {
            assert_eq!(first_part(dn), Some((attribute, Cow::Borrowed(value))), "{dn}");
        }
        for none in ["", "staff", "cn=", "cn=,ou=x", "cn=a\\", "cn=\\ff,ou=x"] {
            assert_eq!(first_part(none), None, "{none}");
        }
    }

    #[test]
    fn below_is_by_whole_parts() {
        let base = "ou=Groups,dc=example";
        for below in [base, "cn=a,OU=groups,DC=example", "cn=a, ou=groups, dc=example"] {
            assert!(is_below(below, base), "{below}");
        }
        for other in ["cn=a,ou=othergroups,dc=example", "cn=a\\,ou=groups,dc=example", "dc=example", ""] {
            assert!(!is_below(other, base), "{other}");
        }
    }
}
