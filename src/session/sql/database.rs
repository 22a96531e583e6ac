//! Database: connections to one of three kinds of databases, and one way to use them.
//!
//! Comes in: statements and values. Goes out: rows, or why there are none, in the words of the database. Never leaves a
//! connection that was interrupted to the next one who needs it: whatever it was doing is over, and nobody knows how.

use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::mysql::{MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Executor as _, FromRow, MySql, Postgres, SqlStr, Sqlite};
use tokio::sync::Mutex;

use super::address::{self, Address};
use super::dialect::Dialect;
use crate::session::store::StoreError;

/// Connections to a server, at most.
const CONNECTIONS: u32 = 8;

/// Connections to a file that read; one more writes.
const READERS: u32 = 4;

/// A value of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Follower(Option<&'a [u8; 16]>),
    Text(Option<&'a str>),
}

/// What any row can be read as.
pub(super) trait Columns:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}

impl<T> Columns for T where
    T: for<'r> FromRow<'r, SqliteRow>
        + for<'r> FromRow<'r, PgRow>
        + for<'r> FromRow<'r, MySqlRow>
        + Send
        + Unpin
{
}

/// Connections, as many as are needed.
pub(super) struct Database {
    pools: Pools,
    /// Held by the one who finds out why there is no connection.
    finding_out: Mutex<()>,
}

enum Pools {
    Sqlite { path: PathBuf, reading: SqlitePool, writing: SqlitePool },
    Postgres(PgPool),
    Mysql(MySqlPool),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.dialect().as_str())
    }
}

impl Database {
    /// Connections to a database; none is made before it is needed.
    pub fn new(address: &Address, ca: Option<&Path>, timeout: Duration) -> Result<Self, sqlx::Error> {
        let pools = match address {
            Address::Sqlite(path) => {
                let options = address::sqlite(path, timeout);
                let pool = |most| {
                    SqlitePoolOptions::new()
                        .max_connections(most)
                        .acquire_timeout(timeout)
                        .idle_timeout(None)
                        .max_lifetime(None)
                };
                Pools::Sqlite {
                    path: path.clone(),
                    reading: pool(READERS).connect_lazy_with(options.clone().pragma("query_only", "ON")),
                    writing: pool(1).connect_lazy_with(options),
                }
            }
            Address::Postgres(url) => {
                // What nobody waits for any more must not hold locks, nor a connection.
                let limit = timeout.as_millis();
                let settings = format!(
                    "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {};
                     SET default_transaction_isolation = 'read committed'",
                    2 * limit
                );
                let pool = PgPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(timeout / 2)
                    .after_connect(move |connection, _| {
                        let settings = settings.clone();
                        Box::pin(async move {
                            connection.execute(sqlx::AssertSqlSafe(settings)).await.map(|_| ())
                        })
                    });
                Pools::Postgres(pool.connect_lazy_with(address::postgres(url, ca)?))
            }
            Address::Mysql(url) => {
                let settings = format!(
                    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION innodb_lock_wait_timeout = {}",
                    timeout.as_secs().max(1)
                );
                let pool = MySqlPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(timeout / 2)
                    .after_connect(move |connection, _| {
                        let settings = settings.clone();
                        Box::pin(async move {
                            connection.execute(sqlx::AssertSqlSafe(settings)).await.map(|_| ())
                        })
                    });
                Pools::Mysql(pool.connect_lazy_with(address::mysql(url, ca)?))
            }
        };
        Ok(Self { pools, finding_out: Mutex::new(()) })
    }

    pub fn dialect(&self) -> Dialect {
        match &self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
            Pools::Mysql(_) => Dialect::Mysql,
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.pools {
            Pools::Sqlite { path, .. } => Some(path),
            Pools::Postgres(_) | Pools::Mysql(_) => None,
        }
    }

    /// How to connect for good, to hear what others say; only PostgreSQL has something to say.
    pub fn to_listen(&self) -> Option<PgConnectOptions> {
        match &self.pools {
            Pools::Postgres(pool) => Some(pool.connect_options().as_ref().clone()),
            Pools::Sqlite { .. } | Pools::Mysql(_) => None,
        }
    }

    /// A connection that only reads.
    pub async fn reader(&self) -> Result<Line, sqlx::Error> {
        match &self.pools {
            Pools::Sqlite { reading, .. } => reading.acquire().await.map(Connection::Sqlite).map(Line::new),
            Pools::Postgres(_) | Pools::Mysql(_) => self.writer().await,
        }
    }

