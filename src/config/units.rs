//! Units: values that carry their unit, as `30m`, `64KiB` or `5/15m`, and numbers and switches that may come from `${VAR}`.
//!
//! Comes in: one YAML scalar. Goes out: a number with a meaning, or a sentence that shows how to write it.
//! Never guesses a unit.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A span of time: `500ms`, `30s`, `15m`, `12h`, `30d`, or several together, `1h30m`. At most 100 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub StdDuration);

/// A number of bytes: `512B`, `16KB` (1000), `64KiB` (1024), up to `TiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

/// So many times in so long: `5/15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u32, pub StdDuration);

/// A whole number without a unit; the text of one (from `${VAR}`) will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub u64);

/// `true` or `false`; the text of one (from `${VAR}`) will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(pub bool);

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const CENTURY: u64 = 100 * 365 * 86_400_000;

impl Duration {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }
}

/// What is written as one scalar. An error may hold a hint after a line feed.
trait Scalar: Sized {
    const WANTED: &'static str;
    fn parse(text: &str) -> Result<Self, String>;
    fn from_number(number: u64) -> Result<Self, String>;
    fn from_bool(value: bool) -> Result<Self, String> {
        Err(format!("expected {}, found `{value}`", Self::WANTED))
    }
}

impl Scalar for Duration {
    const WANTED: &'static str = "a duration such as `30s`, `15m` or `12h`";

    fn parse(text: &str) -> Result<Self, String> {
        let unreadable =
            || format!("`{text}` is not a duration\nwrite a number and a unit: ms, s, m, h or d");
        let mut rest = text.trim();
        let mut millis = 0_u64;
        if rest.is_empty() {
            return Err(unreadable());
        }
        if let Ok(number) = rest.parse() {
            return Self::from_number(number);
        }
        while !rest.is_empty() {
            let (number, after) = leading_number(rest).ok_or_else(unreadable)?;
            let end = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(unreadable)?;
            millis =
                number.checked_mul(*factor).and_then(|part| millis.checked_add(part)).unwrap_or(u64::MAX);
            rest = after;
        }
        if millis > CENTURY {
            return Err(format!("`{text}` is longer than 100 years"));
        }
        Ok(Duration(StdDuration::from_millis(millis)))
    }

    fn from_number(number: u64) -> Result<Self, String> {
        match number {
            0 => Ok(Duration::default()),
            _ => Err(format!("`{number}` has no unit\nwrite `{number}s`, `{number}m` or `{number}h`")),
        }
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Scalar for Size {
    const WANTED: &'static str = "a size such as `64KiB` or `100MiB`";

    fn parse(text: &str) -> Result<Self, String> {
        let unreadable =
            || format!("`{text}` is not a size\nwrite a number and a unit: B, KB, MB, GB, KiB, MiB or GiB");
        let (number, unit) = leading_number(text.trim()).ok_or_else(unreadable)?;
        if unit.is_empty() {
            return Self::from_number(number);
        }
        let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(unreadable)?;
        number.checked_mul(*factor).map(Size).ok_or_else(|| format!("`{text}` is too large"))
    }

    fn from_number(number: u64) -> Result<Self, String> {
        match number {
            0 => Ok(Size(0)),
            _ => Err(format!("`{number}` has no unit\nwrite `{number}B`, `{number}KiB` or `{number}MiB`")),
        }
    }
}

impl Scalar for Rate {
    const WANTED: &'static str = "a rate such as `5/15m`";

    fn parse(text: &str) -> Result<Self, String> {
        let unreadable =
            || format!("`{text}` is not a rate\nwrite a number and a window: `5/15m` is five in 15 minutes");
        let (times, window) = text.split_once('/').ok_or_else(unreadable)?;
        let times: u32 = times.trim().parse().map_err(|_| unreadable())?;
        let window = Duration::parse(window)?.0;
        if times == 0 || window.is_zero() {
            return Err(format!("`{text}` would let nobody in\nboth numbers must be at least 1"));
        }
        Ok(Rate(times, window))
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Err(format!("`{number}` has no window\nwrite `{number}/15m`"))
    }
}

impl Scalar for Count {
    const WANTED: &'static str = "a whole number";

    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Count).map_err(|_| format!("`{text}` is not a whole number"))
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Ok(Count(number))
    }
}

