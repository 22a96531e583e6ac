//! Sql: sessions in a table, of SQLite, PostgreSQL, MySQL or MariaDB.
//!
//! Comes in: sessions as plain values. Goes out: the same, on whichever gateway asks. Every operation is one statement or
//! one short transaction, takes no longer than the timeout, and is on the database's disk before it is answered. Never
//! puts a value into the text of a statement, never shows a URL.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::{Answer, Ended, Found, Listener, Saved, Store, StoreError, Use};
use crate::session::stored::Stored;

use database::{Database, Value};
use table::{Table, Trouble};

pub use address::Address;
pub use dialect::Dialect;

mod address;
mod database;
mod dialect;
mod news;
mod table;
mod tables;

/// For so long the tables may take to be made.
const PREPARATION: Duration = Duration::from_secs(60);

/// Uses that are noted by one statement.
const TOUCHED_AT_ONCE: usize = 250;

/// Rows that are removed by one statement.
const SWEPT_AT_ONCE: u64 = 1000;

/// How often to try what the database took back because two stood in each other's way.
const TRIES: usize = 5;

/// `session.sql:`
#[derive(Clone, Debug)]
pub struct SqlSettings {
    /// Which database.
    pub address: Address,
    /// Whether tables are made, and brought to the version that is needed; otherwise they are only looked at.
    pub migrate: bool,
    /// The longest that an operation may take.
    pub timeout: Duration,
    /// Authorities of which the server must have a certificate for its name. None: what the URL says.
    pub ca: Option<PathBuf>,
}

/// Sessions in a table.
#[derive(Debug)]
pub struct SqlStore {
    table: Table,
    migrate: bool,
    timeout: Duration,
    prepared: OnceCell<()>,
}

impl SqlStore {
    /// A store in a database, which need not be there yet. To be made on the runtime that it will be used on.
    pub fn new(settings: &SqlSettings) -> Result<Self, StoreError> {
        let mut sender = [0; 8];
        getrandom::fill(&mut sender).map_err(|error| StoreError::Away(error.to_string()))?;
        let database = Database::new(&settings.address, settings.ca.as_deref(), settings.timeout)
            .map_err(|error| database::meaning(&error))?;
        Ok(Self {
            table: Table { database, sender: i64::from_be_bytes(sender) },
            migrate: settings.migrate,
            timeout: settings.timeout,
            prepared: OnceCell::new(),
        })
    }

