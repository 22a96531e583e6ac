//! Form: what somebody filled in.
//!
//! Comes in: the body of a POST. Goes out: its fields, decoded. Never fails: what is no field is no field.

use std::borrow::Cow;

/// The fields of a form, in their order.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub fn parse(body: &[u8]) -> Self {
        let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let pair = |field: &[u8]| match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (decode(&field[..at]), decode(&field[at + 1..])),
            None => (decode(field), String::new()),
        };
        Self(fields.map(pair).collect())
    }

    /// All fields.
    pub fn fields(&self) -> &[(String, String)] {
        &self.0
    }

    /// A field's first value; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8_lossy(&Cow::from(percent_encoding::percent_decode(&spaced))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let form = Form::parse("text=a+b%26&empty&&text=2&%EA%B9%80=%EC%B2%A0%EC%88%98".as_bytes());
        assert_eq!((form.get("text"), form.get("empty"), form.get("none")), ("a b&", "", ""));
        assert_eq!(form.get("김"), "철수");
        assert_eq!(form.fields().len(), 4);
    }
}
