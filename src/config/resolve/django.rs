//! Django: a site whose logins count here.
//!
//! Comes in: `session.django:` as written. Goes out: settings with which the site can be read. Never connects to anything,
//! and never lets a name into SQL that is more than a name.

use jiff::tz::TimeZone;
use secrecy::ExposeSecret as _;

use super::Context;
use crate::config::file::{Django, DjangoBackend, Secret};
use crate::session::django::{self, Backend, Location, Settings, SqlName, Tables};

const AT: &str = "session.django";

/// `session.django:`; `None` where something is wrong with it, which is in `context.found`.
pub(super) fn resolve(context: &mut Context, given: &Django) -> Option<Settings> {
    let secrets = secrets(context, given);
    let database = location(context, given.database.as_ref());
    let tables = tables(context, given);
    let time_zone = TimeZone::get(&given.time_zone);
    if time_zone.is_err() {
        let message =
            format!("no time zone is called `{}`\nwrite `UTC`, or one such as `Asia/Seoul`", given.time_zone);
        context.error(&format!("{AT}.time_zone"), message);
    }
    if http::HeaderName::from_bytes(given.cookie_name.as_bytes()).is_err() {
        let message =
            format!("`{}` is not a name for a cookie\nthe usual one is `sessionid`", given.cookie_name);
        context.error(&format!("{AT}.cookie_name"), message);
    }
    for (key, limit) in [("cookie_age", given.cookie_age), ("timeout", given.timeout)] {
        if limit.0.is_zero() {
            let message = "nothing can be read in no time\nwrite a duration such as `2s` or `14d`";
            context.error(&format!("{AT}.{key}"), message);
        }
    }
    if given.auth_backends.is_empty() {
        let message = "no login would count\nleave `auth_backends` out, or list those of the site";
        context.error(&format!("{AT}.auth_backends"), message);
    }
    let backend = match given.backend.0 {
        DjangoBackend::Db | DjangoBackend::CachedDb => Backend::Database,
        DjangoBackend::File => Backend::Files,
        DjangoBackend::SignedCookies => Backend::SignedCookies,
    };
    let files = context.path(&given.files);
    if backend == Backend::Files && !files.is_dir() {
        context.error(&format!("{AT}.files"), format!("there is no directory {}", files.display()));
    }
    Some(Settings {
        backend,
        database: database?,
        secrets: secrets?,
        cookie_name: given.cookie_name.clone(),
        cookie_age: given.cookie_age.0,
        files,
        auth_backends: given.auth_backends.clone(),
        tables: tables?,
        time_zone: time_zone.ok()?,
        local_cache: given.local_cache.0,
        timeout: given.timeout.0,
    })
}

fn secrets(context: &mut Context, given: &Django) -> Option<Vec<secrecy::SecretString>> {
    let Some(Secret(present)) = &given.secret_key else {
        let message =
            "a Django site without its secret key\nadd `secret_key: \"${file:/run/secrets/django}\"`";
        context.missing(AT, message);
        return None;
    };
    let mut secrets = vec![present.clone()];
    secrets.extend(given.secret_key_fallbacks.iter().map(|Secret(old)| old.clone()));
    for (at, _) in secrets.iter().enumerate().filter(|(_, secret)| secret.expose_secret().is_empty()) {
        let path = if at == 0 {
            format!("{AT}.secret_key")
        } else {
            format!("{AT}.secret_key_fallbacks[{}]", at - 1)
        };
        context.error(
            &path,
            "an empty secret key would let anybody sign sessions\nwrite the site's `SECRET_KEY`",
        );
    }
    Some(secrets)
}

fn location(context: &mut Context, given: Option<&Secret>) -> Option<Location> {
    const AS: &str =
        "write `postgres://user:password@host/name`, `mysql://user:password@host/name` or `sqlite:///path`";
    let Some(Secret(url)) = given else {
        context.missing(
            AT,
            format!("a Django site without its database, where its users are\nadd `database:`; {AS}"),
        );
        return None;
    };
    let at = format!("{AT}.database");
    let location = match url.expose_secret().split_once(':') {
        Some(("postgres" | "postgresql", _)) => Location::Postgres(url.clone()),
        Some(("mysql" | "mariadb", _)) => Location::MySql(url.clone()),
        Some(("sqlite", path)) => {
            let path = context.path(path.strip_prefix("//").unwrap_or(path));
            if !path.is_file() {
                context.warn(&at, format!("there is no database {} yet", path.display()));
            }
            Location::Sqlite(path)
        }
        _ => {
            context.error(&at, format!("this is no database that can be read\n{AS}"));
            return None;
        }
    };
    if let Err(why) = django::understands(&location) {
        context.error(&at, format!("this URL cannot be used: {why}\n{AS}"));
    }
    Some(location)
}

