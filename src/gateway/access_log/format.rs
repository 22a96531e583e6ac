//! Formats: how an entry becomes one line.
//!
//! Comes in: a format and an [`Entry`]. Goes out: bytes that end with the line's only line break, valid UTF-8, without
//! control characters: whatever a client sends stays within its field. Never shows a query.

use std::io::Write as _;

use super::{Entry, Format};
use crate::clock::civil::Civil;

/// One line, line break included; nothing when the log is off.
pub fn line(format: Format, entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    match format {
        Format::Json => json(&mut line, entry),
        Format::Common => common(&mut line, entry),
        Format::Combined => {
            common(&mut line, entry);
            quoted_referer(&mut line, entry.referer);
            line.extend_from_slice(b" \"");
            apache_text(&mut line, entry.user_agent.filter(|agent| !agent.is_empty()).unwrap_or(b"-"));
            line.push(b'"');
        }
        Format::Off => return line,
    }
    line.push(b'\n');
    line
}

/// `%h - %u %t "%r" %>s %b`: Apache's common log format.
fn common(line: &mut Vec<u8>, entry: &Entry<'_>) {
    match entry.client {
        Some(client) => put(line, format_args!("{client}")),
        None => line.push(b'-'),
    }
    line.extend_from_slice(b" - ");
    apache_word(line, entry.user.unwrap_or("-"));
    match entry.at {
        Some(at) => put(line, format_args!(" [{}] \"", Civil::from(at).apache())),
        None => line.extend_from_slice(b" [-] \""),
    }
    if entry.method.is_empty() {
        line.push(b'-');
    } else {
        apache_text(line, entry.method.as_bytes());
        line.push(b' ');
        apache_text(line, entry.path.as_bytes());
        line.extend_from_slice(if entry.has_query { b"?- " } else { b" " });
        apache_text(line, entry.protocol.as_bytes());
    }
    match entry.status {
        0 => line.extend_from_slice(b"\" - "),
        status => put(line, format_args!("\" {status} ")),
    }
    match entry.sent {
        0 => line.push(b'-'),
        sent => put(line, format_args!("{sent}")),
    }
}

fn quoted_referer(line: &mut Vec<u8>, referer: Option<&[u8]>) {
    let (page, has_query) = without_query(referer.unwrap_or_default());
    line.extend_from_slice(b" \"");
    apache_text(line, if page.is_empty() && !has_query { b"-" } else { page });
    line.extend_from_slice(if has_query { b"?-\"" } else { b"\"" });
}

/// Escapes as Apache's `ap_escape_logitem` does; bytes beyond ASCII become `\xhh`.
fn apache_text(line: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => line.push(byte),
            0x08 => line.extend_from_slice(b"\\b"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x0b => line.extend_from_slice(b"\\v"),
            _ => put(line, format_args!("\\x{byte:02x}")),
        }
    }
}

/// The same for a field without quotes around it: a space would begin the next field.
fn apache_word(line: &mut Vec<u8>, text: &str) {
    for (at, part) in text.split(' ').enumerate() {
        if at > 0 {
            line.extend_from_slice(b"\\x20");
        }
        apache_text(line, part.as_bytes());
    }
}

fn json(line: &mut Vec<u8>, entry: &Entry<'_>) {
    let mut object = Object { line, is_empty: true };
    if let Some(at) = entry.at {
        object.text("time", Civil::from(at).rfc3339().as_bytes());
    }
    if let Some(client) = entry.client {
        object.text("client", client.to_string().as_bytes());
    }
    object.known_text("user", entry.user);
    if let Some(session) = entry.session {
        object.text("session", format!("{session:08x}").as_bytes());
    }
    object.known_text("method", Some(entry.method));
    object.known_text("host", Some(entry.host));
    if !entry.path.is_empty() {
        object.url("path", entry.path.as_bytes(), entry.has_query);
    }
    object.known_text("protocol", Some(entry.protocol));
    if entry.status != 0 {
        object.plain("status", format_args!("{}", entry.status));
    }
    object.plain("sent", format_args!("{}", entry.sent));
    object.plain("received", format_args!("{}", entry.received));
    object.plain("duration", format_args!("{:.6}", entry.took.as_secs_f64()));
    if let Some(took) = entry.upstream_took {
        object.plain("upstream_duration", format_args!("{:.6}", took.as_secs_f64()));
    }
    object.known_text("upstream", entry.upstream);
    object.known_text("route", entry.route);
    object.known_text("request_id", Some(entry.request_id));
    if let Some(referer) = entry.referer {
        let (page, has_query) = without_query(referer);
        object.url("referer", page, has_query);
    }
    if let Some(user_agent) = entry.user_agent {
        object.text("user_agent", user_agent);
    }
    object.known_text("reason", entry.reason);
    object.plain("complete", format_args!("{}", entry.complete));
    object.line.push(b'}');
}

/// A JSON object on its way into a line.
struct Object<'a> {
    line: &'a mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        let before = if self.is_empty { '{' } else { ',' };
        self.is_empty = false;
        put(self.line, format_args!("{before}\"{key}\":"));
    }

    fn plain(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        put(self.line, value);
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.url(key, value, false);
    }

    fn known_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.text(key, value.as_bytes());
        }
    }

    fn url(&mut self, key: &str, value: &[u8], has_query: bool) {
        self.key(key);
        self.line.push(b'"');
        json_text(self.line, value);
        self.line.extend_from_slice(if has_query { b"?-\"" } else { b"\"" });
    }
}

