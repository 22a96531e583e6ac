//! Write: values as structured fields (RFC 9651, section 4.1), and as plain headers.
//!
//! Comes in: a value. Goes out: visible ASCII at the end of a buffer. Never a byte that would end a header.

use crate::session::data::Value;
use crate::session::rights::Spoken;

/// A member of a dictionary: key and value.
pub(super) fn member(out: &mut Vec<u8>, key: Spoken<'_>, value: &Value<'_>) {
    if let Some(space) = key.space {
        out.extend_from_slice(space.as_bytes());
        out.push(b'.');
    }
    out.extend_from_slice(key.name.as_bytes());
    match value {
        Value::Boolean(true) => return,
        Value::Boolean(false) => out.extend_from_slice(b"=?0"),
        _ => out.push(b'='),
    }
    match value {
        Value::Text(text) if text.bytes().all(is_printable) => string(out, text),
        Value::Text(text) => display_string(out, text),
        Value::Integer(number) => integer(out, *number),
        Value::Decimal(thousandths) => decimal(out, *thousandths),
        Value::Boolean(_) => {}
    }
}

/// A value for applications that know nothing of structured fields: texts as they are, percent-encoded (RFC 3986) where
/// a header cannot hold them.
pub(super) fn plain(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => {
            let last = text.len().saturating_sub(1);
            for (at, byte) in text.bytes().enumerate() {
                let inner_space = byte == b' ' && at != 0 && at != last;
                match inner_space || byte.is_ascii_graphic() && byte != b'%' {
                    true => out.push(byte),
                    false => percent(out, byte, b"0123456789ABCDEF"),
                }
            }
        }
        Value::Integer(number) => integer(out, *number),
        Value::Decimal(thousandths) => decimal(out, *thousandths),
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
    }
}

/// A whole number.
pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn decimal(out: &mut Vec<u8>, thousandths: i64) {
    if thousandths < 0 {
        out.push(b'-');
    }
    let amount = thousandths.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(amount / 1000).as_bytes());
    let fraction = amount % 1000;
    let digits = [fraction / 100, fraction / 10 % 10, fraction % 10].map(|digit| b'0' + digit as u8);
    let needed = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    out.push(b'.');
    out.extend_from_slice(&digits[..needed]);
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn display_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"%\"");
    for byte in text.bytes() {
        match is_printable(byte) && !matches!(byte, b'%' | b'"') {
            true => out.push(byte),
            false => percent(out, byte, b"0123456789abcdef"),
        }
    }
    out.push(b'"');
}

fn percent(out: &mut Vec<u8>, byte: u8, digits: &[u8; 16]) {
    out.extend_from_slice(&[b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{BareItem, Dictionary, ListEntry, Parser};

    use super::*;
    use crate::session::data::LARGEST;

    fn written(value: &Value<'_>) -> String {
        let mut out = Vec::new();
        member(&mut out, Spoken { space: None, name: "k" }, value);
        String::from_utf8(out).expect("ASCII")
    }

    fn as_plain(value: &Value<'_>) -> String {
        let mut out = Vec::new();
        plain(&mut out, value);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn values_are_written_as_the_rfc_does() {
        let vectors = [
            (Value::Text("a \"b\" \\".into()), r#"k="a \"b\" \\""#),
            (Value::Text("".into()), r#"k="""#),
            (
                Value::Text("This is intended for display to üsers.".into()),
                r#"k=%"This is intended for display to %c3%bcsers.""#,
            ),
            (Value::Text("100%\n\"".into()), r#"k=%"100%25%0a%22""#),
            (Value::Integer(-42), "k=-42"),
            (Value::Integer(LARGEST), "k=999999999999999"),
            (Value::Decimal(4_500), "k=4.5"),
            (Value::Decimal(-10), "k=-0.01"),
            (Value::Decimal(2_000), "k=2.0"),
            (Value::Decimal(-LARGEST), "k=-999999999999.999"),
            (Value::Boolean(true), "k"),
            (Value::Boolean(false), "k=?0"),
        ];
        for (value, expected) in vectors {
            assert_eq!(written(&value), expected);
        }
    }

    #[test]
    fn plain_values_hold_what_a_header_can() {
        assert_eq!(as_plain(&Value::Text(" a b% ".into())), "%20a b%25%20");
        assert_eq!(as_plain(&Value::Text("김\r\n".into())), "%EA%B9%80%0D%0A");
        assert_eq!(as_plain(&Value::Boolean(true)), "true");
        assert_eq!(as_plain(&Value::Decimal(1_250)), "1.25");
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(text: String) {
            let written = written(&Value::Text(text.as_str().into()));
            prop_assert!(written.bytes().all(is_printable));
            let read: Dictionary = Parser::new(&written).parse().expect("a dictionary");
            let Some(ListEntry::Item(item)) = read.get("k") else { panic!("no item") };
            match &item.bare_item {
                BareItem::String(read) => prop_assert_eq!(read.as_str(), text),
                BareItem::DisplayString(read) => prop_assert_eq!(read, &text),
                other => panic!("{other:?}"),
            }
        }

        #[test]
        fn any_number_is_read_as_it_was_written(number in -LARGEST..=LARGEST) {
            let text = written(&Value::Decimal(number));
            let read: Dictionary = Parser::new(&text).parse().expect("a dictionary");
            let Some(ListEntry::Item(item)) = read.get("k") else { panic!("no item") };
            let decimal = item.bare_item.as_decimal().expect("a decimal");
            prop_assert_eq!(i64::from(decimal.as_integer_scaled_1000()), number);
            prop_assert_eq!(read.serialize_value_of("k"), text);
        }
    }

    trait Canonical {
        fn serialize_value_of(&self, key: &str) -> String;
    }

    impl Canonical for Dictionary {
        fn serialize_value_of(&self, _: &str) -> String {
            use sfv::FieldType as _;
            self.serialize().expect("not empty")
        }
    }
}
