//! Form: fields of `application/x-www-form-urlencoded`, as in a query or a posted body (WHATWG URL, section 5.1).
//!
//! Comes in: raw bytes. Goes out: one field's value as text. Never keeps a copy: a password is decoded once, when asked for.

use percent_encoding::percent_decode;

/// The first field called `name`; `None` when there is none or it is not UTF-8.
pub fn field(form: &[u8], name: &str) -> Option<String> {
    let mut pairs =
        form.split(|&byte| byte == b'&').map(|pair| match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        });
    let (_, value) = pairs.find(|(found, _)| decoded(found).as_deref() == Some(name))?;
    decoded(value)
}

/// A name or value as text; `None` when it is not UTF-8.
pub fn decoded(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_decoded() {
        let form = b"username=al%20ice&password=a%2Bb+c%26&remember&x=%ff&%70ath=%2F&password=second";
        let find = |name| field(form, name);
        assert_eq!(find("username").as_deref(), Some("al ice"));
        assert_eq!(find("password").as_deref(), Some("a+b c&"));
        assert_eq!(find("remember").as_deref(), Some(""));
        assert_eq!(find("path").as_deref(), Some("/"));
        assert_eq!(find("x"), None);
        assert_eq!(find("absent"), None);
        assert_eq!(field("user=%ED%95%9C&b=한".as_bytes(), "user").as_deref(), Some("한"));
    }
}