/// Escapes as RFC 8259, section 7, asks for, and all other control characters (a terminal may obey them) as well;
/// what is not UTF-8 becomes U+FFFD.
fn json_text(line: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
                _ if character.is_control() => put(line, format_args!("\\u{:04x}", u32::from(character))),
                _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// A URL up to its query or fragment, and whether there was one.
fn without_query(url: &[u8]) -> (&[u8], bool) {
    match url.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        Some(end) => (&url[..end], true),
        None => (url, false),
    }
}

fn put(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a Vec takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;

    fn entry() -> Entry<'static> {
        Entry {
            at: Some(Timestamp::from_unix_millis(971_186_136_123)),
            client: Some(IpAddr::from([192, 0, 2, 7])),
            user: Some("frank"),
            session: Some(0x00c0_ffee),
            method: "GET",
            host: "example.com",
            path: "/apache_pb.gif",
            has_query: false,
            protocol: "HTTP/1.0",
            status: 200,
            sent: 2326,
            received: 0,
            took: Duration::from_micros(1_234),
            upstream_took: Some(Duration::from_millis(1)),
            upstream: Some("app"),
            route: Some("routes[0]"),
            request_id: "r1",
            referer: Some(b"http://www.example.com/start.html"),
            user_agent: Some(b"Mozilla/4.08 [en] (Win98; I ;Nav)"),
            reason: None,
            complete: true,
        }
    }

    fn text(format: Format, entry: &Entry<'_>) -> String {
        String::from_utf8(line(format, entry)).expect("lines are UTF-8")
    }

    #[test]
    fn common_and_combined_are_as_apache_documents_them() {
        let common =
            "192.0.2.7 - frank [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.0\" 200 2326";
        assert_eq!(text(Format::Common, &entry()), format!("{common}\n"));
        let rest = "\"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"";
        assert_eq!(text(Format::Combined, &entry()), format!("{common} {rest}\n"));
    }

    #[test]
    fn what_is_unknown_is_a_dash_in_apaches_formats() {
        let combined = text(Format::Combined, &Entry::default());
        assert_eq!(combined, "- - - [-] \"-\" - - \"-\" \"-\"\n");
    }

    #[test]
    fn json_has_a_stable_order_of_keys() {
        let expected = concat!(
            r#"{"time":"2000-10-10T13:55:36.123Z","client":"192.0.2.7","user":"frank","session":"00c0ffee","#,
            r#""method":"GET","host":"example.com","path":"/apache_pb.gif","protocol":"HTTP/1.0","status":200,"#,
            r#""sent":2326,"received":0,"duration":0.001234,"upstream_duration":0.001000,"upstream":"app","#,
            r#""route":"routes[0]","request_id":"r1","referer":"http://www.example.com/start.html","#,
            r#""user_agent":"Mozilla/4.08 [en] (Win98; I ;Nav)","complete":true}"#,
            "\n"
        );
        assert_eq!(text(Format::Json, &entry()), expected);
    }

    #[test]
    fn absent_values_are_left_out_of_json() {
        let bare = text(Format::Json, &Entry { reason: Some("bad_request"), ..Entry::default() });
        let expected =
            r#"{"sent":0,"received":0,"duration":0.000000,"reason":"bad_request","complete":false}"#;
        assert_eq!(bare, format!("{expected}\n"));
    }

    #[test]
    fn no_query_reaches_the_log() {
        let secret = Entry { has_query: true, referer: Some(b"https://a.example/?token=secret"), ..entry() };
        let json = text(Format::Json, &secret);
        assert!(json.contains(r#""path":"/apache_pb.gif?-""#) && json.contains(r#""https://a.example/?-""#));
        let combined = text(Format::Combined, &secret);
        assert!(
            combined.contains("\"GET /apache_pb.gif?- HTTP/1.0\"")
                && combined.contains("\"https://a.example/?-\"")
        );
        assert!(!json.contains("secret") && !combined.contains("secret"));
    }

    #[test]
    fn no_value_can_begin_a_second_line_or_leave_its_quotes() {
        let evil = "x\" 200 1\r\n192.0.2.9 \\ \t\u{b}\u{8}\u{c}\u{7f}\u{1b}[2J\u{9b}2J";
        let attack = Entry {
            user: Some(evil),
            method: evil,
            host: evil,
            path: evil,
            protocol: evil,
            request_id: evil,
            referer: Some(b"\xff\xfe\n\""),
            user_agent: Some(evil.as_bytes()),
            ..entry()
        };
        for format in [Format::Json, Format::Common, Format::Combined] {
            let text = text(format, &attack);
            let (line, end) = text.split_at(text.len() - 1);
            assert_eq!(end, "\n");
            assert!(!line.chars().any(char::is_control), "{line}");
        }
        let value: serde_json::Value = serde_json::from_slice(&line(Format::Json, &attack)).expect("JSON");
        assert_eq!(value["user_agent"], evil);
        assert_eq!(value["referer"], "\u{fffd}\u{fffd}\n\"");
        let escaped = r#"x\" 200 1\r\n192.0.2.9 \\ \t\v\b\x0c\x7f\x1b[2J\xc2\x9b2J"#;
        assert!(text(Format::Combined, &attack).ends_with(&format!(" \"{escaped}\"\n")));
        assert!(text(Format::Common, &attack).contains(r#" - x\"\x20200\x201\r\n192"#));
    }
}