impl Scalar for Switch {
    const WANTED: &'static str = "`true` or `false`";

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" => Ok(Switch(true)),
            "false" => Ok(Switch(false)),
            _ => Err(format!("expected `true` or `false`, found `{text}`")),
        }
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Err(format!("expected `true` or `false`, found `{number}`"))
    }

    fn from_bool(value: bool) -> Result<Self, String> {
        Ok(Switch(value))
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    digits.parse().ok().map(|number| (number, rest))
}

struct ScalarVisitor<T>(std::marker::PhantomData<T>);

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format!("`{number}` is negative"))),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::from_bool(value).map_err(E::custom)
    }
}

/// Gives a scalar type its reading, its writing (for defaults in the schema) and its schema.
macro_rules! scalar {
    ($type:ident, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(std::marker::PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(Duration, { "type": ["string", "integer"], "maximum": 0, "pattern": "^([0-9]+(ms|s|m|h|d))+$", "examples": ["500ms", "30s", "12h"] });
scalar!(Size, { "type": ["string", "integer"], "maximum": 0, "pattern": "^[0-9]+([KMGT]i?)?B$", "examples": ["16KB", "64KiB", "1GiB"] });
scalar!(Rate, { "type": "string", "pattern": "^[0-9]+/([0-9]+(ms|s|m|h|d))+$", "examples": ["5/15m"] });
scalar!(Count, { "type": "integer", "minimum": 0 });
scalar!(Switch, { "type": "boolean" });

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let exact = TIMES.iter().rev().find(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&("s", 1));
        write!(formatter, "{}{unit}", millis / factor)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES[5..].iter().rev().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&("B", 1));
        write!(formatter, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.0, Duration(self.1))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for Switch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_sizes_and_rates_are_read_and_written_alike() {
        for text in ["500ms", "30s", "15m", "12h", "30d", "0s"] {
            assert_eq!(read::<Duration>(text).expect("a duration").to_string(), text);
        }
        for text in ["0B", "512B", "64KiB", "1GiB"] {
            assert_eq!(read::<Size>(text).expect("a size").to_string(), text);
        }
        assert_eq!(read::<Duration>("1h30m"), Ok(Duration(StdDuration::from_secs(5400))));
        assert_eq!(read::<Size>("16KB"), Ok(Size(16_000)));
        assert_eq!(read::<Rate>("5/15m").expect("a rate").to_string(), "5/15m");
    }

    #[test]
    fn a_bare_number_is_an_error_that_shows_the_fix() {
        assert!(read::<Duration>("30").unwrap_err().contains("write `30s`, `30m` or `30h`"));
        assert!(read::<Duration>("\"30\"").unwrap_err().contains("write `30s`"));
        assert!(read::<Size>("64").unwrap_err().contains("`64KiB`"));
        assert!(read::<Rate>("5").unwrap_err().contains("`5/15m`"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["fast", "10 parsecs", "m", "-5s", "5s5", "999999999999999999999s", "\"\""] {
            assert!(read::<Duration>(text).is_err(), "{text}");
        }
        for text in ["64kib", "1.5GiB", "99999999999TiB", "many"] {
            assert!(read::<Size>(text).is_err(), "{text}");
        }
        for text in ["5/0s", "0/5m", "5/m", "/15m", "5"] {
            assert!(read::<Rate>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_switches_may_be_text_from_a_variable() {
        assert_eq!(read::<Count>("\"12\""), Ok(Count(12)));
        assert_eq!(read::<Switch>("\"true\""), Ok(Switch(true)));
        assert!(read::<Count>("-1").unwrap_err().contains("negative"));
        assert!(read::<Switch>("yes").is_err());
    }
}
