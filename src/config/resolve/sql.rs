//! Sql: which database keeps the sessions.
//!
//! Comes in: `session.sql:` as written. Goes out: settings of the store. Never shows the URL: it may hold a password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Context, certificate};
use crate::config::file::Sql;
use crate::session::sql::{Address, SqlSettings};

const URL: &str = "session.sql.url";

/// What a response can wait for, and a person with it.
const LONGEST: Duration = Duration::from_secs(60);

/// Settings of the store, with every path from the directory of the configuration.
pub(super) fn sql(context: &mut Context, given: &Sql) -> SqlSettings {
    let address = match &given.url {
        Some(url) => address(context, url.0.expose_secret()),
        None => {
            context.missing(
                "session.sql",
                "the database is missing\nadd `url: sqlite:///var/lib/cloakroom/sessions.db`",
            );
            None
        }
    };
    if given.timeout.0.is_zero() || given.timeout.0 > LONGEST {
        context.error(
            "session.sql.timeout",
            format!("`{}` is no time to wait for a database\nwrite a duration such as `2s`", given.timeout),
        );
    }
    let ca = given.tls.ca.as_deref();
    let ca = ca.map(|ca| certificate::authorities(context, "session.sql.tls.ca", ca));
    match &address {
        Some(Address::Sqlite(_)) if ca.is_some() => {
            context.error("session.sql.tls", "a file is not reached over TLS\nleave `tls` out");
        }
        Some(address) if ca.is_none() && address.may_be_overheard() => context.warn(
            URL,
            "whoever is on the way to the database can read sessions, or answer in its place\n\
             add `tls: { ca: ca.pem }`, or `?sslmode=verify-full` (MySQL: `?ssl-mode=verify_identity`) to the URL",
        ),
        _ => {}
    }
    SqlSettings {
        // One that is wrong is never used.
        address: address.unwrap_or(Address::Sqlite(PathBuf::new())),
        migrate: given.migrate.0,
        timeout: given.timeout.0,
        ca,
    }
}

fn address(context: &mut Context, url: &str) -> Option<Address> {
    let path = match Address::parse(url) {
        Ok(Address::Sqlite(path)) => context.directory.join(path),
        Ok(address) => return Some(address),
        Err(why) => {
            context.error(URL, why);
            return None;
        }
    };
    let directory = path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
    if !directory.is_some_and(Path::is_dir) {
        let directory = directory.unwrap_or(&path).display();
        context.error(URL, format!("there is no directory {directory}\nmake it, for the gateway's own user"));
    } else if path.is_dir() {
        context.error(URL, format!("{} is a directory\nname a file in it", path.display()));
    }
    Some(Address::Sqlite(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document;
    use crate::config::file::{File, Secret, SqlTls};
    use crate::config::units;

    /// What becomes of settings that are given in this directory, and what is said about them.
    fn resolved(directory: &Path, given: Sql) -> (SqlSettings, Vec<String>) {
        let parsed = document::parse("a.yaml", "session: { sql: { url: x } }\n", |_| true).expect("YAML");
        let mut context = Context {
            document: parsed.document,
            found: Vec::new(),
            files: Vec::new(),
            directory: directory.to_owned(),
            makes_keys: false,
        };
        let settings = sql(&mut context, &given);
        let said = context.found.iter().map(|found| {
            let file = found.key == "session.sql.tls.ca";
            assert!(found.hint.is_some() || file, "{}: there is no remedy", found.message);
            format!("{}: {}", found.key, found.message)
        });
        (settings, said.collect())
    }

    fn given(url: &str) -> Sql {
        Sql { url: Some(Secret(url.into())), ..Sql::default() }
    }

    #[test]
    fn a_file_is_looked_for_where_the_configuration_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let (settings, said) = resolved(directory.path(), given("sqlite:sessions.db"));
        assert_eq!(said, [""; 0]);
        let Address::Sqlite(path) = settings.address else { panic!("a file") };
        assert_eq!(path, directory.path().join("sessions.db"));
        assert!(settings.migrate);
        assert_eq!(settings.timeout, Duration::from_secs(2));

        let (settings, said) = resolved(directory.path(), given("sqlite:///tmp/sessions.db"));
        assert_eq!(said, [""; 0]);
        let Address::Sqlite(path) = settings.address else { panic!("a file") };
        assert_eq!(path, Path::new("/tmp/sessions.db"));
    }

    #[test]
    fn what_cannot_work_is_said_with_its_place_and_without_the_password() {
        let directory = tempfile::tempdir().expect("a directory");
        let hours = Sql { timeout: units::Duration::seconds(7200), ..given("sqlite:a.db") };
        let tls = Sql { tls: SqlTls { ca: Some("none.pem".to_owned()) }, ..given("mysql://u@h/d") };
        for (given, wanted) in [
            (Sql::default(), "session.sql: the database is missing"),
            (given("sqlite:nowhere/a.db"), "session.sql.url: there is no directory"),
            (given("sqlite:."), "session.sql.url: "),
            (given("oracle://hunter2"), "session.sql.url: this database is not known"),
            (given("postgres://u:hunter2@host"), "session.sql.url: the name of the database is missing"),
            (given("postgres://u:hunter2@db.internal/d"), "session.sql.url: whoever is on the way"),
            (hours, "session.sql.timeout: `2h` is no time"),
            (tls, "session.sql.tls.ca: cannot use"),
        ] {
            let (_, said) = resolved(directory.path(), given);
            assert!(said.iter().any(|said| said.starts_with(wanted)), "{wanted}: {said:?}");
            assert!(!said.join(" ").contains("hunter2"), "{said:?}");
        }
    }

    #[test]
    fn the_url_is_a_secret_of_the_mirror_too() {
        let mut file = File::default();
        file.session.sql = Some(given("mysql://u:hunter2@h/d"));
        assert!(!format!("{file:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&file).expect("JSON").contains("hunter2"));
    }
}
