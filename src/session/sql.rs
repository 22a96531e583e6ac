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
        self.prepared.get_or_try_init(|| tables::prepare(&self.table.database, self.migrate)).await?;
        Ok(())
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

    const REMEMBERED: Duration = Duration::from_secs(600);

    fn stored() -> Stored {
        crate::session::store::contract::session(Some("alice"))
    }

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

    async fn many_prepare_at_once(settings: &SqlSettings) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let store = store(settings);
            tasks.spawn(async move { store.prepare().await });
        }
        for done in tasks.join_all().await {
            done.expect("they do not fight");
        }
    }

    async fn tables_are_told_apart(settings: &SqlSettings) {
        many_prepare_at_once(settings).await;
        let only_looks = SqlSettings { migrate: false, ..settings.clone() };
        store(&only_looks).prepare().await.expect("all is there");

        run(settings, "INSERT INTO cloakroom_schema (version) VALUES ($1)", &[Value::Number(77)]).await;
        for settings in [settings, &only_looks] {
            let error = store(settings).prepare().await.expect_err("from the future");
            assert!(error.to_string().contains("version 77"), "{error}");
            let asked = store(settings).load(Digest::from_bytes([0; 16])).await;
            assert!(matches!(asked, Err(StoreError::Broken(_))), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn many_gateways_may_start_at_once_and_none_uses_tables_from_the_future() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = file(&directory);
        let only_looks = SqlSettings { migrate: false, ..settings.clone() };
        let error = store(&only_looks).prepare().await.expect_err("no file");
        assert!(matches!(error, StoreError::Away(_)), "{error}");
        run_in(&settings.address, "CREATE TABLE other (a INTEGER)").await;
        let error = store(&only_looks).prepare().await.expect_err("no tables");
        assert!(error.to_string().contains("cloakroom schema --sql sqlite"), "{error}");
        tables_are_told_apart(&settings).await;
    }

    /// Runs a statement in a file that no store has opened.
    async fn run_in(address: &Address, statement: &'static str) {
        let Address::Sqlite(path) = address else { panic!("a file") };
        database::make(path).expect("made");
        let database = Database::new(address, None, Duration::from_secs(5)).expect("a database");
        let mut line = database.writer().await.expect("a connection");
        line.script(statement).await.expect("done");
        line.settle();
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL"]
    async fn many_gateways_make_the_tables_of_postgres() {
        let settings = settings(&std::env::var("CLOAKROOM_TEST_POSTGRES").expect("a URL"));
        many_prepare_at_once(&settings).await;
    }

    #[tokio::test]
    #[ignore = "needs MySQL or MariaDB"]
    async fn many_gateways_make_the_tables_of_mysql() {
        let settings = settings(&std::env::var("CLOAKROOM_TEST_MYSQL").expect("a URL"));
        many_prepare_at_once(&settings).await;
    }

    /// Interrupts an operation after so many steps; true when it was done by then.
    async fn interrupted<T>(mut operation: Answer<'_, T>, steps: usize) -> bool {
        for _ in 0..steps {
            let step = std::future::poll_fn(|context| {
                std::task::Poll::Ready(operation.as_mut().poll(context).is_ready())
            });
            if step.await {
                return true;
            }
            tokio::task::yield_now().await;
            sleep(Duration::from_micros(200)).await;
        }
        false
    }

    async fn an_interruption_leaves_nothing_behind(settings: &SqlSettings) {
        let (store, other) = (store(settings), store(settings));
        let mut session = stored();
        let (now, later) = (session.last_seen, session.last_seen.plus(REMEMBERED));
        assert!(store.create(&session, later).await.expect("created"));
        for steps in 0..60 {
            interrupted(store.save(&session, later), steps).await;
            // Whether it happened or not, everybody sees the same, and can go on from there.
            let Found::Lives(kept) = other.load(session.digest).await.expect("loaded") else { panic!() };
            assert!(kept.revision == session.revision || kept.revision == session.revision + 1);
            session = *kept;
            // It may also happen just now.
            while let Saved::Conflict(kept) = other.save(&session, later).await.expect("saved") {
                session = *kept;
            }
            session.revision += 1;
        }
        for steps in 0..30 {
            let session = stored();
            interrupted(store.create(&session, later), steps).await;
            interrupted(store.end(session.digest, EndReason::Logout, None, now), steps).await;
            other.end(session.digest, EndReason::Logout, None, now).await.expect("ended");
            let found = store.load(session.digest).await.expect("loaded");
            assert_eq!(found, Found::Ended(EndReason::Logout, None));
        }
    }

    #[tokio::test]
    async fn an_operation_that_is_dropped_leaves_no_transaction_open() {
        let directory = tempfile::tempdir().expect("a directory");
        an_interruption_leaves_nothing_behind(&file(&directory)).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL"]
    async fn an_operation_that_is_dropped_leaves_no_transaction_open_in_postgres() {
        let settings = settings(&std::env::var("CLOAKROOM_TEST_POSTGRES").expect("a URL"));
        an_interruption_leaves_nothing_behind(&settings).await;
    }

    #[tokio::test]
    #[ignore = "needs MySQL or MariaDB"]
    async fn an_operation_that_is_dropped_leaves_no_transaction_open_in_mysql() {
        let settings = settings(&std::env::var("CLOAKROOM_TEST_MYSQL").expect("a URL"));
        an_interruption_leaves_nothing_behind(&settings).await;
    }

    #[tokio::test]
    async fn a_file_that_is_locked_or_full_is_away_and_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = SqlSettings { timeout: Duration::from_millis(500), ..file(&directory) };
        let store = store(&settings);
        let (first, second) = (stored(), stored());
        let later = first.last_seen.plus(REMEMBERED);
        assert!(store.create(&first, later).await.expect("created"));

        let other = Database::new(&settings.address, None, settings.timeout).expect("a database");
        let mut line = other.writer().await.expect("a connection");
        line.script("BEGIN EXCLUSIVE").await.expect("begun");
        let answer = store.create(&second, later).await;
        assert!(matches!(answer, Err(StoreError::Away(_) | StoreError::TimedOut)), "{answer:?}");
        assert!(matches!(store.load(first.digest).await, Ok(Found::Lives(_))), "it can still be read");
        line.script("ROLLBACK").await.expect("ended");
        line.settle();
        assert!(store.create(&second, later).await.expect("created"));

        let mut line = store.table.database.writer().await.expect("a connection");
        line.script("PRAGMA max_page_count = 1").await.expect("done");
        line.settle();
        let long = "g".repeat(250);
        let groups: Vec<_> = (0..200).map(|n| format!("{long}{n}")).collect();
        let identity = crate::identity::Identity::new("alice", None, None, &groups).expect("valid");
        let large = Stored { identity: Some(identity), ..stored() };
        let answer = store.create(&large, later).await;
        assert!(matches!(&answer, Err(StoreError::Away(why)) if why.contains("full")), "{answer:?}");
        // The connection it happened on is gone, and with it the limit.
        assert!(store.create(&large, later).await.expect("created"));
    }

    #[tokio::test]
    async fn what_sqlite_keeps_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(&file(&directory));
        let session = stored();
        assert!(store.create(&session, session.last_seen.plus(REMEMBERED)).await.expect("created"));
        let mut count = 0;
        for entry in std::fs::read_dir(directory.path()).expect("readable") {
            let mode = entry.expect("an entry").metadata().expect("known").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
            count += 1;
        }
        assert_eq!(count, 3, "the file, and two beside it");
    }

    #[tokio::test]
    async fn thousands_are_swept_and_the_last_news_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = file(&directory);
        let store = store(&settings);
        store.prepare().await.expect("prepared");
        let text = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3500)
             INSERT INTO cloakroom_sessions (digest, revision, session, last_seen, expires)
             SELECT randomblob(16), 1, x'00', 1, n FROM n";
        run(&settings, text, &[]).await;
        let text = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
             INSERT INTO cloakroom_news (digest, sender, told) SELECT randomblob(16), 1, 0 FROM n";
        run(&settings, text, &[]).await;
        let at = Timestamp::from_unix_millis;
        assert_eq!(store.sweep(at(0)).await.expect("swept"), 0);
        assert_eq!(store.sweep(at(2500)).await.expect("swept"), 2500);
        assert_eq!(store.sweep(at(9999)).await.expect("swept"), 1000);
        assert_eq!(run(&settings, "DELETE FROM cloakroom_news", &[]).await, 1);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away_and_says_why() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        for scheme in ["postgres", "mysql"] {
            let address = Address::parse(&format!("{scheme}://u:hunter2@127.0.0.1:{port}/d")).expect("valid");
            let settings = SqlSettings { address, timeout: Duration::from_secs(1), ..settings("sqlite:x") };
            let error = store(&settings).load(Digest::from_bytes([0; 16])).await.expect_err("nobody there");
            let StoreError::Away(why) = &error else { panic!("{error}") };
            assert!(why.contains("refused") && !why.contains("hunter2"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for scheme in ["postgres", "mysql"] {
            let address = Address::parse(&format!("{scheme}://u@127.0.0.1:{port}/d")).expect("valid");
            let limit = Duration::from_millis(300);
            let settings = SqlSettings { address, timeout: limit, ..settings("sqlite:x") };
            let store = store(&settings);
            let asked = timeout(10 * limit, store.load(Digest::from_bytes([0; 16])));
            let answer = asked.await.expect("in time");
            assert!(matches!(answer, Err(StoreError::TimedOut)), "{answer:?}");
        }
    }
}
