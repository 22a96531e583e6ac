//! Address: which database, from a URL.
//!
//! Comes in: `sqlite:…`, `postgres://…` or `mysql://…`. Goes out: options for connections, or what is wrong with it. Never
//! shows the URL, for it may hold a password.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

use super::dialect::Dialect;

/// Which database.
#[derive(Clone)]
pub enum Address {
    /// A file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL server.
    Postgres(SecretString),
    /// The URL of a MySQL or MariaDB server.
    Mysql(SecretString),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
            Self::Mysql(_) => f.write_str("Mysql(…)"),
        }
    }
}

impl Address {
    /// An address from its URL; or what is wrong with it, and after a line feed how to write it.
    pub fn parse(url: &str) -> Result<Self, String> {
        const WANTED: &str = "write `sqlite:///var/lib/cloakroom/sessions.db`, `postgres://user:password@host/database` or \
                              `mysql://user:password@host/database`";
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(format!("this is not the URL of a database\n{WANTED}"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => file(rest).map(Self::Sqlite),
            "postgres" | "postgresql" => {
                let options = PgConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
                named(options.get_database()).map(|()| Self::Postgres(url.into()))
            }
            "mysql" | "mariadb" => {
                let options = MySqlConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
                named(options.get_database()).map(|()| Self::Mysql(url.into()))
            }
            _ => Err(format!("this database is not known\n{WANTED}")),
        }
    }

    /// Which kind of database it is.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Whether somebody between here and there could read along, or speak for the database.
    pub fn may_be_overheard(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => PgConnectOptions::from_str(url.expose_secret()).is_ok_and(|options| {
                let proves = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
                options.get_socket().is_none() && !proves && !is_here(options.get_host())
            }),
            Self::Mysql(url) => MySqlConnectOptions::from_str(url.expose_secret()).is_ok_and(|options| {
                let proves =
                    matches!(options.get_ssl_mode(), MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity);
                options.get_socket().is_none() && !proves && !is_here(options.get_host())
            }),
        }
    }
}

/// Connections to a file. A commit is on the disk before it is answered.
pub(super) fn sqlite(path: &Path, timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(timeout)
        .disable_statement_logging()
}

/// Connections to a PostgreSQL server; `ca` is whom it must prove itself by.
pub(super) fn postgres(url: &SecretString, ca: Option<&Path>) -> Result<PgConnectOptions, sqlx::Error> {
    let mut options = PgConnectOptions::from_str(url.expose_secret())?.disable_statement_logging();
    if let Some(ca) = ca {
        options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca);
    }
    if options.get_application_name().is_none() {
        options = options.application_name("cloakroom");
    }
    Ok(options)
}

/// Connections to a MySQL or MariaDB server; `ca` is whom it must prove itself by.
pub(super) fn mysql(url: &SecretString, ca: Option<&Path>) -> Result<MySqlConnectOptions, sqlx::Error> {
    let mut options = MySqlConnectOptions::from_str(url.expose_secret())?.disable_statement_logging();
    if let Some(ca) = ca {
        options = options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca);
    }
    Ok(options)
}

fn file(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") {
        return Err("sessions are kept in a file\nwrite `sqlite:///var/lib/cloakroom/sessions.db`".to_owned());
    }
    if path.contains(['?', '#', '%']) {
        return Err("a file is given as it is, without options and without `?`, `#` and `%`\n\
                    write `sqlite:///var/lib/cloakroom/sessions.db`"
            .to_owned());
    }
    Ok(PathBuf::from(path))
}

fn named(database: Option<&str>) -> Result<(), String> {
    match database {
        Some(_) => Ok(()),
        None => Err("the name of the database is missing\nwrite it last: `…://user:password@host/database`"
            .to_owned()),
    }
}

fn unusable(error: &sqlx::Error) -> String {
    let why = match error {
        sqlx::Error::Configuration(why) => why.to_string(),
        other => other.to_string(),
    };
    format!(
        "this URL cannot be used: {why}\n`@`, `:`, `/`, `#`, `?` and `%` in a password are written as %40, %3A, %2F, %23, %3F and %25"
    )
}

fn is_here(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || host.starts_with('/') || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_told_by_its_url() {
        let dialect = |url| Address::parse(url).map(|address| address.dialect());
        assert_eq!(dialect("sqlite:sessions.db"), Ok(Dialect::Sqlite));
        assert_eq!(dialect("postgres://u:p@db.internal:5432/app?sslmode=verify-full"), Ok(Dialect::Postgres));
        assert_eq!(dialect("postgresql:///app?host=/run/postgresql"), Ok(Dialect::Postgres));
        assert_eq!(dialect("mysql://u:p@127.0.0.1/app"), Ok(Dialect::Mysql));
        assert_eq!(dialect("mariadb://u:p@127.0.0.1/app"), Ok(Dialect::Mysql));
        for (url, part) in [
            ("", "not the URL"),
            ("redis://x", "not known"),
            ("sqlite:", "in a file"),
            ("sqlite::memory:", "in a file"),
            ("sqlite://a.db?mode=ro", "without options"),
            ("mysql://u:p@host", "name of the database"),
            ("mysql://u:hunter2@host:port/db", "cannot be used"),
            ("postgres://u:hunter2#@host/db", "cannot be used"),
            ("postgres://u@h/db?sslmode=maybe", "cannot be used"),
        ] {
            let error = dialect(url).expect_err(url);
            assert!(
                error.contains(part) && error.contains('\n') && !error.contains("hunter2"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_file_is_where_the_url_says() {
        for (url, path) in [
            ("sqlite:///var/lib/a b.db", "/var/lib/a b.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:state/a.db", "state/a.db"),
            ("SQLITE:/a.db", "/a.db"),
        ] {
            let Ok(Address::Sqlite(found)) = Address::parse(url) else { panic!("{url}") };
            assert_eq!(found, Path::new(path));
        }
    }

    #[test]
    fn only_a_way_across_the_network_can_be_overheard() {
        for (url, overheard) in [
            ("sqlite:a.db", false),
            ("postgres://u@127.0.0.1/d", false),
            ("postgres://u@[::1]/d", false),
            ("postgres:///d?host=/run/postgresql", false),
            ("postgres://u@db/d", true),
            ("postgres://u@db/d?sslmode=require", true),
            ("postgres://u@db/d?sslmode=verify-full", false),
            ("mysql://u@localhost/d", false),
            ("mysql://u@10.0.0.1/d", true),
            ("mysql://u@10.0.0.1/d?ssl-mode=verify_identity", false),
            ("mysql://u@h/d?socket=/run/mysqld.sock", false),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!(address.may_be_overheard(), overheard, "{url}");
        }
    }

    #[test]
    fn an_address_shows_no_password() {
        let address = Address::parse("mysql://u:hunter2@h/d").expect("valid");
        assert_eq!(format!("{address:?}"), "Mysql(…)");
    }
}
