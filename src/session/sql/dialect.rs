//! Dialect: which database speaks how.
//!
//! Comes in: statements that all of them understand, with `$1`, `$2`, … each once and in order. Goes out: the same in the
//! words of one database, and what is said differently in each. Never builds a statement from values.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A file on this machine.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// The tables, step by step: each script makes one version of them from the one before.
const SCHEMAS: [[&str; 3]; 1] =
    [[include_str!("sqlite.sql"), include_str!("postgres.sql"), include_str!("mysql.sql")]];

impl Dialect {
    /// The version of the tables that this program knows.
    pub const VERSION: i64 = SCHEMAS.len() as i64;

    /// As in configurations and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// The scripts that lead from a version of the tables to the present one.
    pub fn schema_from(self, version: usize) -> impl Iterator<Item = &'static str> {
        SCHEMAS.iter().skip(version).map(move |step| step[self as usize])
    }

    /// A statement in this dialect.
    pub(super) fn say(self, statement: &'static str) -> SqlStr {
        match self {
            Self::Sqlite | Self::Postgres => statement.into_sql_str(),
            Self::Mysql => AssertSqlSafe(marked(statement)).into_sql_str(),
        }
    }

    /// Begins a transaction that may write.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            // One that begins by reading cannot go on to write once another has written.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres | Self::Mysql => "BEGIN",
        }
    }

    /// Waits until nobody else changes the tables; holds until the transaction or the connection ends.
    pub(super) const fn lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT pg_advisory_xact_lock(7162256938417)"),
            Self::Mysql => Some("SELECT GET_LOCK(CONCAT('cloakroom.', MD5(DATABASE())), 60)"),
        }
    }

    /// Counts the tables that tell the version: one or none.
    pub(super) const fn is_there(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'cloakroom_schema'"
            }
            Self::Postgres => "SELECT COUNT(to_regclass('cloakroom_schema'))",
            Self::Mysql => {
                "SELECT COUNT(*) FROM information_schema.tables
                 WHERE table_schema = DATABASE() AND table_name = 'cloakroom_schema'"
            }
        }
    }

    /// Removes a thousand rows that have expired; the time is given twice, but once to MySQL.
    pub(super) const fn sweep(self) -> (&'static str, usize) {
        match self {
            Self::Sqlite => (
                "DELETE FROM cloakroom_sessions WHERE expires <= $1 AND digest IN
                 (SELECT digest FROM cloakroom_sessions WHERE expires <= $2 ORDER BY expires LIMIT 1000)",
                2,
            ),
            Self::Postgres => (
                "DELETE FROM cloakroom_sessions WHERE expires <= $1 AND digest IN
                 (SELECT digest FROM cloakroom_sessions WHERE expires <= $2 ORDER BY expires LIMIT 1000
                  FOR UPDATE SKIP LOCKED)",
                2,
            ),
            Self::Mysql => {
                ("DELETE FROM cloakroom_sessions WHERE expires <= $1 ORDER BY expires LIMIT 1000", 1)
            }
        }
    }

    /// Removes a thousand old pieces of news; the last one stays, for those who look where they left off.
    pub(super) const fn sweep_news(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some(
                "DELETE FROM cloakroom_news WHERE id IN
                 (SELECT id FROM cloakroom_news WHERE told < unixepoch() - 300
                  AND id < (SELECT MAX(id) FROM cloakroom_news) ORDER BY id LIMIT 1000)",
            ),
            Self::Postgres => None,
            Self::Mysql => Some(
                "DELETE FROM cloakroom_news WHERE told < NOW() - INTERVAL 5 MINUTE
                 AND id < (SELECT last FROM (SELECT MAX(id) AS last FROM cloakroom_news) AS newest)
                 ORDER BY id LIMIT 1000",
            ),
        }
    }

    /// Notes the use of so many sessions: digest, last seen and expiry of each. Nothing is undone, nobody comes back.
    pub(super) fn touch(self, count: usize) -> SqlStr {
        let (first, more) = match self {
            // These learn the types from the values.
            Self::Sqlite | Self::Postgres => {
                ("SELECT {1} AS digest, {2} AS last_seen, {3} AS expires", "SELECT {1}, {2}, {3}")
            }
            Self::Mysql => (
                "SELECT CAST(? AS BINARY(16)) AS digest, CAST(? AS SIGNED) AS last_seen, CAST(? AS SIGNED) AS expires",
                "SELECT CAST(? AS BINARY(16)), CAST(? AS SIGNED), CAST(? AS SIGNED)",
            ),
        };
        let row = |n: usize| {
            let text = if n == 0 { first } else { more };
            (1..=3).fold(text.to_owned(), |text, at| {
                text.replace(&format!("{{{at}}}"), &format!("${}", 3 * n + at))
            })
        };
        let uses = (0..count).map(row).collect::<Vec<_>>().join(" UNION ALL ");
        let text = match self {
            Self::Sqlite | Self::Postgres => format!(
                "UPDATE cloakroom_sessions AS s SET last_seen = u.last_seen, expires = u.expires FROM ({uses}) AS u
                 WHERE s.digest = u.digest AND s.session IS NOT NULL AND s.last_seen < u.last_seen"
            ),
            Self::Mysql => format!(
                "UPDATE cloakroom_sessions AS s JOIN ({uses}) AS u ON s.digest = u.digest
                 SET s.last_seen = u.last_seen, s.expires = u.expires
                 WHERE s.session IS NOT NULL AND s.last_seen < u.last_seen"
            ),
        };
        AssertSqlSafe(text).into_sql_str()
    }
}

/// `?` for each `$1`, `$2`, …
fn marked(statement: &str) -> String {
    let mut parts = statement.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('?');
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_counts_its_marks_itself() {
        assert_eq!(marked("a = $1, b = $2 WHERE c = $10"), "a = ?, b = ? WHERE c = ?");
        assert_eq!(marked("SELECT 1"), "SELECT 1");
    }

    #[test]
    fn a_touch_names_each_value_once() {
        let text = Dialect::Postgres.touch(2).as_str().to_owned();
        for mark in ["$1 AS", "$2 AS", "$3 AS", "$4,", "$5,", "$6)"] {
            assert_eq!(text.matches(mark).count(), 1, "{mark} in {text}");
        }
        assert_eq!(Dialect::Mysql.touch(3).as_str().matches('?').count(), 9);
    }

    #[test]
    fn every_script_leaves_its_version_behind() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql] {
            for (at, script) in dialect.schema_from(0).enumerate() {
                assert!(script.contains(&format!("(version) VALUES ({})", at + 1)), "{dialect:?}");
            }
            assert_eq!(dialect.schema_from(SCHEMAS.len()).count(), 0);
        }
    }
}
