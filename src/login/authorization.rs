//! Authorization: the field in which clients say who they are (RFC 9110, section 11.6.2).
//!
//! Comes in: the fields of a request, and the scheme that is asked for. Goes out: what stands behind the scheme. Never reads
//! a field that came twice: nobody can say which one counts.

use crate::message::Fields;

/// The field's name.
pub const AUTHORIZATION: &str = "Authorization";

/// The field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What stands behind `scheme`; `None` when nothing of that scheme is there.
pub fn of<'f>(fields: &'f Fields, scheme: &str) -> Option<Result<&'f str, Malformed>> {
    let ours = fields.get_all(AUTHORIZATION).find_map(|value| behind(value, scheme))?;
    let once = fields.get_all(AUTHORIZATION).nth(1).is_none();
    let text = std::str::from_utf8(ours).ok().filter(|text| once && !text.is_empty());
    Some(text.ok_or(Malformed))
}

/// Takes out what is of `scheme`.
pub fn take(fields: &mut Fields, scheme: &str) {
    if fields.contains(AUTHORIZATION) {
        let ours = |name: &[u8], value: &[u8]| {
            name.eq_ignore_ascii_case(AUTHORIZATION.as_bytes()) && behind(value, scheme).is_some()
        };
        fields.retain(|name, value| !ours(name, value));
    }
}

fn behind<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (given, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|&byte| byte == b' ' || byte == b'\t');
    (ends && given.eq_ignore_ascii_case(scheme.as_bytes())).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[&str]) -> Fields {
        let mut fields = Fields::new();
        all.iter().for_each(|value| fields.append("authorization", value));
        fields
    }

    #[test]
    fn what_stands_behind_a_scheme_is_read_once() {
        assert_eq!(of(&fields(&["Basic YQ=="]), "Basic"), Some(Ok("YQ==")));
        assert_eq!(of(&fields(&["bASIC   YQ== "]), "Basic"), Some(Ok("YQ==")));
        for none in [&[][..], &["Bearer x"], &["BasicYQ=="], &["Basics x"], &[""], &["Bas"]] {
            assert_eq!(of(&fields(none), "Basic"), None, "{none:?}");
        }
        for malformed in [&["Basic"][..], &["Basic "], &["Basic a", "Basic a"], &["Bearer b", "Basic a"]] {
            assert_eq!(of(&fields(malformed), "Basic"), Some(Err(Malformed)), "{malformed:?}");
        }
    }

    #[test]
    fn only_what_is_of_the_scheme_is_taken_out() {
        let mut some = fields(&["Basic a", "Bearer b", "BASIC c"]);
        take(&mut some, "Basic");
        assert_eq!(some.get_all("authorization").collect::<Vec<_>>(), [b"Bearer b"]);
    }
}
