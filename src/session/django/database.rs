//! Database: the rows of sessions, users and groups of a Django site.
//!
//! Comes in: a key that was checked, or a user's. Goes out: the row as it is, or why there is no answer. One query for
//! each. Never writes, and never puts anything but checked names into SQL.

use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, MySql, Pool, Postgres, Sqlite};
use tokio::time::{Instant, timeout_at};

use super::content::UserId;
use super::format::SessionKey;
use super::settings::{Location, SqlName, Tables};
use crate::session::store::StoreError;

/// Connections at the same time. A look-up holds one for two queries.
const CONNECTIONS: u32 = 4;

/// A session's row.
pub(super) struct SessionRow {
    /// The signed text.
    pub data: String,
    /// When it expires, with the offset where the database knows one.
    pub expires: String,
}

/// A user's row, and their groups in the order of their names.
pub(super) struct UserRow {
    pub username: String,
    pub password: String,
    pub active: bool,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub groups: Vec<String>,
}

/// One user joined with one group: name, password, active, e-mail, first name, last name, group.
type Joined = (String, String, String, Option<String>, Option<String>, Option<String>, Option<String>);

/// A database, connected to when it is first asked.
pub(super) struct Database {
    options: Options,
    longest_wait: Duration,
    pool: OnceLock<Connections>,
    session: Arc<str>,
    user_by_number: Arc<str>,
    user_by_uuid: Arc<str>,
}

enum Options {
    Postgres(sqlx::postgres::PgConnectOptions),
    MySql(sqlx::mysql::MySqlConnectOptions),
    Sqlite(sqlx::sqlite::SqliteConnectOptions),
}

enum Connections {
    Postgres(Pool<Postgres>),
    MySql(Pool<MySql>),
    Sqlite(Pool<Sqlite>),
}

/// A connection for one look-up.
enum Connection {
    Postgres(PoolConnection<Postgres>),
    MySql(PoolConnection<MySql>),
    Sqlite(PoolConnection<Sqlite>),
}

/// The same for each kind of connection.
macro_rules! with {
    ($connection:expr, $name:ident => $body:expr) => {
        match $connection {
            Connection::Postgres($name) => $body,
            Connection::MySql($name) => $body,
            Connection::Sqlite($name) => $body,
        }
    };
}

/// Asks, until a deadline; a connection that did not answer by then is not used again.
macro_rules! ask {
    ($asking:expr, $fetch:ident, $sql:expr, $value:expr) => {{
        let query = AssertSqlSafe(Arc::clone(&$sql));
        let until = $asking.until;
        with!(&mut $asking.connection, connection => {
            let answer = sqlx::query_as(query).bind($value).$fetch(&mut **connection);
            match timeout_at(until, answer).await {
                Ok(answer) => answer.map_err(|error| trouble(&error)),
                Err(_) => {
                    connection.close_on_drop();
                    Err(StoreError::TimedOut)
                }
            }
        })
    }};
}

/// One look-up at a database.
pub(super) struct Asking<'a> {
    database: &'a Database,
    connection: Connection,
    until: Instant,
}

/// Whether a database's URL can be used; otherwise why not.
pub fn understands(location: &Location) -> Result<(), String> {
    Options::read(location, Duration::ZERO).map(|_| ())
}

impl Options {
    fn read(location: &Location, longest_wait: Duration) -> Result<Self, String> {
        let unreadable = |error: sqlx::Error| match error {
            sqlx::Error::Configuration(why) => why.to_string(),
            other => other.to_string(),
        };
        match location {
            Location::Postgres(url) => sqlx::postgres::PgConnectOptions::from_str(url.expose_secret())
                .map(|options| Options::Postgres(options.disable_statement_logging()))
                .map_err(unreadable),
            Location::MySql(url) => sqlx::mysql::MySqlConnectOptions::from_str(url.expose_secret())
                .map(|options| Options::MySql(options.disable_statement_logging()))
                .map_err(unreadable),
            Location::Sqlite(path) => Ok(Options::Sqlite(
                sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(path)
                    .read_only(true)
                    .busy_timeout(longest_wait)
                    .disable_statement_logging(),
            )),
        }
    }
}

