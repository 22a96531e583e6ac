//! Django: `session.django:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults, which are those of Django. Never shows a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::login::Secret;
use super::operation::Nothing;
use crate::config::brief::{Brief, FromWord};
use crate::config::units::Duration;

/// A site made with Django whose logins count here as well. Its database is only read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `database` and `secret_key`")]
pub struct Django {
    /// Where the site keeps its sessions, as in its `SESSION_ENGINE`: `db`, `cached_db`, `file` or `signed_cookies`.
    pub backend: Brief<DjangoBackend>,
    /// Its database: `postgres://user:password@host/name`, `mysql://user:password@host/name` or `sqlite:///path`.
    pub database: Option<Secret>,
    /// Its `SECRET_KEY`; better `${file:/run/secrets/django}` than the secret itself.
    pub secret_key: Option<Secret>,
    /// Its `SECRET_KEY_FALLBACKS`.
    pub secret_key_fallbacks: Vec<Secret>,
    /// Its `SESSION_COOKIE_NAME`.
    pub cookie_name: String,
    /// Its `SESSION_COOKIE_AGE`.
    pub cookie_age: Duration,
    /// Its `SESSION_FILE_PATH`, for `backend: file`.
    pub files: String,
    /// Its `AUTHENTICATION_BACKENDS`; a login by any other counts for nothing.
    pub auth_backends: Vec<String>,
    /// The table of sessions.
    pub session_table: String,
    /// The table of users.
    pub user_table: String,
    /// The columns of that table.
    pub user_columns: DjangoColumns,
    /// The table that says who is in which group; `""`: there are no groups. Default: the name of the table of users, and
    /// `_groups`.
    pub groups_table: Option<String>,
    /// The column of that table that names the user. Default: the last word of the name of the table of users, and `_id`.
    pub groups_column: Option<String>,
    /// What times without an offset mean: the site's `TIME_ZONE` if it has `USE_TZ = False`.
    pub time_zone: String,
    /// How long an answer counts before the site is asked again; `0s`: for one request.
    pub local_cache: Duration,
    /// The longest a look-up takes.
    pub timeout: Duration,
}

impl Default for Django {
    fn default() -> Self {
        let backends = ["ModelBackend", "RemoteUserBackend"];
        Self {
            backend: Brief(DjangoBackend::Db),
            database: None,
            secret_key: None,
            secret_key_fallbacks: Vec::new(),
            cookie_name: "sessionid".to_owned(),
            cookie_age: Duration::seconds(14 * 86_400),
            files: "/tmp".to_owned(),
            auth_backends: backends.map(|name| format!("django.contrib.auth.backends.{name}")).to_vec(),
            session_table: "django_session".to_owned(),
            user_table: "auth_user".to_owned(),
            user_columns: DjangoColumns::default(),
            groups_table: None,
            groups_column: None,
            time_zone: "UTC".to_owned(),
            local_cache: Duration::seconds(10),
            timeout: Duration::seconds(2),
        }
    }
}

/// The columns of the table of users. `""` for one that a model of one's own does not have; the first three are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of column names")]
pub struct DjangoColumns {
    /// The primary key: a whole number or a UUID.
    pub id: String,
    /// The user's name.
    pub username: String,
    /// The hash of the password.
    pub password: String,
    /// Whether the user may log in.
    pub is_active: String,
    /// The e-mail address.
    pub email: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
}

impl Default for DjangoColumns {
    fn default() -> Self {
        Self {
            id: "id".to_owned(),
            username: "username".to_owned(),
            password: "password".to_owned(),
            is_active: "is_active".to_owned(),
            email: "email".to_owned(),
            first_name: "first_name".to_owned(),
            last_name: "last_name".to_owned(),
        }
    }
}

/// Where a Django site keeps its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DjangoBackend {
    /// In its database.
    #[default]
    Db,
    /// The same, with a cache before it.
    CachedDb,
    /// In files.
    File,
    /// In the cookie.
    SignedCookies,
}

impl FromWord for DjangoBackend {
    type Map = Nothing;
    const WANTED: &'static str = "`db`, `cached_db`, `file` or `signed_cookies`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word.strip_prefix("django.contrib.sessions.backends.").unwrap_or(word) {
            "db" => Ok(DjangoBackend::Db),
            "cached_db" => Ok(DjangoBackend::CachedDb),
            "file" => Ok(DjangoBackend::File),
            "signed_cookies" => Ok(DjangoBackend::SignedCookies),
            "cache" => Err("Django keeps unsigned pickles in a cache, which nobody else can read safely\n\
                            set the site's `SESSION_ENGINE` to `django.contrib.sessions.backends.cached_db`"
                .to_owned()),
            _ => Err(format!(
                "unknown variant `{word}`, expected one of `db`, `cached_db`, `file`, `signed_cookies`"
            )),
        }
    }

    fn from_map(map: Self::Map) -> Self {
        match map {}
    }
}