fn tables(context: &mut Context, given: &Django) -> Option<Tables> {
    let mut name = |key: &str, name: &str| {
        let parsed = SqlName::parse(name);
        if parsed.is_none() {
            let message = format!(
                "`{name}` cannot be the name of a table or column here\nletters, digits and `_`, at most 63, not a digit first"
            );
            context.error(&format!("{AT}.{key}"), message);
        }
        parsed
    };
    let users = &given.user_table;
    let memberships = given.groups_table.clone().unwrap_or_else(|| format!("{users}_groups"));
    let member = given.groups_column.clone();
    let member = member.unwrap_or_else(|| format!("{}_id", users.rsplit('_').next().unwrap_or(users)));
    let columns = &given.user_columns;
    let mut or_none =
        |key: &str, given: &str| if given.is_empty() { Some(None) } else { name(key, given).map(Some) };
    let memberships = or_none("groups_table", &memberships);
    let is_active = or_none("user_columns.is_active", &columns.is_active);
    let email = or_none("user_columns.email", &columns.email);
    let first_name = or_none("user_columns.first_name", &columns.first_name);
    let last_name = or_none("user_columns.last_name", &columns.last_name);
    let sessions = name("session_table", &given.session_table);
    let users = name("user_table", users);
    let member = name("groups_column", &member);
    let [id, username, password] = [
        name("user_columns.id", &columns.id),
        name("user_columns.username", &columns.username),
        name("user_columns.password", &columns.password),
    ];
    Some(Tables {
        sessions: sessions?,
        users: users?,
        memberships: memberships?,
        member: member?,
        id: id?,
        username: username?,
        password: password?,
        is_active: is_active?,
        email: email?,
        first_name: first_name?,
        last_name: last_name?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Problems, Source, inspect};
    use crate::session::Storage;

    fn read(django: &str) -> Result<Config, Problems> {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\nlogin: {{ local: {{ users_file: /dev/null }} }}\n\
             session: {{ store: django, django: {{ {django} }} }}\n"
        );
        inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text })
    }

    fn accepted(django: &str) -> Settings {
        let config = read(django).unwrap_or_else(|problems| panic!("{problems}"));
        match config.storage {
            Storage::Django(settings) => *settings,
            other => panic!("{other:?}"),
        }
    }

    const SITE: &str = "database: \"postgres://u:hidden@db/site\", secret_key: hidden";

    #[test]
    fn a_database_and_a_secret_are_enough() {
        let site = accepted(SITE);
        assert!(matches!(site.database, Location::Postgres(_)));
        assert_eq!((site.backend, site.cookie_name.as_str()), (Backend::Database, "sessionid"));
        assert_eq!(
            (site.cookie_age, site.local_cache),
            (Duration::from_secs(1_209_600), Duration::from_secs(10))
        );
        assert_eq!(format!("{:?}", site.tables), format!("{:?}", Tables::default()));
        assert_eq!(site.auth_backends.len(), 2);
        assert!(!format!("{site:?}").contains("hidden"));
    }

    #[test]
    fn a_user_model_of_ones_own_is_described() {
        let site = accepted(&format!(
            "{SITE}, backend: signed_cookies, secret_key_fallbacks: [older], time_zone: Asia/Seoul, \
             user_table: accounts_member, user_columns: {{ username: email, is_active: \"\", last_name: \"\" }}"
        ));
        assert_eq!((site.backend, site.secrets.len()), (Backend::SignedCookies, 2));
        let tables = site.tables;
        assert_eq!(tables.memberships.expect("groups").as_str(), "accounts_member_groups");
        assert_eq!((tables.member.as_str(), tables.username.as_str()), ("member_id", "email"));
        assert_eq!((tables.is_active, tables.last_name), (None, None));
        assert_eq!(accepted(&format!("{SITE}, groups_table: \"\"")).tables.memberships, None);
    }

    #[test]
    fn every_mistake_is_shown_with_its_remedy_and_no_secret() {
        for (django, message, remedy) in [
            ("secret_key: hidden", "without its database", "postgres://user:password@host/name"),
            (
                "database: \"mysql://u:hidden@db/site\"",
                "without its secret key",
                "${file:/run/secrets/django}",
            ),
            (
                "database: \"oracle://u:hidden@db/site\", secret_key: a",
                "no database that can be read",
                "sqlite:///path",
            ),
            (
                "database: \"postgres://u:hidden@[::1/a\", secret_key: a",
                "this URL cannot be used",
                "sqlite:///path",
            ),
            (&format!("{SITE}, backend: cache"), "unsigned pickles", "cached_db"),
            (&format!("{SITE}, backend: redis"), "unknown value `redis`", "signed_cookies"),
            (&format!("{SITE}, user_table: \"a; DROP\""), "`a; DROP` cannot be the name", "digits and `_`"),
            (
                &format!("{SITE}, user_columns: {{ password: \"\" }}"),
                "`` cannot be the name",
                "digits and `_`",
            ),
            (&format!("{SITE}, time_zone: Seoul"), "no time zone is called `Seoul`", "Asia/Seoul"),
            (&format!("{SITE}, auth_backends: []"), "no login would count", "leave `auth_backends` out"),
            (&format!("{SITE}, secret_key_fallbacks: [\"\"]"), "an empty secret key", "SECRET_KEY"),
            (&format!("{SITE}, timeout: 0s"), "in no time", "`2s`"),
            (&format!("{SITE}, cookie_name: \"a b\""), "`a b` is not a name", "sessionid"),
            (&format!("{SITE}, backend: file, files: /nowhere"), "there is no directory /nowhere", ""),
        ] {
            let said = read(django).expect_err(message).to_string();
            assert!(said.contains(message) && said.contains(remedy), "{said}");
            assert!(!said.contains("hidden"), "{said}");
        }
    }
}
