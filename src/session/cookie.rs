//! Cookie: the ticket's way in.
//!
//! Comes in: the `Cookie` fields of a request. Goes out: what was shown under our name, cut out of the fields. Other
//! cookies keep every byte and their order. Never judges a value: that takes the keys.

use std::fmt;

use crate::message::Fields;
use crate::session::keys::VALUE_LENGTH;

pub mod pieces;

/// How many cookies of our name are looked at; more are cut out and passed over.
const CANDIDATES: usize = 4;

/// What a request showed under our cookie's name.
#[derive(Clone, Default)]
pub struct Shown {
    values: [Option<[u8; VALUE_LENGTH]>; CANDIDATES],
    any: bool,
}

impl Shown {
    /// Whether there was a cookie of our name at all, however malformed.
    pub fn any(&self) -> bool {
        self.any
    }

    /// The values that have the right length, in the order of the request.
    pub fn values(&self) -> impl Iterator<Item = &[u8; VALUE_LENGTH]> {
        self.values.iter().flatten()
    }

    fn add(&mut self, value: &[u8]) {
        self.any = true;
        if let Ok(value) = value.try_into()
            && let Some(free) = self.values.iter_mut().find(|value| value.is_none())
        {
            *free = Some(value);
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({} of ours)", self.values().count())
    }
}

/// Cuts every cookie called exactly `name` out of the `Cookie` fields, and those called like one of `others`, or so with a
/// dot and more behind it, whose values nobody asks for.
///
/// Several fields (HTTP/2 sends crumbs, RFC 9113, section 8.2.3) become one, joined by `; `. Of the bytes between other
/// cookies only the separator of a cut one goes; a field with nothing left goes too.
pub fn take(fields: &mut Fields, name: &str, others: &[&str]) -> Shown {
    let mut shown = Shown::default();
    let goes = |pair| value_of(pair, name).is_some() || others.iter().any(|other| is_called(pair, other));
    let (mut count, mut room, mut any) = (0, 0, false);
    for field in fields.get_all("cookie") {
        count += 1;
        room += field.len() + "; ".len();
        any |= pairs(field).any(goes);
    }
    if count == 0 || count == 1 && !any {
        return shown;
    }
    let mut kept = Vec::with_capacity(room);
    for field in fields.get_all("cookie") {
        let before = kept.len();
        if before > 0 {
            kept.extend_from_slice(b"; ");
        }
        let start = kept.len();
        cut(field, goes, &mut kept);
        if kept.len() == start {
            kept.truncate(before);
        }
        pairs(field).filter_map(|pair| value_of(pair, name)).for_each(|value| shown.add(value));
    }
    fields.remove("cookie");
    if !kept.is_empty() {
        fields.append("cookie", kept);
    }
    shown
}

/// The value of the first cookie called exactly `name`, where it is ASCII text.
pub fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut pairs = fields.get_all("cookie").flat_map(|field| field.split(|&byte| byte == b';'));
    let value = pairs.find_map(|pair| value_of(pair, name))?;
    std::str::from_utf8(value).ok().filter(|value| value.is_ascii())
}

/// Copies one field's pairs to `kept`, except those that go.
fn cut<'a>(field: &'a [u8], goes: impl Fn(&'a [u8]) -> bool, kept: &mut Vec<u8>) {
    let mut first = true;
    let mut opened_with_ours = false;
    for pair in pairs(field) {
        if goes(pair) {
            opened_with_ours |= first;
            continue;
        }
        match (first, opened_with_ours) {
            (true, true) => kept.extend_from_slice(pair.trim_ascii_start()),
            (true, false) => kept.extend_from_slice(pair),
            (false, _) => {
                kept.push(b';');
                kept.extend_from_slice(pair);
            }
        }
        first = false;
    }
}

/// What stands between semicolons.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let field = rest?;
        let end = memchr::memchr(b';', field);
        rest = end.map(|end| &field[end + 1..]);
        Some(&field[..end.unwrap_or(field.len())])
    })
}

/// The value, if the pair is called exactly `name`. Only blanks before the name and around the value are passed over:
/// other white space belongs to the name, or a look-alike could be taken for ours.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let blank = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = pair.iter().position(blank)?;
    let value = pair[start..].strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    let end = value.iter().rposition(blank).map_or(0, |last| last + 1);
    Some(&value[..end])
}