impl Database {
    /// A database as configured; an error says what is wrong with its URL. Nothing is connected yet.
    pub fn new(location: &Location, tables: &Tables, longest_wait: Duration) -> Result<Self, String> {
        let options = Options::read(location, longest_wait)?;
        let sql = Dialect::of(&options);
        Ok(Self {
            session: sql.session(tables).into(),
            user_by_number: sql.user(tables, sql.number).into(),
            user_by_uuid: sql.user(tables, sql.uuid).into(),
            options,
            longest_wait,
            pool: OnceLock::new(),
        })
    }

    /// A connection, to be used until a deadline.
    pub async fn asking(&self, until: Instant) -> Result<Asking<'_>, StoreError> {
        let connection = timeout_at(until, self.connection()).await.map_err(|_| StoreError::TimedOut)?;
        Ok(Asking { database: self, connection: connection.map_err(|error| trouble(&error))?, until })
    }

    async fn connection(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self.pool.get_or_init(|| self.connections()) {
            Connections::Postgres(pool) => Connection::Postgres(pool.acquire().await?),
            Connections::MySql(pool) => Connection::MySql(pool.acquire().await?),
            Connections::Sqlite(pool) => Connection::Sqlite(pool.acquire().await?),
        })
    }

    /// Made where a runtime is at hand, which a pool needs from its beginning.
    fn connections(&self) -> Connections {
        fn lazily<D: sqlx::Database>(
            wait: Duration,
            options: &<D::Connection as sqlx::Connection>::Options,
        ) -> Pool<D> {
            let pool = PoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(wait);
            pool.connect_lazy_with(options.clone())
        }
        match &self.options {
            Options::Postgres(options) => Connections::Postgres(lazily(self.longest_wait, options)),
            Options::MySql(options) => Connections::MySql(lazily(self.longest_wait, options)),
            Options::Sqlite(options) => Connections::Sqlite(lazily(self.longest_wait, options)),
        }
    }
}

impl Asking<'_> {
    /// The session under a key, expired or not.
    pub async fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>, StoreError> {
        let row: Option<(String, String)> = ask!(self, fetch_optional, self.database.session, key.as_str())?;
        Ok(row.map(|(data, expires)| SessionRow { data, expires }))
    }

    /// A user, active or not.
    pub async fn user(&mut self, user: &UserId) -> Result<Option<UserRow>, StoreError> {
        let rows: Vec<Joined> = match user {
            UserId::Number(number) => ask!(self, fetch_all, self.database.user_by_number, *number)?,
            UserId::Uuid(digits) => ask!(self, fetch_all, self.database.user_by_uuid, digits.as_str())?,
        };
        let mut rows = rows.into_iter();
        let Some((username, password, active, email, first_name, last_name, group)) = rows.next() else {
            return Ok(None);
        };
        let groups = group.into_iter().chain(rows.filter_map(|row| row.6)).collect();
        Ok(Some(UserRow {
            username,
            password,
            active: active == "yes",
            email,
            first_name,
            last_name,
            groups,
        }))
    }
}

/// How a kind of database says what all of them can. Everything is asked for as text, so that one row type fits all.
struct Dialect {
    quote: char,
    parameter: &'static str,
    number: &'static str,
    uuid: &'static str,
    before_time: &'static str,
    after_time: &'static str,
}

