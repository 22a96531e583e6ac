//! Users: a file of users, in the same form as `login.local.users`.
//!
//! Comes in: a path. Goes out: the users, or everything that is wrong with the file. Never caches.

use std::collections::BTreeMap;
use std::path::Path;

use super::brief::Brief;
use super::diagnostic::{Diagnostic, Place, Problems, Severity};
use super::document::parse;
use super::file::User;
use super::interpolate::System;
use super::resolve::{self, Context};
use super::typed;
use crate::login::LocalUser;

/// Reads a file of users.
pub fn load(path: &Path) -> Result<Vec<LocalUser>, Problems> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| whole(&name, error.to_string()))?;
    let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let parsed = parse(&name, &text, is_secret).map_err(|found| Problems::new(vec![*found]))?;
    let (mut document, mut value, mut found) = (parsed.document, parsed.value, parsed.twice);
    let mut lookup = System::new(directory.clone());
    typed::prepare(&mut document, &mut value, |path| path.is_empty(), &mut lookup, &mut found);
    let users: BTreeMap<String, Brief<User>> =
        typed::read(&mut document, value, &mut found).unwrap_or_default();
    let mut context = Context { document, found, files: Vec::new(), directory, makes_keys: false };
    let users = resolve::login::users(&mut context, "", &users);
    if context.found.is_empty() { Ok(users) } else { Err(Problems::new(context.found)) }
}

fn is_secret(path: &[&str]) -> bool {
    matches!(path, [_] | [_, "password"])
}

fn whole(name: &str, message: String) -> Problems {
    Problems::new(vec![Diagnostic {
        severity: Severity::Error,
        message,
        hint: None,
        key: String::new(),
        place: Place::file(name),
    }])
}
