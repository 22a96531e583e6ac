//! Pieces: the way in of a cookie that is too large for one.
//!
//! Comes in: the `Cookie` fields of a request. Goes out: the values shown as `NAME`, `NAME.1` to `NAME.9`, each with its
//! number, cut out of the fields by `take`: other cookies keep every byte and their order. Never judges
//! which of them belong together: that takes the keys.

use std::fmt;

use super::{CANDIDATES, pairs, take, value_of};
use crate::message::Fields;

/// How many pieces a session may have: 20 KiB, of 32 KiB that a header block may have by default.
pub const MOST: usize = 5;

/// The longest piece that a browser keeps, with its name (RFC 6265bis, section 5.7).
pub const LONGEST: usize = 4096;

/// How many names are ours: more than pieces, so that nothing is left of what another version has handed out.
const NAMES: usize = 10;

/// What the pieces of a cookie are called.
#[derive(Clone, Debug)]
pub struct Names([String; NAMES]);

impl Names {
    /// `NAME`, `NAME.1`, `NAME.2` and so on.
    pub fn new(name: &str) -> Self {
        let called = |number| if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        Self(std::array::from_fn(called))
    }

    /// What the piece of this number is called; 0 is the first.
    ///
    /// # Panics
    /// From 10 on.
    pub fn of(&self, number: usize) -> &str {
        &self.0[number]
    }

    /// The name of the whole, which is that of its first piece.
    pub fn whole(&self) -> &str {
        self.of(0)
    }

    /// Cuts all pieces out of the `Cookie` fields, and the cookies called like one of `others`, whose values nobody asks
    /// for.
    pub fn take(&self, fields: &mut Fields, others: &[&str]) -> Pieces {
        let mut pieces = Pieces::default();
        for pair in fields.get_all("cookie").flat_map(pairs) {
            let named = self.0.iter().enumerate();
            if let Some((number, value)) =
                named.filter_map(|(number, name)| Some((number, value_of(pair, name)?))).next()
            {
                pieces.add(number, value);
            }
        }
        let rest = self.0[1..].iter().map(String::as_str);
        let others: Vec<_> = others.iter().copied().chain(rest).collect();
        take(fields, self.whole(), &others);
        pieces
    }
}

/// What a request showed under the names of our pieces.
#[derive(Clone, Default)]
pub struct Pieces {
    values: Vec<(usize, Box<[u8]>)>,
    shown: [bool; NAMES],
}

impl Pieces {
    /// Whether there was a piece at all, however malformed.
    pub fn any(&self) -> bool {
        self.shown.contains(&true)
    }

    /// The values of this number, in the order of the request: four at most, and none that is too long.
    pub fn values(&self, number: usize) -> impl Iterator<Item = &[u8]> {
        self.values.iter().filter(move |(is, _)| *is == number).map(|(_, value)| &**value)
    }

    /// The numbers of pieces there were, however malformed.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.shown.iter().enumerate().filter(|(_, shown)| **shown).map(|(number, _)| number)
    }

    fn add(&mut self, number: usize, value: &[u8]) {
        self.shown[number] = true;
        if value.len() <= LONGEST && self.values(number).count() < CANDIDATES {
            self.values.push((number, value.into()));
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} of ours)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "__Host-cloakroom";

    fn after(sent: &[&str]) -> (Option<String>, Pieces) {
        let mut fields = Fields::new();
        for field in sent {
            fields.append("Cookie", field);
        }
        let pieces = Names::new(NAME).take(&mut fields, &["nonce"]);
        assert!(fields.len() <= 1, "one field at most is left");
        (fields.text("cookie").map(str::to_owned), pieces)
    }

    fn values(pieces: &Pieces, number: usize) -> Vec<&str> {
        pieces.values(number).map(|value| std::str::from_utf8(value).expect("ASCII")).collect()
    }

    #[test]
    fn pieces_are_told_by_their_numbers_in_whatever_order_they_come() {
        let (left, pieces) = after(&[
            &format!("a=1; {NAME}.2=third; {NAME}=first"),
            &format!("nonce=x; {NAME}.1=second; b=2"),
        ]);
        assert_eq!(left.as_deref(), Some("a=1; b=2"));
        assert!(pieces.any());
        assert_eq!([0, 1, 2].map(|number| values(&pieces, number)), [["first"], ["second"], ["third"]]);
        assert_eq!(pieces.numbers().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(values(&pieces, 3).is_empty());
    }

    #[test]
    fn names_that_only_look_like_a_piece_stay() {
        for name in [
            format!("{NAME}.0"),
            format!("{NAME}.10"),
            format!("{NAME}.01"),
            format!("{NAME}.x"),
            format!("{NAME}."),
            format!("{NAME}1"),
            "__host-cloakroom.1".to_owned(),
            format!("\u{a0}{NAME}.1"),
            format!("{NAME}.1 "),
        ] {
            let sent = format!("{name}=v");
            let (left, pieces) = after(&[&sent]);
            assert_eq!(left.as_deref(), Some(sent.as_str()));
            assert!(!pieces.any(), "{name}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_many_is_cut_out_and_passed_over() {
        let long = format!("{NAME}={}", "x".repeat(LONGEST + 1));
        let (left, pieces) = after(&[&format!("{long}; a=1; {NAME}.9=y")]);
        assert_eq!(left.as_deref(), Some("a=1"));
        assert!(pieces.any() && values(&pieces, 0).is_empty());
        assert_eq!(pieces.numbers().collect::<Vec<_>>(), [0, 9]);
        let many: Vec<_> = (0..9).map(|at| format!("{NAME}.1={at}")).collect();
        let (left, pieces) = after(&[&many.join("; ")]);
        assert_eq!((left, values(&pieces, 1)), (None, vec!["0", "1", "2", "3"]));
        assert_eq!(format!("{pieces:?}"), "Pieces(4 of ours)");
    }

    proptest! {
        #[test]
        fn cutting_ours_leaves_the_others_byte_for_byte(
            pairs in prop::collection::vec(("[a-zA-Z_.-]{1,12}", "[!-:<-~]{0,20}"), 0..8),
            at in prop::collection::vec((0_usize..9, 0_usize..NAMES), 0..6),
        ) {
            let others: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (mut sent, names) = (others.clone(), Names::new(NAME));
            for (place, number) in &at {
                sent.insert((*place).min(sent.len()), format!("{}=z{number}", names.of(*number)));
            }
            let field = sent.join("; ");
            let (left, pieces) = if sent.is_empty() { after(&[]) } else { after(&[&field]) };
            prop_assert_eq!(pieces.any(), !at.is_empty());
            prop_assert_eq!(left.unwrap_or_default(), others.join("; "));
            for number in 0..NAMES {
                let inserted = at.iter().filter(|(_, is)| *is == number).count();
                prop_assert_eq!(values(&pieces, number), vec![format!("z{number}"); inserted.min(CANDIDATES)]);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            fields in prop::collection::vec(prop::collection::vec(prop_oneof![
                6 => prop::sample::select(b";= \t\".a12".to_vec()),
                1 => any::<u8>(),
            ], 0..60), 0..4),
        ) {
            let mut head = Fields::new();
            for field in &fields {
                head.append("cookie", field);
            }
            let all = fields.concat();
            let pieces = Names::new("a").take(&mut head, &[]);
            prop_assert!((0..NAMES).all(|number| pieces.values(number).count() <= CANDIDATES));
            if !pieces.any() && fields.len() == 1 {
                prop_assert_eq!(head.get("cookie"), Some(all.as_slice()));
            }
            prop_assert!(!Names::new("a").take(&mut head, &[]).any(), "none is left");
        }
    }
}
