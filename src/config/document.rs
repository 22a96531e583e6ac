//! Document: a YAML text as values, and where in the text each of them stands.
//!
//! Comes in: a text. Goes out: the values, with anchors and merge keys resolved, and a place for every path such as
//! `routes[2].upstream`; syntax errors and keys given twice as diagnostics. Secret values are masked in all that is
//! shown of the text. Never knows what a key means, except which ones hold secrets.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

use super::diagnostic::{Diagnostic, Place, Severity};

pub(super) use tree::Node;
use tree::{Span, Tree};

mod tree;

/// The longest text that is read, in bytes.
pub(super) const LONGEST: usize = 4 << 20;

/// A text and its places.
#[derive(Debug)]
pub(super) struct Document {
    name: String,
    lines: Vec<String>,
    root: Node,
}

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// What every text turns into: its values, or why it cannot be read.
pub(super) struct Parsed {
    pub document: Document,
    pub value: Value,
    /// Keys given twice; what was given last counts.
    pub twice: Vec<Diagnostic>,
}

/// Reads a text. `secret` says which paths hold a secret.
pub(super) fn parse(name: &str, text: &str, secret: fn(&[&str]) -> bool) -> Result<Parsed, Box<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let syntax =
        |line: usize, column: usize, message: String| Box::new(broken(name, text, line, column, message));
    if text.len() > LONGEST {
        return Err(syntax(0, 0, format!("longer than {} MiB", LONGEST >> 20)));
    }
    let Lenient(mut value) = serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        syntax(line, column, without_place(&error.to_string()))
    })?;
    value.apply_merge().map_err(|error| syntax(0, 0, error.to_string()))?;
    let tree = Tree::read(text).map_err(|error| {
        let marker = error.marker();
        syntax(marker.line(), marker.col() + 1, error.info().to_owned())
    })?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    tree.root.mask(&mut Vec::new(), secret, &mut lines);
    let document = Document { name: name.to_owned(), lines, root: tree.root };
    let twice =
        tree.twice.iter().map(|(key, first, again)| document.given_twice(key, *first, *again)).collect();
    Ok(Parsed { document, value, twice })
}

impl Document {
    /// Where `path` stands; where it is not there, the nearest thing around it.
    pub fn place(&self, path: &str, part: Part) -> Place {
        let (node, rest) = self.root.nearest(path);
        let key = if rest.is_empty() { part == Part::Key } else { !node.is_scalar() };
        self.at(node.key.filter(|_| key).unwrap_or(node.value))
    }

    /// Whether `path` is there, as written.
    pub fn has(&self, path: &str) -> bool {
        self.root.nearest(path).1.is_empty()
    }

    /// Whether something that was wrong has been cut out of what stands at `path`.
    pub fn is_damaged(&self, path: &str) -> bool {
        self.root.nearest(path).0.damaged
    }

    /// Cuts `path` out of the values and out of the places; false when there is no such thing.
    pub fn cut(&mut self, value: &mut Value, path: &str) -> bool {
        self.root.cut(value, path)
    }

    fn at(&self, span: Span) -> Place {
        let source = self.lines.get(span.line.saturating_sub(1)).cloned().unwrap_or_default();
        Place { file: self.name.clone(), line: span.line, column: span.column, length: span.length, source }
    }

    fn given_twice(&self, key: &str, first: Span, again: Span) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: format!("the key `{key}` is given twice"),
            hint: Some(format!("it is on line {} already; keep one of them", first.line)),
            key: key.to_owned(),
            place: self.at(again),
        }
    }
}

/// A syntax error. There are no places to mask secrets by yet, so a line that may hold one is not shown.
fn broken(name: &str, text: &str, line: usize, column: usize, message: String) -> Diagnostic {
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let delicate =
        ["secret", "password", "database", "$argon2", "$2"].iter().any(|word| source.contains(word));
    let place = match (line, delicate) {
        (0, _) => Place::file(name),
        (_, true) => Place { source: "(not shown: it may hold a secret)".to_owned(), ..Place::file(name) },
        (_, false) => Place { source: source.to_owned(), ..Place::file(name) },
    };
    let (column, length) = if delicate { (1, 1) } else { (column.max(1), 1) };
    let hint = (line > 0).then(|| hint_for(source, &message)).flatten();
    let key = String::new();
    let place = Place { line, column, length, ..place };
    Diagnostic { severity: Severity::Error, message: format!("not valid YAML: {message}"), hint, key, place }
}

fn hint_for(source: &str, message: &str) -> Option<String> {
    let code = source.trim_start();
    let indent = &source[..source.len() - code.len()];
    let value = code.split_once(": ").map_or(code, |(_, value)| value.trim_start());
    let hint = if indent.contains('\t') {
        "YAML is indented with spaces, never with tabs"
    } else if code.contains("${") {
        "between brackets this needs quotes: \"${…}\""
    } else if value.starts_with(['*', '%', '@', '`', '&', '!']) && !message.contains("limit") {
        "a value that starts with this character needs quotes: \"…\""
    } else if code.starts_with(['{', '[', '}', ']']) {
        "what stands between brackets must be indented further than the key before them"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

const TAGGED: &str = "a tag (`!…`) has no meaning here";

/// The library ends its messages with the place, which is shown apart.
fn without_place(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    if message.contains("invalid type: enum") { TAGGED.to_owned() } else { message.to_owned() }
}

/// Any YAML value; keys become text, and of a key given twice the last counts (the tree reports it).
struct Lenient(Value);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor).map(Lenient)
    }
}

struct LenientVisitor;

impl<'de> Visitor<'de> for LenientVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value without a tag")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Lenient(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Sequence(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Mapping::new();
        while let Some(Lenient(key)) = map.next_key()? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                Value::Bool(key) => key.to_string(),
                Value::Null => "null".to_owned(),
                _ => return Err(serde::de::Error::custom("a key must be a single word")),
            };
            let Lenient(value) = map.next_value()?;
            values.insert(Value::String(key), value);
        }
        Ok(Value::Mapping(values))
    }
}