    /// A connection that may write.
    pub async fn writer(&self) -> Result<Line, sqlx::Error> {
        let connection = match &self.pools {
            Pools::Sqlite { writing, .. } => writing.acquire().await.map(Connection::Sqlite),
            Pools::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
            Pools::Mysql(pool) => pool.acquire().await.map(Connection::Mysql),
        };
        match connection {
            Ok(connection) => Ok(Line::new(connection)),
            Err(sqlx::Error::PoolTimedOut) => Err(self.why().await),
            Err(error) => Err(error),
        }
    }

    /// A pool tries again and again where nobody listens, and then only says that time is up. So one asks for the reason.
    async fn why(&self) -> sqlx::Error {
        let Ok(_alone) = self.finding_out.try_lock() else { return sqlx::Error::PoolTimedOut };
        let tried = match &self.pools {
            Pools::Sqlite { .. } => Ok(()),
            Pools::Postgres(pool) => pool.connect_options().connect().await.map(|_| ()),
            Pools::Mysql(pool) => pool.connect_options().connect().await.map(|_| ()),
        };
        tried.err().unwrap_or(sqlx::Error::PoolTimedOut)
    }
}

/// A connection, for as long as one operation takes.
#[derive(Debug)]
pub(super) struct Line {
    connection: Connection,
    settled: bool,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    Mysql(PoolConnection<MySql>),
}

/// Says the same to each kind of connection; the name after the colon is its kind.
macro_rules! each {
    ($line:expr, $connection:ident: $kind:ident => $body:expr) => {
        match &mut $line.connection {
            Connection::Sqlite($connection) => {
                type $kind = Sqlite;
                $body
            }
            Connection::Postgres($connection) => {
                type $kind = Postgres;
                $body
            }
            Connection::Mysql($connection) => {
                type $kind = MySql;
                $body
            }
        }
    };
}

macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match *value {
                Value::Number(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Follower(digest) => query.bind(digest.map(|digest| digest.as_slice())),
                Value::Text(text) => query.bind(text),
            };
        }
        query
    }};
}

impl Line {
    fn new(connection: Connection) -> Self {
        Self { connection, settled: false }
    }

    /// All is done: the next one may have the connection.
    pub fn settle(mut self) {
        self.settled = true;
    }

    /// What a statement finds.
    pub async fn rows<T: Columns>(
        &mut self,
        statement: SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        each!(self, connection: Kind => {
            bind!(sqlx::query_as::<Kind, T>(statement), values).fetch_all(&mut **connection).await
        })
    }

    /// How many rows a statement changes.
    pub async fn run(&mut self, statement: SqlStr, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        each!(self, connection: Kind => {
            let done = bind!(sqlx::query::<Kind>(statement), values).execute(&mut **connection).await;
            done.map(|done| done.rows_affected())
        })
    }

    /// The same for a text that is different each time, which the connection need not remember.
    pub async fn run_once(&mut self, statement: SqlStr, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        each!(self, connection: Kind => {
            let query = bind!(sqlx::query::<Kind>(statement), values).persistent(false);
            query.execute(&mut **connection).await.map(|done| done.rows_affected())
        })
    }

    /// Statements without values, one after the other.
    pub async fn script(&mut self, script: &'static str) -> Result<(), sqlx::Error> {
        each!(self, connection: Kind => {
            let done: Result<<Kind as sqlx::Database>::QueryResult, _> =
                sqlx::raw_sql(script).execute(&mut **connection).await;
            done.map(|_| ())
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.settled {
            each!(self, connection: _Kind => connection.close_on_drop());
        }
    }
}

/// Makes the file of a database where there is none: nobody else may read it, nor what SQLite puts beside it.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What an error means for those who asked.
pub(super) fn meaning(error: &sqlx::Error) -> StoreError {
    use sqlx::Error;
    match error {
        Error::PoolTimedOut => StoreError::TimedOut,
        // The server gave up by itself, as it was told.
        Error::Database(error) if error.code().as_deref() == Some("57014") => StoreError::TimedOut,
        Error::Database(error) => StoreError::Away(error.message().to_owned()),
        Error::Io(error) => StoreError::Away(error.to_string()),
        Error::Configuration(why) if why.to_string().contains("RSA") => StoreError::Away(
            "the account's password can only be sent over TLS: set `tls`, or let the account use \
             `mysql_native_password`"
                .to_owned(),
        ),
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnIndexOutOfBounds { .. } => {
            StoreError::Broken(error.to_string())
        }
        other => StoreError::Away(other.to_string()),
    }
}

/// Whether the database took one of several back because they stood in each other's way.
pub(super) fn is_worth_another_try(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Whether a row of this key is there already.
pub(super) fn is_there_already(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