/// Whether the pair is called so, or so with a dot and more behind it.
fn is_called(pair: &[u8], name: &str) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(pair.len());
    let rest = pair[start..].strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.starts_with(b"=") || rest.starts_with(b".") && rest.contains(&b'='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "__Host-cloakroom";

    fn after(fields: &[&str]) -> (Option<String>, Shown) {
        let mut head = Fields::new();
        for value in fields {
            head.append("Cookie", value);
        }
        let shown = take(&mut head, NAME, &["other"]);
        assert!(head.len() <= 1, "one field at most is left");
        (head.text("cookie").map(str::to_owned), shown)
    }

    #[test]
    fn cookies_whose_values_nobody_asks_for_are_cut_out_too() {
        let mut head = Fields::new();
        head.append("cookie", "a=1; mine=2;  nonce=3; b=4");
        let shown = take(&mut head, "mine", &["nonce", "other"]);
        assert_eq!(head.text("cookie"), Some("a=1; b=4"));
        assert!(shown.any());
        assert!(!take(&mut head, "mine", &["nonce"]).any());
        assert_eq!(head.text("cookie"), Some("a=1; b=4"));
    }

    #[test]
    fn our_cookie_goes_with_one_separator_and_others_stay_as_they_are() {
        let ours = format!("{NAME}={}", "x".repeat(64));
        let cases = [
            (ours.to_owned(), None),
            (format!("a=1; {ours}"), Some("a=1")),
            (format!("{ours}; a=1"), Some("a=1")),
            (format!("a=1; {ours}; b=2"), Some("a=1; b=2")),
            (format!("a=1;{ours};b=2"), Some("a=1;b=2")),
            (format!("{ours};  a=1;b=\"2 3\""), Some("a=1;b=\"2 3\"")),
            (format!("{ours}; {ours}; a=1; {ours}"), Some("a=1")),
            (format!("a=1;  ;; {ours}; =x; b"), Some("a=1;  ;; =x; b")),
        ];
        for (sent, left) in cases {
            let (kept, shown) = after(&[&sent]);
            assert_eq!(kept.as_deref(), left, "{sent}");
            assert!(shown.any() && shown.values().next() == Some(&[b'x'; 64]), "{sent}");
        }
    }

    #[test]
    fn crumbs_become_one_field() {
        let ours = format!("{NAME}={}", "y".repeat(64));
        let (kept, shown) = after(&["a=1", &ours, "b=2; c=3"]);
        assert_eq!(kept.as_deref(), Some("a=1; b=2; c=3"));
        assert_eq!(shown.values().count(), 1);
        assert_eq!(after(&[&ours, &ours]).0, None);
        assert_eq!(after(&["a=1", "b=2"]).0.as_deref(), Some("a=1; b=2"));
    }

    #[test]
    fn another_spelling_of_our_name_is_not_ours_and_stays() {
        for name in [
            "__host-cloakroom",
            "__HOST-cloakroom",
            "x__Host-cloakroom",
            "__Host-cloakroom2",
            "\u{a0}__Host-cloakroom",
            "__Host-cloakroom ",
        ] {
            let sent = format!("{name}={}", "x".repeat(64));
            let (kept, shown) = after(&[&sent]);
            assert_eq!(kept.as_deref(), Some(sent.as_str()));
            assert!(!shown.any(), "{name}");
        }
    }

    #[test]
    fn a_malformed_value_is_cut_out_and_nobodys() {
        for value in ["", "short", &"x".repeat(63), &"x".repeat(65), &"x".repeat(9000), "\"\""] {
            let (kept, shown) = after(&[&format!("{NAME}={value}; a=1")]);
            assert_eq!(kept.as_deref(), Some("a=1"));
            assert!(shown.any());
            assert_eq!(shown.values().count(), 0);
        }
    }

    #[test]
    fn of_many_cookies_of_our_name_the_first_four_are_looked_at() {
        let pairs: Vec<_> = (0..9).map(|n| format!("{NAME}={}", n.to_string().repeat(64))).collect();
        let (kept, shown) = after(&[&pairs.join("; ")]);
        assert_eq!(kept, None);
        let firsts: Vec<_> = shown.values().map(|value| value[0]).collect();
        assert_eq!(firsts, *b"0123");
    }

    #[test]
    fn a_cookie_can_be_found_by_name() {
        let mut head = Fields::new();
        head.append("cookie", "a=1; b=2");
        head.append("cookie", "c=x=y; a=3");
        assert_eq!(find(&head, "a"), Some("1"));
        assert_eq!(find(&head, "c"), Some("x=y"));
        assert_eq!(find(&head, "d"), None);
    }

    proptest! {
        #[test]
        fn cutting_ours_leaves_the_others_byte_for_byte(
            pairs in prop::collection::vec(("[a-zA-Z_-]{1,12}", "[!-:<-~]{0,20}"), 0..8),
            at in prop::collection::vec(0_usize..9, 0..4),
        ) {
            let others: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut sent = others.clone();
            for place in &at {
                sent.insert((*place).min(sent.len()), format!("{NAME}={}", "z".repeat(64)));
            }
            let mut head = Fields::new();
            if !sent.is_empty() {
                head.append("cookie", sent.join("; "));
            }
            let shown = take(&mut head, NAME, &["other"]);
            prop_assert_eq!(shown.any(), !at.is_empty());
            let left = head.text("cookie").unwrap_or_default();
            prop_assert_eq!(left, others.join("; "));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            fields in prop::collection::vec(prop::collection::vec(prop_oneof![
                4 => prop::sample::select(b";= \t\"a".to_vec()),
                1 => any::<u8>(),
            ], 0..60), 0..4),
        ) {
            let mut head = Fields::new();
            for field in &fields {
                head.append("cookie", field);
            }
            let all: Vec<u8> = fields.concat();
            let shown = take(&mut head, "a", &[]);
            let _ = find(&head, "=");
            prop_assert!(shown.values().count() <= CANDIDATES);
            if !shown.any() && fields.len() == 1 {
                prop_assert_eq!(head.get("cookie"), Some(all.as_slice()));
            }
        }
    }
}
