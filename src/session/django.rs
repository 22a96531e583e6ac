//! Django: who is logged in to a site made with Django, told by the cookie of that site.
//!
//! Comes in: the value of its cookie. Goes out: the person and when their session ends, if the site's secrets signed the
//! session, one of the configured backends let them in, their password is still the one of that login, and they are
//! active. Never writes anything, and never shows a cookie, not in a log either.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::store::StoreError;
use content::{Content, Login, moment};
use database::{Asking, Database, UserRow};
use files::Files;
use format::{IN_COOKIE, Keys, STORED, SessionKey, Unreadable};

pub mod content;
mod database;
mod files;
pub mod format;
pub mod settings;

pub use database::understands;
pub use settings::{Backend, Location, Settings, SqlName, Tables};

/// Longer cookies are nobody's: browsers keep 4 KiB.
const LONGEST_COOKIE: usize = 16 << 10;

/// Answers that are remembered.
const ROOM: u64 = 50_000;

/// A login to the site.
#[derive(Clone, Debug, PartialEq)]
pub struct DjangoSession {
    /// Who: the user's name, e-mail address, first and last name, and groups.
    pub identity: Identity,
    /// Until when, if the site does not write it again.
    pub expires: Timestamp,
    /// A digest of what the login was proved with: another one is another login. Never zero.
    pub credential: u64,
}

/// A Django site whose sessions are read.
pub struct Django {
    settings: Settings,
    sessions: Keys,
    users: Keys,
    database: Database,
    files: Files,
    known: Cache<[u8; 32], Known>,
}

/// An answer, and since when it is one.
#[derive(Clone)]
struct Known {
    session: Option<DjangoSession>,
    since: Timestamp,
}

impl Django {
    /// A site as configured. Connects to nothing yet; an error says what is wrong with the database's URL.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let salt = if settings.backend == Backend::SignedCookies { IN_COOKIE } else { STORED };
        Ok(Self {
            sessions: Keys::signing(&settings.secrets, salt),
            users: Keys::of_users(&settings.secrets),
            database: Database::new(&settings.database, &settings.tables, settings.timeout)?,
            files: Files::new(settings.files.clone(), &settings.cookie_name),
            known: Cache::new(ROOM),
            settings,
        })
    }

    /// Who is logged in with this cookie. An answer may be as old as `local_cache`; that a session has expired is noticed
    /// at once. An error says nothing about the person: the database or the directory could not be read.
    pub async fn find(&self, cookie: &str, now: Timestamp) -> Result<Option<DjangoSession>, StoreError> {
        if cookie.is_empty() || cookie.len() > LONGEST_COOKIE {
            return Ok(None);
        }
        let hash = digest(&SHA256, cookie.as_bytes());
        let hash: [u8; 32] = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let known = self.known.get(&hash).filter(|known| now.since(known.since) < self.settings.local_cache);
        let session = match known {
            Some(known) => known.session,
            None => {
                let session = self.look_up(cookie, now).await?;
                if !self.settings.local_cache.is_zero() {
                    self.known.insert(hash, Known { session: session.clone(), since: now });
                }
                session
            }
        };
        Ok(session.filter(|session| session.expires > now))
    }

    async fn look_up(&self, cookie: &str, now: Timestamp) -> Result<Option<DjangoSession>, StoreError> {
        let until = Instant::now() + self.settings.timeout;
        let mut asking = None;
        let found = match self.settings.backend {
            Backend::SignedCookies => self.in_cookie(cookie),
            stored => match (SessionKey::parse(cookie), stored) {
                (None, _) => None,
                (Some(key), Backend::Files) => self.in_file(key, until).await?,
                (Some(key), _) => {
                    let asking = asking.insert(self.database.asking(until).await?);
                    self.in_database(asking, key).await?
                }
            },
        };
        let Some((content, expires)) = found.filter(|(_, expires)| *expires > now) else { return Ok(None) };
        let Some(login) = content.login.filter(|login| self.lets_in(&login.backend)) else { return Ok(None) };
        let mut asking = match asking {
            Some(asking) => asking,
            None => self.database.asking(until).await?,
        };
        let user = asking.user(&login.user).await?;
        Ok(user.and_then(|user| self.admit(&login, &user, expires)))
    }

    async fn in_database(
        &self,
        asking: &mut Asking<'_>,
        key: SessionKey<'_>,
    ) -> Result<Option<(Content, Timestamp)>, StoreError> {
        let Some(row) = asking.session(key).await? else { return Ok(None) };
        let expires = moment(&row.expires, &self.settings.time_zone)
            .ok_or_else(|| StoreError::Broken("a session's `expire_date` is no time".to_owned()))?;
        Ok(self.stored(&row.data).map(|content| (content, expires)))
    }

    async fn in_file(
        &self,
        key: SessionKey<'_>,
        until: Instant,
    ) -> Result<Option<(Content, Timestamp)>, StoreError> {
        let Some(file) = self.files.session(key, until).await? else { return Ok(None) };
        let usual = self.settings.cookie_age;
        Ok(self.stored(&file.data).map(|content| {
            let expires = content.expiry.after(file.written, usual);
            (content, expires)
        }))
    }

    /// Anybody can send any cookie, so that one which is not signed is worth no line in the log.
    fn in_cookie(&self, cookie: &str) -> Option<(Content, Timestamp)> {
        let read = self.sessions.open(cookie).and_then(|opened| {
            let content = Content::read(&opened.content, &self.settings.time_zone)?;
            Ok((content, opened.signed))
        });
        let (content, signed) = read
            .inspect_err(|why| tracing::debug!("a session cookie of the Django site is not believed: {why}"))
            .ok()?;
        let usual = self.settings.cookie_age;
        let expires = content.expiry.after(signed, usual).min(signed.plus(usual));
        Some((content, expires))
    }

    fn stored(&self, data: &str) -> Option<Content> {
        let read = |data| -> Result<Content, Unreadable> {
            Content::read(&self.sessions.open(data)?.content, &self.settings.time_zone)
        };
        read(data)
            .inspect_err(|why| tracing::warn!("a session of the Django site is not believed: {why}"))
            .ok()
    }

    fn lets_in(&self, backend: &str) -> bool {
        let listed = self.settings.auth_backends.iter().any(|known| known == backend);
        if !listed {
            tracing::warn!(
                backend,
                "a login to the Django site is not believed: `auth_backends` has not this one"
            );
        }
        listed
    }

    fn admit(&self, login: &Login, user: &UserRow, expires: Timestamp) -> Option<DjangoSession> {
        if !user.active || !self.users.fits(&user.password, &login.hash) {
            return None;
        }
        let identity = identity(user)
            .inspect_err(
                |why| tracing::warn!(user = ?login.user, "a user of the Django site cannot be used: {why}"),
            )
            .ok()?;
        let digest = digest(&SHA256, login.hash.as_bytes());
        let (first, _) = digest.as_ref().split_first_chunk().expect("SHA-256 has more than 8 bytes");
        Some(DjangoSession { identity, expires, credential: u64::from_be_bytes(*first).max(1) })
    }
}

