//! Interpolate: `${VAR}`, `${VAR:-default}` and `${file:/path}` in string values.
//!
//! Comes in: one value and where to look names up. Goes out: the value with everything filled in, or what is missing.
//! `$${` stands for a literal `${`; any other `$` is itself, so password hashes need no care. Never looks at what it
//! filled in a second time.

use std::path::{Path, PathBuf};

/// The longest file that is read into a value, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Where names are looked up.
pub trait Lookup {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file, as text.
    fn file(&mut self, path: &Path) -> Result<String, String>;
}

/// The process's environment, and files relative to a directory; remembers which files were read.
#[derive(Debug)]
pub struct System {
    directory: PathBuf,
    /// Files that were read.
    pub files: Vec<PathBuf>,
}

impl System {
    /// Relative paths start at `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, files: Vec::new() }
    }
}

impl Lookup for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&mut self, path: &Path) -> Result<String, String> {
        let path = self.directory.join(path);
        let cannot = |why: String| format!("cannot read {}: {why}", path.display());
        let size = std::fs::metadata(&path).map_err(|error| cannot(error.to_string()))?.len();
        if size > LONGEST_FILE {
            return Err(cannot("larger than 64 KiB".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| cannot(error.to_string()))?;
        self.files.push(path);
        Ok(text)
    }
}

/// Fills in everything in `value`; `None` when there is nothing to fill in. An error may hold a hint after a line feed.
pub fn interpolate(value: &str, lookup: &mut impl Lookup) -> Option<Result<String, String>> {
    value.contains("${").then(|| fill_in(value, lookup))
}

fn fill_in(value: &str, lookup: &mut impl Lookup) -> Result<String, String> {
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = after;
            continue;
        }
        filled.push_str(before);
        let end = after.find('}').ok_or("`${` without its `}`\na literal `${` is written `$${`")?;
        filled.push_str(&look_up(&after[..end], lookup)?);
        rest = &after[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn look_up(expression: &str, lookup: &mut impl Lookup) -> Result<String, String> {
    if let Some(path) = expression.strip_prefix("file:") {
        let mut text = lookup.file(Path::new(path))?;
        if text.ends_with('\n') {
            text.truncate(text.len() - 1);
            text.truncate(text.strip_suffix('\r').unwrap_or(&text).len());
        }
        return Ok(text);
    }
    let (name, default) = match expression.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (expression, None),
    };
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !well_formed {
        return Err(format!(
            "`${{{expression}}}` is not the name of a variable\nwrite `${{NAME}}`, `${{NAME:-default}}` or `${{file:/path}}`; a literal `${{` is `$${{`"
        ));
    }
    match (lookup.variable(name).filter(|value| default.is_none() || !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the environment variable `{name}` is not set\nset it, or give a default: `${{{name}:-…}}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "PORT" => Some("8080".to_owned()),
                "EMPTY" => Some(String::new()),
                "NESTED" => Some("${PORT}".to_owned()),
                _ => None,
            }
        }

        fn file(&mut self, path: &Path) -> Result<String, String> {
            match path.to_str() {
                Some("/run/key") => Ok("secret\n".to_owned()),
                Some("/run/dos") => Ok("secret\r\n".to_owned()),
                _ => Err("no such file".to_owned()),
            }
        }
    }

    fn filled(value: &str) -> String {
        interpolate(value, &mut Fixed).expect("something to fill in").expect("all names are known")
    }

    #[test]
    fn variables_defaults_and_files_are_filled_in() {
        assert_eq!(filled("127.0.0.1:${PORT}"), "127.0.0.1:8080");
        assert_eq!(filled("${HOST:-localhost}:${PORT:-1}"), "localhost:8080");
        assert_eq!(filled("${EMPTY:-default}${EMPTY}"), "default");
        assert_eq!(filled("${file:/run/key}${file:/run/dos}"), "secretsecret");
        assert_eq!(filled("${NESTED}"), "${PORT}", "what was filled in is not looked at again");
    }

    #[test]
    fn a_password_hash_survives_untouched() {
        assert!(interpolate("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", &mut Fixed).is_none());
        assert!(interpolate("$$ and $PORT", &mut Fixed).is_none());
    }

    #[test]
    fn two_dollars_make_a_literal() {
        assert_eq!(filled("$${PORT} ${PORT}"), "${PORT} 8080");
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        for value in ["${UNKNOWN}", "${PORT", "${}", "${a-b}", "${file:/nowhere}"] {
            assert!(interpolate(value, &mut Fixed).expect("something to fill in").is_err(), "{value}");
        }
    }
}
