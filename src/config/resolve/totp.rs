//! TOTP: who has a second factor, and where that is kept.
//!
//! Comes in: `login.local.totp:` as written. Goes out: settings. Never opens the file.

use std::path::{Path, PathBuf};

use super::Context;
use crate::config::file::{File, Totp};
use crate::login::factor::FactorSettings;

const AT: &str = "login.local.totp";

/// The file in `state_dir`.
const FILE: &str = "totp.json";

/// Settings of second factors.
pub(super) fn resolve(context: &mut Context, file: &File, given: &Totp) -> FactorSettings {
    let state_dir = file.state_dir.as_deref();
    if file.keys.is_empty() && state_dir.is_none() && given.file.is_some() {
        let message = "the key is made in memory, and nobody could sign in with a second factor after a restart\n\
                       add `state_dir: /var/lib/cloakroom`, or `keys`";
        context.error(&format!("{AT}.file"), message);
    }
    let path = place(context, given, state_dir);
    for (at, group) in given.groups.iter().enumerate().filter(|(_, group)| group.is_empty()) {
        context.error(&format!("{AT}.groups[{at}]"), format!("`{group}` is no group"));
    }
    if given.required.0 && !given.groups.is_empty() {
        context.error(
            &format!("{AT}.groups"),
            "`required: true` is for everybody, members of groups among them\nkeep one of the two",
        );
    }
    let issuer = given.issuer.clone().unwrap_or_else(|| file.login.title.clone());
    // A colon stands between it and the user.
    if issuer.trim().is_empty() || issuer.contains(':') || issuer.chars().any(char::is_control) {
        let place = if given.issuer.is_some() { "issuer" } else { "" };
        let at = format!("{AT}.{place}");
        context.error(
            at.trim_end_matches('.'),
            "authenticator apps need a name without a colon\nwrite `issuer: Example`",
        );
    }
    FactorSettings { required: given.required.0, groups: given.groups.clone(), file: path, issuer }
}

/// The file, given or in `state_dir`, which is made together with a key.
fn place(context: &mut Context, given: &Totp, state_dir: Option<&str>) -> PathBuf {
    match (&given.file, state_dir) {
        (Some(file), _) => {
            let file = context.path(file);
            let directory = file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            if !directory.is_dir() {
                context.error(&format!("{AT}.file"), format!("there is no directory for {}", file.display()));
            }
            file
        }
        (None, Some(directory)) => context.path(directory).join(FILE),
        (None, None) => {
            let message = "where to keep who has a second factor is missing\n\
                           add `state_dir: /var/lib/cloakroom`, or `file:` here and `keys:`";
            context.missing(AT, message);
            FILE.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Source, inspect};

    fn read(totp: &str, more: &str) -> Result<FactorSettings, Problems> {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\n{more}\n\
             login: {{ local: {{ users_file: /dev/null, totp: {{ {totp} }} }} }}\n"
        );
        let config = inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text })?;
        Ok(config.login.local.and_then(|local| local.totp).expect("second factors"))
    }

    #[test]
    fn a_state_dir_is_enough() {
        let settings = read("", "state_dir: /var/lib/cloakroom").expect("accepted");
        assert_eq!(settings.file, Path::new("/var/lib/cloakroom/totp.json"));
        assert_eq!((settings.required, settings.issuer.as_str()), (false, "Cloakroom"));
        assert!(settings.groups.is_empty());
    }

    #[test]
    fn what_cannot_work_is_said() {
        let state = "state_dir: /var/lib/cloakroom";
        for (given, more, told) in [
            ("", "", "where to keep"),
            ("file: /nowhere/at/all.json", state, "no directory"),
            ("file: totp.json", "", "after a restart"),
            ("required: true, groups: [staff]", state, "keep one of the two"),
            ("groups: ['']", state, "is no group"),
            ("issuer: 'a:b'", state, "without a colon"),
            ("require: true", state, "required"),
        ] {
            let problems = read(given, more).expect_err(given).to_string();
            assert!(problems.contains(told), "{given}: {problems}");
        }
    }
}