/// The name for people is the first and the last name, as in Django's `get_full_name`.
fn identity(user: &UserRow) -> Result<Identity, crate::identity::InvalidIdentity> {
    let part = |name: &Option<String>| name.clone().unwrap_or_default();
    let name = format!("{} {}", part(&user.first_name), part(&user.last_name));
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (email, name) = (filled(&part(&user.email)), filled(&name));
    Identity::new(&user.username, email.as_deref(), name.as_deref(), &user.groups)
}

impl fmt::Debug for Django {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Django")
            .field("backend", &self.settings.backend)
            .field("cookie_name", &self.settings.cookie_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::tz::TimeZone;
    use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

    use super::*;

    const SECRET: &str = "test-secret-key-0123456789-abcdefghijklmnopqrstuvwxyz";
    const PASSWORD: &str =
        "pbkdf2_sha256$1000000$abcdefghijklmnopqrstuv$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g=";
    const HASH: &str = "7c42d188a982ff861288d89dee681e0eab21d1d21e35f7a406ced965b3d57f89";
    const MODEL_BACKEND: &str = "django.contrib.auth.backends.ModelBackend";
    /// 2026-01-01T00:00:00Z, as base 62 and as milliseconds.
    const SIGNED: (&str, u64) = ("1vb66i", 1_767_225_600_000);
    /// A login of user 1 with all the above, as Django 5.2 wrote it into its database at that time.
    const LOGIN: &str = ".eJxVjEEOwiAQRe_C2pAOLTC4dO8ZyMAMUjVtUtqV8e7apAvd_vfef6lI21rj1mSJI6uzAnX63RLlh0w74DtNt1nneVqXMeld0Qdt-jqzPC-H-3dQqdVv7fNgGBApoCkFHRhExsAiDkE6oWSAgQ1Ib4unoXNZODibera-YFDvD9_xN_I:1vb66i:LZMrL3Ku6dSfFpBlPH3_xjt3qlfJoN2Vsl0oHDndaRM";
    const TABLES: &str = "
        CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, expire_date datetime NOT NULL);
        CREATE TABLE auth_group (id integer PRIMARY KEY, name varchar(150) NOT NULL UNIQUE);
        CREATE TABLE auth_user (id integer PRIMARY KEY, password varchar(128) NOT NULL, last_login datetime NULL,
            is_superuser bool NOT NULL, username varchar(150) NOT NULL UNIQUE, last_name varchar(150) NOT NULL,
            email varchar(254) NOT NULL, is_staff bool NOT NULL, is_active bool NOT NULL, date_joined datetime NOT NULL,
            first_name varchar(150) NOT NULL);
        CREATE TABLE auth_user_groups (id integer PRIMARY KEY, user_id integer NOT NULL, group_id integer NOT NULL);
        INSERT INTO auth_group VALUES (1, 'staff'), (2, 'finance'), (3, 'nobody');
        INSERT INTO auth_user_groups VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3);";

    /// A site with the user 1, `alice`, in a database of its own.
    struct Site {
        directory: tempfile::TempDir,
        connection: SqliteConnection,
    }

    impl Site {
        async fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(directory.path().join("db.sqlite3"))
                .create_if_missing(true);
            let connection = SqliteConnection::connect_with(&options).await.expect("made");
            let mut site = Self { directory, connection };
            site.run(TABLES).await;
            site.run(&format!(
                "INSERT INTO auth_user VALUES (1, '{PASSWORD}', NULL, 0, 'alice', 'Liddell', 'a@example.com', 0, 1, '', 'Alice')"
            ))
            .await;
            site
        }

        async fn run(&mut self, sql: &str) {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.expect("done");
        }

        async fn session(&mut self, data: &str, expires: &str) {
            self.run(&format!("REPLACE INTO django_session VALUES ('{}', '{data}', '{expires}')", key()))
                .await;
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        fn settings(&self) -> Settings {
            Settings {
                backend: Backend::Database,
                database: Location::Sqlite(self.path().join("db.sqlite3")),
                secrets: vec![SECRET.into()],
                cookie_name: "sessionid".to_owned(),
                cookie_age: Duration::from_secs(14 * 86_400),
                files: self.path().to_path_buf(),
                auth_backends: vec![MODEL_BACKEND.to_owned()],
                tables: Tables::default(),
                time_zone: TimeZone::UTC,
                local_cache: Duration::ZERO,
                timeout: Duration::from_secs(10),
            }
        }

        fn django(&self) -> Django {
            Django::new(self.settings()).expect("understood")
        }
    }

    fn key() -> String {
        "k3".repeat(16)
    }

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(SIGNED.1)
    }

    fn sign(json: &str, salt: &str) -> String {
        let key = digest(&SHA256, format!("{salt}signer{SECRET}").as_bytes());
        let message = format!("{}:{}", URL_SAFE_NO_PAD.encode(json), SIGNED.0);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), message.as_bytes());
        format!("{message}:{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn login(more: &str) -> String {
        format!(
            r#"{{"_auth_user_id":"1","_auth_user_backend":"{MODEL_BACKEND}","_auth_user_hash":"{HASH}"{more}}}"#
        )
    }

    #[tokio::test]
    async fn a_login_that_django_wrote_is_a_person_with_groups() {
        let mut site = Site::new().await;
        site.session(LOGIN, "2026-01-15 00:00:00.500000").await;
        let found = site.django().find(&key(), start()).await.expect("readable").expect("logged in");
        let groups = ["finance".to_owned(), "staff".to_owned()];
        let alice = Identity::new("alice", Some("a@example.com"), Some("Alice Liddell"), &groups);
        assert_eq!(found.identity, alice.expect("valid"));
        assert_eq!(found.expires, start().plus(Duration::from_millis(14 * 86_400_000 + 500)));
        assert_ne!(found.credential, 0);
    }

    #[tokio::test]
    async fn what_the_site_would_not_believe_is_nobody() {
        let mut site = Site::new().await;
        let django = site.django();
        let later = "2026-01-15 00:00:00";
        for (data, expires) in [
            (sign("{}", STORED), later),
            (sign(&login("").replace("ModelBackend", "Other"), STORED), later),
            (sign(&login("").replace(HASH, &HASH.replace('7', "8")), STORED), later),
            (sign(&login("").replace(r#""1""#, r#""9""#), STORED), later),
            (sign(&login(""), IN_COOKIE), later),
            (LOGIN.replace("1vb66i", "1vb66j"), later),
            (LOGIN.to_owned(), "2026-01-01 00:00:00"),
        ] {
            site.session(&data, expires).await;
            assert_eq!(django.find(&key(), start()).await.expect("readable"), None, "{data} {expires}");
        }
        site.session(LOGIN, later).await;
        for (change, undo) in [
            ("UPDATE auth_user SET is_active = 0", "UPDATE auth_user SET is_active = 1"),
            (
                "UPDATE auth_user SET password = 'x' || password",
                "UPDATE auth_user SET password = substr(password, 2)",
            ),
            ("UPDATE auth_user SET id = 5", "UPDATE auth_user SET id = 1"),
            ("UPDATE auth_user SET username = 'a' || char(10)", "UPDATE auth_user SET username = 'alice'"),
        ] {
            site.run(change).await;
            assert_eq!(django.find(&key(), start()).await.expect("readable"), None, "{change}");
            site.run(undo).await;
            assert!(django.find(&key(), start()).await.expect("readable").is_some(), "{undo}");
        }
        site.run("DELETE FROM django_session").await;
        assert_eq!(django.find(&key(), start()).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_fallback_secret_still_opens_and_a_removed_one_does_not() {
        let mut site = Site::new().await;
        site.session(LOGIN, "2026-01-15 00:00:00").await;
        let with = |secrets: &[&str]| {
            let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
            Django::new(Settings { secrets, ..site.settings() }).expect("understood")
        };
        assert!(with(&["a newer one", SECRET]).find(&key(), start()).await.expect("readable").is_some());
        assert_eq!(with(&["a newer one"]).find(&key(), start()).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_session_in_a_file_lives_from_when_it_was_written() {
        let site = Site::new().await;
        let django =
            Django::new(Settings { backend: Backend::Files, ..site.settings() }).expect("understood");
        let path = site.path().join(format!("sessionid{}", key()));
        std::fs::write(&path, sign(&login(r#","_session_expiry":300"#), STORED)).expect("written");
        let written = std::time::UNIX_EPOCH + Duration::from_millis(SIGNED.1);
        std::fs::File::options().write(true).open(&path).expect("open").set_modified(written).expect("set");
        let found = django.find(&key(), start()).await.expect("readable").expect("logged in");
        assert_eq!(found.expires, start().plus(Duration::from_secs(300)));
        assert_eq!(django.find(&key(), found.expires).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_session_in_a_cookie_is_never_older_than_the_site_allows() {
        let site = Site::new().await;
        let settings = Settings { backend: Backend::SignedCookies, ..site.settings() };
        let django = Django::new(settings).expect("understood");
        for (more, seconds) in [
            ("", 14 * 86_400),
            (r#","_session_expiry":60"#, 60),
            (r#","_session_expiry":"2027-01-01T00:00:00+00:00""#, 14 * 86_400),
        ] {
            let cookie = sign(&login(more), IN_COOKIE);
            let found = django.find(&cookie, start()).await.expect("readable").expect("logged in");
            assert_eq!(found.expires, start().plus(Duration::from_secs(seconds)), "{more}");
            assert_eq!(django.find(&cookie, found.expires).await.expect("readable"), None, "{more}");
        }
        assert_eq!(django.find(&sign(&login(""), STORED), start()).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn an_answer_is_believed_for_as_long_as_configured() {
        let mut site = Site::new().await;
        let local_cache = Duration::from_secs(10);
        let django = Django::new(Settings { local_cache, ..site.settings() }).expect("understood");
        site.session(LOGIN, "2026-01-01 00:01:00").await;
        assert!(django.find(&key(), start()).await.expect("readable").is_some());
        site.run("DELETE FROM django_session").await;
        let shortly = start().plus(Duration::from_secs(9));
        assert!(django.find(&key(), shortly).await.expect("readable").is_some());
        assert_eq!(django.find(&key(), start().plus(local_cache)).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_an_error_and_not_a_logout() {
        let site = Site::new().await;
        let database = Location::Sqlite(site.path().join("gone.sqlite3"));
        let settings = Settings { database, timeout: Duration::from_millis(200), ..site.settings() };
        let django = Django::new(settings).expect("understood");
        assert!(matches!(django.find(&key(), start()).await, Err(StoreError::Away(_))));
        assert_eq!(django.find("not a key", start()).await.expect("nothing to ask"), None);
        assert!(!site.path().join("gone.sqlite3").exists(), "nothing is written");
    }

    #[tokio::test]
    async fn a_look_up_can_be_carried_to_another_thread() {
        let site = Site::new().await;
        let django = std::sync::Arc::new(site.django());
        let found = tokio::spawn(async move { django.find(&key(), start()).await }).await;
        assert_eq!(found.expect("ran").expect("readable"), None);
    }
}