impl Dialect {
    fn of(options: &Options) -> Self {
        match options {
            Options::Postgres(_) => Self {
                quote: '"',
                parameter: "$1",
                number: "$1",
                uuid: "CAST($1 AS uuid)",
                before_time: "to_char(",
                after_time: r#" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00:00"')"#,
            },
            Options::MySql(_) => Self {
                quote: '`',
                parameter: "?",
                number: "?",
                uuid: "?",
                before_time: "CAST(",
                after_time: " AS CHAR)",
            },
            Options::Sqlite(_) => Self {
                quote: '"',
                parameter: "?",
                number: "?",
                uuid: "?",
                before_time: "CAST(",
                after_time: " AS TEXT)",
            },
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{0}{name}{0}", self.quote)
    }

    fn session(&self, tables: &Tables) -> String {
        let Self { parameter, before_time, after_time, .. } = self;
        let table = self.name(tables.sessions.as_str());
        let [data, expires, key] = ["session_data", "expire_date", "session_key"].map(|name| self.name(name));
        format!("SELECT {data}, {before_time}{expires}{after_time} FROM {table} WHERE {key} = {parameter}")
    }

    fn user(&self, tables: &Tables, key: &str) -> String {
        let column = |name: &SqlName| format!("u.{}", self.name(name.as_str()));
        let or_nothing = |name: &Option<SqlName>| name.as_ref().map_or_else(|| "NULL".to_owned(), column);
        let active = tables.is_active.as_ref().map_or_else(
            || "'yes'".to_owned(),
            |name| format!("CASE WHEN {} THEN 'yes' ELSE 'no' END", column(name)),
        );
        let [id, username, password] = [&tables.id, &tables.username, &tables.password].map(column);
        let [email, first_name, last_name] =
            [&tables.email, &tables.first_name, &tables.last_name].map(or_nothing);
        let users = self.name(tables.users.as_str());
        let (group, join, order) = match &tables.memberships {
            None => ("NULL".to_owned(), String::new(), String::new()),
            Some(memberships) => {
                let [group, groups, group_id] =
                    ["name", "auth_group", "group_id"].map(|name| self.name(name));
                let [memberships, member] =
                    [memberships, &tables.member].map(|name| self.name(name.as_str()));
                let key = self.name("id");
                let join = format!(
                    " LEFT JOIN {memberships} m ON m.{member} = {id} LEFT JOIN {groups} g ON g.{key} = m.{group_id}"
                );
                (format!("g.{group}"), join, format!(" ORDER BY g.{group}"))
            }
        };
        format!(
            "SELECT {username}, {password}, {active}, {email}, {first_name}, {last_name}, {group} \
             FROM {users} u{join} WHERE {id} = {key}{order}"
        )
    }
}

fn trouble(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::TimedOut,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => {
            StoreError::Broken(error.to_string())
        }
        _ => StoreError::Away(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::session::django::settings::Tables;

    fn database(location: Location, tables: &Tables) -> Result<Database, String> {
        Database::new(&location, tables, Duration::from_secs(1))
    }

    #[test]
    fn names_are_quoted_as_each_database_wants_it() {
        let tables = Tables { users: SqlName::parse("Order").expect("plain"), ..Tables::default() };
        let url = |url: &str| SecretString::from(url);
        let postgres = database(Location::Postgres(url("postgres://a@b/c")), &tables).expect("a URL");
        assert_eq!(
            &*postgres.session,
            "SELECT \"session_data\", to_char(\"expire_date\" AT TIME ZONE 'UTC', \
             'YYYY-MM-DD HH24:MI:SS.US\"+00:00\"') FROM \"django_session\" WHERE \"session_key\" = $1"
        );
        assert!(postgres.user_by_uuid.contains("FROM \"Order\" u LEFT JOIN \"auth_user_groups\" m"));
        assert!(postgres.user_by_uuid.contains("WHERE u.\"id\" = CAST($1 AS uuid) ORDER BY g.\"name\""));
        let mysql = database(Location::MySql(url("mysql://a@b/c")), &tables).expect("a URL");
        assert!(mysql.user_by_number.contains("FROM `Order` u") && !mysql.user_by_number.contains('"'));
    }

    #[test]
    fn a_model_of_ones_own_may_lack_columns_and_groups() {
        let tables = Tables {
            is_active: None,
            email: None,
            first_name: None,
            last_name: None,
            memberships: None,
            ..Tables::default()
        };
        let sqlite = database(Location::Sqlite("a.db".into()), &tables).expect("a path");
        assert_eq!(
            &*sqlite.user_by_number,
            "SELECT u.\"username\", u.\"password\", 'yes', NULL, NULL, NULL, NULL FROM \"auth_user\" u WHERE u.\"id\" = ?"
        );
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_not_repeated() {
        let location = Location::Postgres("postgres://user:hidden@[::1/x".into());
        let why = database(location, &Tables::default()).err().expect("no URL");
        assert!(!why.is_empty() && !why.contains("hidden"), "{why}");
    }
}
