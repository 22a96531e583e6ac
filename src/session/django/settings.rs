//! Settings of the Django bridge: which site, and how it keeps its sessions and people.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;

/// `session.django:` resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `backend`, as in the site's `SESSION_ENGINE`.
    pub backend: Backend,
    /// `database`: where its users are, and with some backends its sessions.
    pub database: Location,
    /// `secret_key`, then `secret_key_fallbacks`.
    pub secrets: Vec<SecretString>,
    /// `cookie_name`, the site's `SESSION_COOKIE_NAME`; default `sessionid`.
    pub cookie_name: String,
    /// `cookie_age`, the site's `SESSION_COOKIE_AGE`; default 14 d.
    pub cookie_age: Duration,
    /// `files`, the site's `SESSION_FILE_PATH`; default `/tmp`.
    pub files: PathBuf,
    /// `auth_backends`, the site's `AUTHENTICATION_BACKENDS`: a login by any other is nobody's.
    pub auth_backends: Vec<String>,
    /// Where in the database.
    pub tables: Tables,
    /// `time_zone`: what times without an offset mean, which a site writes that has `USE_TZ = False`; default UTC.
    pub time_zone: TimeZone,
    /// `local_cache`: how long an answer is believed; default 10 s. Zero asks every time.
    pub local_cache: Duration,
    /// `timeout`: the longest a look-up takes; default 2 s.
    pub timeout: Duration,
}

/// Where the site keeps its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// In its database, with a cache before it or without: the rows tell all.
    #[default]
    Database,
    /// In files.
    Files,
    /// In the cookie itself.
    SignedCookies,
}

/// A database, and the way to it.
#[derive(Clone, Debug)]
pub enum Location {
    /// The URL of a PostgreSQL database.
    Postgres(SecretString),
    /// The URL of a MySQL or MariaDB database.
    MySql(SecretString),
    /// A file of SQLite.
    Sqlite(PathBuf),
}

/// The site's tables and columns.
#[derive(Clone, Debug)]
pub struct Tables {
    /// `session_table`, default `django_session`.
    pub sessions: SqlName,
    /// `user_table`, default `auth_user`.
    pub users: SqlName,
    /// `groups_table`: who is in which group; default the table of users and `_groups`. `None`: there are no groups.
    pub memberships: Option<SqlName>,
    /// `groups_column`: its column that names the user; default `user_id`.
    pub member: SqlName,
    /// `user_columns.id`, the primary key: a whole number or a UUID.
    pub id: SqlName,
    /// `user_columns.username`
    pub username: SqlName,
    /// `user_columns.password`
    pub password: SqlName,
    /// `user_columns.is_active`; `None`: everybody is.
    pub is_active: Option<SqlName>,
    /// `user_columns.email`
    pub email: Option<SqlName>,
    /// `user_columns.first_name`
    pub first_name: Option<SqlName>,
    /// `user_columns.last_name`
    pub last_name: Option<SqlName>,
}

impl Default for Tables {
    /// Those of `django.contrib.auth`.
    fn default() -> Self {
        let name = |name: &str| SqlName(name.to_owned());
        Self {
            sessions: name("django_session"),
            users: name("auth_user"),
            memberships: Some(name("auth_user_groups")),
            member: name("user_id"),
            id: name("id"),
            username: name("username"),
            password: name("password"),
            is_active: Some(name("is_active")),
            email: Some(name("email")),
            first_name: Some(name("first_name")),
            last_name: Some(name("last_name")),
        }
    }
}

/// The name of a table or column, safe to be written into SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlName(String);

impl SqlName {
    /// Letters, digits and underscores, not a digit first, at most 63 bytes; `None` for all else.
    pub fn parse(name: &str) -> Option<Self> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with(|first: char| first.is_ascii_digit());
        fits.then(|| Self(name.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_get_into_sql() {
        for name in ["auth_user", "A1", "_x", &"a".repeat(63)] {
            assert_eq!(SqlName::parse(name).expect("plain").as_str(), name);
        }
        for name in ["", "1a", "a b", "a\"", "a`", "a;--", "a.b", "é", &"a".repeat(64)] {
            assert_eq!(SqlName::parse(name), None, "{name}");
        }
    }
}
