//! Django: a real site's logins, as its sessions tell them.
//!
//! Comes in: SITE_PYTHON, a Python that has Django 5.2, and SITE_DATABASE, the URL of an empty database (PostgreSQL,
//! MySQL; none: a file of SQLite); SITE_READER, where given, is a URL with fewer rights, which is read with. Everything is done through the pages of `tests/real/servers/django_site.py`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::session::django::{Backend, Django, DjangoSession, Location, Settings, Tables};
use jiff::tz::TimeZone;

const SECRET: &str = "the first secret of the test site";

/// A site with one way to keep its sessions.
struct Site {
    engine: &'static str,
    backend: Backend,
    database: String,
    files: PathBuf,
    /// The present secret first.
    secrets: Vec<&'static str>,
}

impl Site {
    /// One of the site's commands.
    fn run(&self, words: &[&str]) -> String {
        let python = std::env::var("SITE_PYTHON").expect("SITE_PYTHON names a Python with Django");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/servers/django_site.py");
        let (secret, fallbacks) = self.secrets.split_first().expect("a secret");
        let output = Command::new(python)
            .arg(program)
            .args(words)
            .env("SITE_DATABASE", &self.database)
            .env("SITE_ENGINE", self.engine)
            .env("SITE_FILES", &self.files)
            .env("SITE_SECRET", secret)
            .env("SITE_FALLBACKS", fallbacks.join(","))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .expect("python runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn django(&self) -> Django {
        let url = std::env::var("SITE_READER").unwrap_or_else(|_| self.database.clone());
        let database = match url.split_once("://").expect("a URL") {
            ("sqlite", path) => Location::Sqlite(path.into()),
            ("mysql", _) => Location::MySql(url.into()),
            _ => Location::Postgres(url.into()),
        };
        let settings = Settings {
            backend: self.backend,
            database,
            secrets: self.secrets.iter().map(|secret| (*secret).into()).collect(),
            cookie_name: "sessionid".to_owned(),
            cookie_age: Duration::from_secs(14 * 86_400),
            files: self.files.clone(),
            auth_backends: vec!["django.contrib.auth.backends.ModelBackend".to_owned()],
            tables: Tables::default(),
            time_zone: TimeZone::UTC,
            local_cache: Duration::ZERO,
            timeout: Duration::from_secs(5),
        };
        Django::new(settings).expect("understood")
    }

    async fn find(&self, cookie: &str) -> Option<DjangoSession> {
        let django = self.django();
        let now = Clock::System.now();
        let found = django.find(cookie, now).await.expect("the database answers");
        // What the site itself says.
        let seen = self.run(&["seen", cookie]);
        assert_eq!(found.as_ref().map_or("", |found| found.identity.user()), seen, "{}", self.engine);
        found
    }
}

async fn a_life(mut site: Site) {
    let now = Clock::System.now();
    site.run(&["prepare"]);
    let visitor = site.run(&["visit"]);
    assert_eq!(site.find(&visitor).await, None);

    let cookie = site.run(&["login", "alice", "wonderland"]);
    let found = site.find(&cookie).await.expect("logged in");
    assert_eq!(found.identity.groups().collect::<Vec<_>>(), ["finance", "staff"]);
    assert_eq!(found.identity.email(), Some("alice@example.com"));
    assert_eq!(found.identity.name(), Some("Alice Liddell"));
    let (least, most) = (Duration::from_secs(14 * 86_400), Duration::from_secs(14 * 86_400 + 120));
    let lasts = found.expires.since(now);
    // A signature counts in whole seconds.
    assert!(lasts + Duration::from_secs(1) >= least && lasts <= most, "{lasts:?}");

    // A secret is replaced: the old one still counts as a fallback, and for nothing after that.
    site.secrets = vec!["the second secret of the test site", SECRET];
    assert!(site.django().find(&cookie, now).await.expect("readable").is_some());
    site.secrets.truncate(1);
    assert_eq!(site.django().find(&cookie, now).await.expect("readable"), None);
    site.secrets = vec![SECRET];

    // A new password ends all logins but the one that it was changed with.
    let other = site.run(&["login", "alice", "wonderland"]);
    assert_eq!(site.find(&other).await.expect("logged in").credential, found.credential);
    let cookie = site.run(&["password", &cookie, "wonderland", "looking-glass-1871"]);
    let after = site.find(&cookie).await.expect("still logged in");
    assert_ne!(after.credential, found.credential);
    assert_eq!(site.find(&other).await, None);

    site.run(&["disable", "alice"]);
    assert_eq!(site.find(&cookie).await, None);
    site.run(&["activate", "alice"]);
    let cookie = site.run(&["login", "alice", "looking-glass-1871"]);
    let short = site.run(&["expire", &cookie, "100"]);
    let found = site.find(&short).await.expect("logged in");
    let lasts = found.expires.since(Clock::System.now());
    assert!(lasts <= Duration::from_secs(100) && lasts > Duration::from_secs(60), "{lasts:?}");
    assert_eq!(site.django().find(&short, found.expires).await.expect("readable"), None);

    // A signed cookie cannot be taken back: Django itself goes on believing it.
    site.run(&["logout", &short]);
    assert_eq!(site.find(&short).await.is_some(), site.backend == Backend::SignedCookies);
}

#[tokio::test]
#[ignore = "needs Django"]
async fn logins_of_a_real_site_are_believed_as_long_as_the_site_believes_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let given = std::env::var("SITE_DATABASE").ok();
    for (engine, backend) in [
        ("db", Backend::Database),
        ("cached_db", Backend::Database),
        ("file", Backend::Files),
        ("signed_cookies", Backend::SignedCookies),
    ] {
        let file = || format!("sqlite://{}", directory.path().join("site.sqlite3").display());
        let database = given.clone().unwrap_or_else(file);
        a_life(Site { engine, backend, database, files: directory.path().into(), secrets: vec![SECRET] })
            .await;
    }
}
