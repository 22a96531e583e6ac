//! Typed: values become the structs that mirror the file, with every error found in one run.
//!
//! Comes in: a document and its values. Goes out: the struct, and a diagnostic for each thing that did not fit; what
//! did not fit is cut out and the rest is tried again. Never checks what values mean.

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::diagnostic::{Diagnostic, Severity};
use super::document::{Document, Part};
use super::interpolate::{Lookup, interpolate};

/// More errors than this are not looked for.
const MOST: usize = 100;

/// Fills in `${…}` and leaves out what counts as absent: keys starting with `x-`, and keys without a value. Maps whose
/// keys are the operator's own (`free`) keep all their keys.
pub(super) fn prepare(
    document: &mut Document,
    value: &mut Value,
    free: fn(&str) -> bool,
    lookup: &mut impl Lookup,
    found: &mut Vec<Diagnostic>,
) {
    if value.is_null() {
        *value = Value::Mapping(serde_yaml::Mapping::new());
    }
    let before = found.len();
    prepare_below(document, "", value, free, lookup, found);
    let broken: Vec<String> = found[before..].iter().rev().map(|found| found.key.clone()).collect();
    for path in broken {
        document.cut(value, &path);
    }
}

fn prepare_below(
    document: &Document,
    path: &str,
    value: &mut Value,
    free: fn(&str) -> bool,
    lookup: &mut impl Lookup,
    found: &mut Vec<Diagnostic>,
) {
    match value {
        Value::String(text) => match interpolate(text, lookup) {
            Some(Ok(filled)) => *text = filled,
            Some(Err(why)) => found.push(error(document, path, Part::Value, &why)),
            None => {}
        },
        Value::Sequence(values) => {
            for (at, value) in values.iter_mut().enumerate() {
                prepare_below(document, &format!("{path}[{at}]"), value, free, lookup, found);
            }
        }
        Value::Mapping(values) => {
            if !free(path) {
                let ignored = |key: &Value| key.as_str().is_some_and(|key| key.starts_with("x-"));
                values.retain(|key, value| !ignored(key) && !value.is_null());
            }
            for (key, value) in values.iter_mut() {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{}", key.as_str().unwrap_or_default());
                prepare_below(document, &path, value, free, lookup, found);
            }
        }
        _ => {}
    }
}

/// Gives values their type. `None` when nothing of it could be used.
pub(super) fn read<T: DeserializeOwned>(
    document: &mut Document,
    mut value: Value,
    found: &mut Vec<Diagnostic>,
) -> Option<T> {
    for _ in 0..MOST {
        match serde_path_to_error::deserialize(value.clone()) {
            Ok(typed) => return Some(typed),
            Err(failed) => {
                let path = failed.path().to_string();
                found.push(diagnose(document, &path, &failed.inner().to_string()));
                if !document.cut(&mut value, &path) {
                    return None;
                }
            }
        }
    }
    None
}

/// An error at `path`; a hint may follow the message after a line feed.
pub(super) fn error(document: &Document, path: &str, part: Part, message: &str) -> Diagnostic {
    let (message, hint) = match message.split_once('\n') {
        Some((message, hint)) => (message, Some(hint.to_owned())),
        None => (message, None),
    };
    Diagnostic {
        severity: Severity::Error,
        message: message.to_owned(),
        hint,
        key: path.to_owned(),
        place: document.place(path, part),
    }
}

/// Turns what serde says into what an operator can use.
fn diagnose(document: &Document, path: &str, message: &str) -> Diagnostic {
    for (start, noun, part) in
        [("unknown field `", "key", Part::Key), ("unknown variant `", "value", Part::Value)]
    {
        let Some((wrong, known)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) else {
            continue;
        };
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let hint = did_you_mean(wrong, &known).or_else(|| listed(&known));
        return Diagnostic { hint, ..error(document, path, part, &format!("unknown {noun} `{wrong}`")) };
    }
    let wrong_type = message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "));
    let message = match wrong_type {
        Some((given, wanted)) => {
            let wanted = match wanted {
                "a sequence" => "a list",
                wanted if wanted.contains("enum") => "a single word",
                wanted => wanted,
            };
            &format!("expected {wanted}, found {}", plain(given))
        }
        None => message,
    };
    error(document, path, Part::Value, message)
}

/// serde's names of types in words.
fn plain(given: &str) -> String {
    match given {
        "map" => "a map".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" => "nothing".to_owned(),
        other => {
            for (serde, word) in [
                ("string \"", "the text "),
                ("integer `", "the number "),
                ("boolean `", ""),
                ("floating point `", "the number "),
            ] {
                if let Some(value) = other.strip_prefix(serde) {
                    return format!("{word}`{}`", value.trim_end_matches(['"', '`']));
                }
            }
            other.to_owned()
        }
    }
}

/// The nearest of the known words, if one is near enough.
pub(super) fn did_you_mean(wrong: &str, known: &[&str]) -> Option<String> {
    let near = |word: &&str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase());
    let best = known.iter().min_by_key(|word| near(word)).filter(|word| {
        let longest = wrong.chars().count().max(word.chars().count());
        near(word) <= (longest / 3).max(1) || (wrong.len() > 2 && word.starts_with(wrong))
    })?;
    Some(format!("did you mean `{best}`?"))
}

/// All words that would have done.
pub(super) fn listed(known: &[&str]) -> Option<String> {
    (!known.is_empty()).then(|| {
        let words: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
        format!("known here: {}", words.join(", "))
    })
}