    /// Makes sure of the tables. Whatever is asked first does it too, but has less time for it: a gateway asks this at its
    /// start, and does not start with tables that are [`StoreError::Broken`] to it.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        timeout(PREPARATION, self.is_prepared()).await.unwrap_or(Err(StoreError::TimedOut))
    }

    async fn is_prepared(&self) -> Result<(), StoreError> {
        self.prepared
            .get_or_try_init(|| tables::prepare(&self.table.database, self.migrate))
            .await
            .map(|()| ())
    }

    /// An operation, as often as the database takes it back, for as long as there is time.
    async fn within<T, F>(&self, operation: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let all = async {
            self.is_prepared().await?;
            let mut tries = 1;
            loop {
                match operation().await {
                    Err(Trouble::Database(error))
                        if tries < TRIES && database::is_worth_another_try(&error) =>
                    {
                        tries += 1;
                    }
                    Err(Trouble::Database(error)) => return Err(database::meaning(&error)),
                    Err(Trouble::Unreadable(error)) => return Err(error),
                    Ok(answer) => return Ok(answer),
                }
            }
        };
        timeout(self.timeout, all).await.unwrap_or(Err(StoreError::TimedOut))
    }

    /// Runs a statement that removes some rows until none are left for it.
    async fn swept(&self, statement: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let removed = self.within(|| self.table.removed(statement, values)).await?;
            all += removed;
            if removed < SWEPT_AT_ONCE {
                return Ok(all);
            }
            // Others want to write, too.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Store for SqlStore {
    fn load(&self, digest: Digest) -> Answer<'_, Found> {
        Box::pin(async move { self.within(|| self.table.found(digest)).await })
    }

    fn create<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move { self.within(|| self.table.created(session, expires)).await })
    }

    fn save<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, Saved> {
        Box::pin(async move { self.within(|| self.table.saved(session, expires)).await })
    }

    fn end(
        &self,
        digest: Digest,
        reason: EndReason,
        follower: Option<Digest>,
        now: Timestamp,
    ) -> Answer<'_, Ended> {
        Box::pin(async move { self.within(|| self.table.ended(digest, reason, follower, now)).await })
    }

    fn touch<'a>(&'a self, uses: &'a [Use]) -> Answer<'a, ()> {
        Box::pin(async move {
            // In order, so that two who touch the same ones do not wait for each other; each once, the latest.
            let mut uses = uses.to_vec();
            uses.sort_unstable_by_key(|used| (used.digest, std::cmp::Reverse(used.last_seen)));
            uses.dedup_by_key(|used| used.digest);
            for some in uses.chunks(TOUCHED_AT_ONCE) {
                self.within(|| self.table.touched(some)).await?;
            }
            Ok(())
        })
    }

    fn of_user<'a>(&'a self, user: &'a str) -> Answer<'a, Vec<Stored>> {
        Box::pin(async move { self.within(|| self.table.of_user(user)).await })
    }

    fn page(&self, after: Option<Digest>, most: usize) -> Answer<'_, Vec<Stored>> {
        Box::pin(async move { self.within(|| self.table.page(after, most)).await })
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let dialect = self.table.database.dialect();
            let (statement, count) = dialect.sweep();
            let removed = self.swept(statement, &[table::number(now); 2][..count]).await?;
            if let Some(statement) = dialect.sweep_news() {
                self.swept(statement, &[]).await?;
            }
            Ok(removed)
        })
    }

    fn listen(&self, listener: Listener) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while let Err(error) = self.prepare().await {
                tracing::debug!(%error, "no news from the session store");
                sleep(self.timeout).await;
            }
            news::hear(&self.table.database, self.table.sender, self.timeout, &listener).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::store::contract::store_contract;

    fn settings(url: &str) -> SqlSettings {
        SqlSettings {
            address: Address::parse(url).expect("valid"),
            migrate: true,
            timeout: Duration::from_secs(10),
            ca: None,
        }
    }

    fn store(settings: &SqlSettings) -> SqlStore {
        SqlStore::new(settings).expect("a store")
    }

    fn file(directory: &tempfile::TempDir) -> SqlSettings {
        settings(&format!("sqlite://{}/sessions.db", directory.path().display()))
    }

    async fn run(settings: &SqlSettings, statement: &'static str, values: &[Value<'_>]) -> u64 {
        let store = store(settings);
        let mut line = store.table.database.writer().await.expect("a connection");
        let done = line.run(store.table.database.dialect().say(statement), values).await.expect("done");
        line.settle();
        done
    }

    async fn keeps_the_contract(settings: &SqlSettings) {
        let spoil = async |digest: Digest| {
            let text = "UPDATE cloakroom_sessions SET session = $1 WHERE digest = $2";
            let values = [Value::Bytes(b"no session"), Value::Bytes(digest.bytes())];
            assert_eq!(run(settings, text, &values).await, 1);
        };
        store_contract(async || Arc::new(store(settings)) as Arc<dyn Store>, spoil).await;
    }

    #[tokio::test]
    async fn sqlite_keeps_the_contract() {
        let directory = tempfile::tempdir().expect("a directory");
        keeps_the_contract(&file(&directory)).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL"]
    async fn postgres_keeps_the_contract() {
        keeps_the_contract(&settings(&std::env::var("CLOAKROOM_TEST_POSTGRES").expect("a URL"))).await;
    }

    #[tokio::test]
    #[ignore = "needs MySQL or MariaDB"]
    async fn mysql_keeps_the_contract() {
        keeps_the_contract(&settings(&std::env::var("CLOAKROOM_TEST_MYSQL").expect("a URL"))).await;
    }
}
