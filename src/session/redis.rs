//! Redis: sessions in Redis or Valkey: one server, one with Sentinels, or a Cluster.
//!
//! Comes in: sessions as plain values. Goes out: the same, on any machine, until they expire: the server forgets by itself.
//! Every write is a script, so that it happens whole or not at all. Never has more than one connection for questions and one
//! for news, never asks for longer than its settings say.
//!
//! | key | content |
//! |---|---|
//! | `cloakroom:{digest}:s` | a session: revision, bytes, when it was last seen, whose it is |
//! | `cloakroom:{digest}:e` | for ten minutes after an end: why, and which session follows |
//! | `cloakroom:user:…` | a user's sessions, by when they expire; what it says is looked up before it is believed |
//! | `cloakroom:news` | the channel on which gateways tell each other |

use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{RedisResult, Value, cmd};

use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::{Answer, Ended, Found, Listener, Saved, Store, StoreError, Use};
use crate::session::stored::Stored;
use connection::Question;
use keyspace::Keyspace;
use link::Link;
use script::{Call, Script};
use servers::Servers;

mod advice;
mod connection;
mod failure;
mod keyspace;
mod link;
mod news;
mod script;
mod servers;
mod settings;
mod walk;

pub use servers::SetupError;
pub use settings::{Mode, RedisSettings, Server, Tls};

/// How long it is told why a session ended.
const TOLD: Duration = Duration::from_secs(600);

/// A session stays on its user's list for so much longer than it lives, in case a touch reached the one and not the other.
const LISTED: Duration = Duration::from_secs(3600);

/// Sessions in Redis or Valkey.
#[derive(Debug)]
pub struct RedisStore {
    link: Link,
    keyspace: Keyspace,
    /// Who we are, among those who share the store.
    sender: String,
    calls: AtomicU64,
}

impl RedisStore {
    /// A store that connects when it is first asked. Asking needs a tokio runtime.
    pub fn new(settings: &RedisSettings) -> Result<Self, SetupError> {
        let mut sender = [0; 8];
        getrandom::fill(&mut sender).map_err(|error| SetupError::Unusable(error.to_string()))?;
        Ok(Self {
            link: Link::new(Servers::new(settings)?),
            keyspace: Keyspace::new(&settings.prefix),
            sender: keyspace::hex(&sender),
            calls: AtomicU64::new(0),
        })
    }

    /// A name for one call, so that a script knows one that comes twice.
    fn call_name(&self) -> String {
        format!("{}.{}", self.sender, self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a script once.
    async fn run(&self, script: Script, call: Call) -> Result<Value, StoreError> {
        let answers = self.link.ask(Question::Run(script, slice::from_ref(&call))).await?;
        only(answers)
    }

    /// Asks the one who has the command's key.
    async fn ask(&self, command: &redis::Cmd) -> Result<Value, StoreError> {
        only(self.link.ask(Question::Ask(command, None)).await?)
    }

    /// What is kept under each of these, in their order.
    async fn load_all(&self, digests: &[Digest]) -> Result<Vec<Result<Found, StoreError>>, StoreError> {
        let calls: Vec<_> = digests.iter().map(|digest| Call::on(self.keyspace.session(*digest))).collect();
        let answers = self.link.ask(Question::Run(Script::Load, &calls)).await?;
        Ok(digests.iter().zip(answers).map(|(digest, answer)| found(*digest, answer)).collect())
    }

    /// Puts sessions on their users' lists.
    async fn list(&self, listed: &[(Digest, String, Timestamp)]) -> Result<(), StoreError> {
        let call = |(digest, whose, expires): &(Digest, String, Timestamp)| {
            let until = expires.plus(LISTED).unix_millis().to_string();
            Call::on([self.keyspace.list(whose)]).with(digest.to_hex()).with(until)
        };
        let calls: Vec<_> = listed.iter().filter(|(_, whose, _)| !whose.is_empty()).map(call).collect();
        if calls.is_empty() {
            return Ok(());
        }
        let answers = self.link.ask(Question::Run(Script::List, &calls)).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop).map_err(|error| failure::tell(&error)))
    }

    /// Takes sessions off a user's list. One that cannot be taken off is passed over by whoever reads it.
    async fn unlist(&self, whose: &str, digests: impl Iterator<Item = Digest>) {
        let members: Vec<_> = digests.map(|digest| digest.to_hex()).collect();
        if !whose.is_empty() && !members.is_empty() {
            let _ = self.ask(cmd("ZREM").arg(self.keyspace.list(whose)).arg(&members)).await;
        }
    }

    async fn create_now(&self, session: &Stored, expires: Timestamp) -> Result<bool, StoreError> {
        let whose = whose(session);
        // Before it lives: all that live are on the list.
        self.list(&[(session.digest, whose.clone(), expires)]).await?;
        let call = Call::on(self.keyspace.session(session.digest))
            .with(session.to_bytes())
            .with(session.last_seen.unix_millis().to_string())
            .with(expires.unix_millis().to_string())
            .with(whose);
        match self.run(Script::Create, call).await? {
            Value::Int(created) => Ok(created == 1),
            _ => Err(failure::unreadable("the answer to a new session")),
        }
    }

    async fn save_now(&self, session: &Stored, expires: Timestamp) -> Result<Saved, StoreError> {
        let (digest, whose) = (session.digest, whose(session));
        let [key, _] = self.keyspace.session(digest);
        let call = Call::on([key])
            .with(session.to_bytes())
            .with(session.last_seen.unix_millis().to_string())
            .with(expires.unix_millis().to_string())
            .with(whose.clone())
            .with(session.revision.to_string())
            .with((session.revision + 1).to_string())
            .with(self.call_name())
            .with(self.keyspace.channel())
            .with(news::letter(&self.sender, digest, None));
        match self.run(Script::Save, call).await? {
            Value::Int(_) => {
                self.list(&[(digest, whose, expires)]).await?;
                Ok(Saved::Done)
            }
            Value::Nil => Ok(Saved::Gone),
            kept => Ok(Saved::Conflict(Box::new(read(digest, kept)?))),
        }
    }

    async fn end_now(
        &self,
        digest: Digest,
        reason: EndReason,
        follower: Option<Digest>,
        now: Timestamp,
    ) -> Result<Ended, StoreError> {
        let call = Call::on(self.keyspace.session(digest))
            .with(keyspace::tombstone(reason, follower, &self.call_name()))
            .with(now.plus(TOLD).unix_millis().to_string())
            .with(self.keyspace.channel())
            .with(news::letter(&self.sender, digest, Some(reason)));
        match self.run(Script::End, call).await? {
            Value::Int(_) => Ok(Ended::Never),
            Value::BulkString(before) => {
                let (reason, follower) =
                    keyspace::read_tombstone(&before).ok_or_else(|| failure::unreadable("an end"))?;
                Ok(Ended::Before(reason, follower))
            }
            lived => {
                let [whose]: [String; 1] = shaped(lived, "the answer to an end")?;
                self.unlist(&whose, [digest].into_iter()).await;
                Ok(Ended::Now)
            }
        }
    }

    async fn touch_now(&self, uses: &[Use]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let call = |used: &Use| {
            let [key, _] = self.keyspace.session(used.digest);
            Call::on([key])
                .with(used.last_seen.unix_millis().to_string())
                .with(used.expires.unix_millis().to_string())
        };
        let calls: Vec<_> = uses.iter().map(call).collect();
        let answers = self.link.ask(Question::Run(Script::Touch, &calls)).await?;
        let mut listed = Vec::new();
        for (used, answer) in uses.iter().zip(answers) {
            match answer.map_err(|error| failure::tell(&error)) {
                Ok(Value::Nil) => {}
                Ok(whose) => listed.push((used.digest, shaped(whose, "whose a session is")?, used.expires)),
                Err(StoreError::Broken(error)) => tracing::warn!(%error, "a session could not be touched"),
                Err(error) => return Err(error),
            }
        }
        self.list(&listed).await
    }

    async fn of_user_now(&self, user: &str) -> Result<Vec<Stored>, StoreError> {
        let whose = keyspace::whose(Some(user));
        let listed = self.ask(cmd("ZRANGE").arg(self.keyspace.list(&whose)).arg(0).arg(-1)).await?;
        let listed: Vec<String> = shaped(listed, "a user's list")?;
        let digests: Vec<_> = listed.iter().filter_map(|digest| Digest::from_hex(digest)).collect();
        let (mut theirs, mut over) = (Vec::new(), Vec::new());
        for (digest, found) in digests.iter().zip(self.load_all(&digests).await?) {
            match found {
                Ok(Found::Lives(session))
                    if session.identity.as_ref().is_some_and(|who| who.user() == user) =>
                {
                    theirs.push(*session);
                }
                Ok(Found::Lives(_) | Found::Ended(..)) => over.push(*digest),
                // It may be about to begin; the list forgets it in time.
                Ok(Found::Nothing) => {}
                Err(StoreError::Broken(error)) => tracing::warn!(%error, "left out a session"),
                Err(error) => return Err(error),
            }
        }
        self.unlist(&whose, over.into_iter()).await;
        Ok(theirs)
    }
}

impl Store for RedisStore {
    fn load(&self, digest: Digest) -> Answer<'_, Found> {
        let call = Call::on(self.keyspace.session(digest));
        Box::pin(self.link.in_time(async move { found(digest, Ok(self.run(Script::Load, call).await?)) }))
    }

    fn create<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, bool> {
        Box::pin(self.link.in_time(self.create_now(session, expires)))
    }

    fn save<'a>(&'a self, session: &'a Stored, expires: Timestamp) -> Answer<'a, Saved> {
        Box::pin(self.link.in_time(self.save_now(session, expires)))
    }

    fn end(
        &self,
        digest: Digest,
        reason: EndReason,
        follower: Option<Digest>,
        now: Timestamp,
    ) -> Answer<'_, Ended> {
        Box::pin(self.link.in_time(self.end_now(digest, reason, follower, now)))
    }

    fn touch<'a>(&'a self, uses: &'a [Use]) -> Answer<'a, ()> {
        Box::pin(self.link.in_time(self.touch_now(uses)))
    }

    fn of_user<'a>(&'a self, user: &'a str) -> Answer<'a, Vec<Stored>> {
        Box::pin(self.link.in_time(self.of_user_now(user)))
    }

    /// Goes through all keys of the database, in steps that have `timeout` each: with 100,000 sessions that is a hundred
    /// steps. For operators, not for requests.
    fn page(&self, after: Option<Digest>, most: usize) -> Answer<'_, Vec<Stored>> {
        Box::pin(walk::page(self, after, most))
    }

    fn sweep(&self, _now: Timestamp) -> Answer<'_, u64> {
        // The server removes what has expired, and so is never late with it.
        Box::pin(std::future::ready(Ok(0)))
    }

    fn listen(&self, listener: Listener) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            news::hear(&self.link, &self.keyspace.channel(), &self.sender, &listener).await;
        })
    }
}

fn whose(session: &Stored) -> String {
    keyspace::whose(session.identity.as_ref().map(|identity| identity.user()))
}

/// The answer to the only question.
fn only(answers: Vec<RedisResult<Value>>) -> Result<Value, StoreError> {
    let answer = answers.into_iter().next().ok_or_else(|| failure::unreadable("an answer"))?;
    answer.map_err(|error| failure::tell(&error))
}

fn shaped<T: redis::FromRedisValue>(value: Value, what: &str) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| failure::unreadable(what))
}

/// What [`Script::Load`] says.
fn found(digest: Digest, answer: RedisResult<Value>) -> Result<Found, StoreError> {
    match answer.map_err(|error| failure::tell(&error))? {
        Value::Nil => Ok(Found::Nothing),
        Value::BulkString(text) => {
            let (reason, follower) =
                keyspace::read_tombstone(&text).ok_or_else(|| failure::unreadable("an end"))?;
            Ok(Found::Ended(reason, follower))
        }
        kept => Ok(Found::Lives(Box::new(read(digest, kept)?))),
    }
}

/// A session from its revision, its bytes, and when it was last seen.
fn read(digest: Digest, kept: Value) -> Result<Stored, StoreError> {
    let (revision, bytes, seen): (u64, Vec<u8>, u64) = shaped(kept, "a session")?;
    let stored =
        Stored::from_bytes(&bytes, revision).map_err(|error| StoreError::Broken(error.to_string()))?;
    if stored.digest != digest {
        return Err(StoreError::Broken("a session is kept under another's key".to_owned()));
    }
    Ok(Stored { last_seen: Timestamp::from_unix_millis(seen), ..stored })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;

    use secrecy::SecretString;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::clock::Clock;
    use crate::identity::Identity;
    use crate::session::id::SessionId;
    use crate::session::store::News;
    use crate::session::store::contract::{session, store_contract};

    const HOUR: Duration = Duration::from_secs(3600);

    fn later() -> Timestamp {
        Clock::System.now().plus(HOUR)
    }

    fn settings(port: u16) -> RedisSettings {
        RedisSettings {
            servers: vec![Server { host: "127.0.0.1".to_owned(), port }],
            mode: Mode::Single,
            username: None,
            password: None,
            database: 0,
            tls: None,
            prefix: "cloakroom:".to_owned(),
            timeout: Duration::from_millis(500),
        }
    }

    /// A server that somebody started for the tests: `redis://host:port`, several with commas between them.
    fn given(variable: &str, mode: Mode) -> RedisSettings {
        let text = std::env::var(variable).unwrap_or_else(|_| panic!("{variable}: a URL"));
        let server = |url: &str| {
            let (host, port) =
                url.split("://").nth(1).and_then(|rest| rest.rsplit_once(':')).expect("host:port");
            Server { host: host.to_owned(), port: port.parse().expect("a port") }
        };
        let ca = std::env::var("CLOAKROOM_TEST_REDIS_CA").ok().map(PathBuf::from);
        RedisSettings {
            servers: text.split(',').map(server).collect(),
            mode,
            tls: text.starts_with("rediss:").then_some(Tls { ca }),
            timeout: Duration::from_secs(5),
            ..settings(0)
        }
    }

    fn store(settings: &RedisSettings) -> RedisStore {
        RedisStore::new(settings).expect("set up")
    }

    fn message(error: StoreError) -> String {
        error.to_string()
    }

    async fn keeps_the_contract(settings: &RedisSettings) {
        let spoiler = store(settings);
        let spoil = async |digest| {
            let [key, _] = spoiler.keyspace.session(digest);
            spoiler.ask(cmd("HSET").arg(key).arg("bytes").arg("nonsense")).await.expect("spoiled");
        };
        store_contract(async || Arc::new(store(settings)) as Arc<dyn Store>, spoil).await;
    }

    #[tokio::test]
    #[ignore = "needs a Redis server"]
    async fn one_server_keeps_the_contract() {
        keeps_the_contract(&given("CLOAKROOM_TEST_REDIS", Mode::Single)).await;
        let elsewhere = RedisSettings {
            database: 3,
            prefix: "another:".to_owned(),
            ..given("CLOAKROOM_TEST_REDIS", Mode::Single)
        };
        keeps_the_contract(&elsewhere).await;
    }

    #[tokio::test]
    #[ignore = "needs a Redis server"]
    async fn a_server_behind_tls_keeps_the_contract() {
        let settings = given("CLOAKROOM_TEST_REDIS_TLS", Mode::Single);
        keeps_the_contract(&settings).await;
        let strangers = RedisSettings { tls: Some(Tls { ca: None }), ..settings };
        let error = store(&strangers).load(SessionId::mint().digest()).await.expect_err("not trusted");
        assert!(message(error).contains("certificate"));
    }

    #[tokio::test]
    #[ignore = "needs a Redis server"]
    async fn a_primary_with_sentinels_keeps_the_contract() {
        let mode = |name: &str| Mode::Sentinel { name: name.to_owned() };
        keeps_the_contract(&given("CLOAKROOM_TEST_REDIS_SENTINEL", mode("mymaster"))).await;
        let nobody = store(&given("CLOAKROOM_TEST_REDIS_SENTINEL", mode("nobody")));
        let error = nobody.load(SessionId::mint().digest()).await.expect_err("not known");
        assert!(message(error).contains("knows no primary of this name"));
    }

    #[tokio::test]
    #[ignore = "needs a Redis server"]
    async fn a_cluster_keeps_the_contract() {
        keeps_the_contract(&given("CLOAKROOM_TEST_REDIS_CLUSTER", Mode::Cluster)).await;
    }

    /// A server of a test's own.
    struct Own {
        port: u16,
        folder: tempfile::TempDir,
        child: Child,
    }

    impl Own {
        async fn started() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = probe.local_addr().expect("an address").port();
            drop(probe);
            let child = Self::run(port, &folder);
            let own = Self { port, folder, child };
            own.answers().await;
            own
        }

        fn run(port: u16, folder: &tempfile::TempDir) -> Child {
            Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "always"])
                .arg("--dir")
                .arg(folder.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-server is installed")
        }

        async fn answers(&self) {
            let store = store(&settings(self.port));
            let start = Instant::now();
            while store.ask(&cmd("PING")).await.is_err() {
                assert!(start.elapsed() < Duration::from_secs(10), "the server starts");
                sleep(Duration::from_millis(20)).await;
            }
        }

        fn kill(&mut self) {
            self.child.kill().expect("it ran");
            self.child.wait().expect("it ended");
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    async fn set(store: &RedisStore, name: &str, value: &str) {
        store.ask(cmd("CONFIG").arg("SET").arg(name).arg(value)).await.expect("set");
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn after_the_server_was_killed_all_is_as_before_within_a_second() {
        let mut own = Own::started().await;
        let store = store(&settings(own.port));
        let session = session(Some("alice"));
        assert!(store.create(&session, later()).await.expect("created"));
        let listening = store.listen(Box::new(|_| {}));
        let work = async {
            for _ in 0..2 {
                own.kill();
                let error = store.load(session.digest).await.expect_err("nobody there");
                assert!(matches!(error, StoreError::Away(_)), "{error}");
                let start = Instant::now();
                let asked = std::iter::repeat_with(|| store.load(session.digest)).take(1000);
                let answers = futures_util::future::join_all(asked).await;
                assert!(answers.iter().all(Result::is_err));
                assert!(start.elapsed() < Duration::from_secs(1), "told at once: {:?}", start.elapsed());

                own.child = Own::run(own.port, &own.folder);
                own.answers().await;
                let start = Instant::now();
                while store.load(session.digest).await.is_err() {
                    assert!(start.elapsed() < Duration::from_secs(1), "within a second");
                    sleep(Duration::from_millis(5)).await;
                }
                assert_eq!(
                    store.load(session.digest).await.expect("there again"),
                    Found::Lives(Box::new(session.clone()))
                );
            }
        };
        tokio::select! { () = listening => panic!("it listens"), () = work => {} }
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_connection_that_is_cut_and_scripts_that_are_forgotten_are_not_noticed() {
        let own = Own::started().await;
        let killer = store(&settings(own.port));
        let session = session(Some("alice"));
        assert!(killer.create(&session, later()).await.expect("created"));
        for _ in 0..3 {
            let store = store(&settings(own.port));
            assert!(matches!(store.load(session.digest).await.expect("loaded"), Found::Lives(_)));
            killer
                .ask(cmd("CLIENT").arg("KILL").arg("SKIPME").arg("yes").arg("TYPE").arg("normal"))
                .await
                .expect("cut");
            killer.ask(cmd("SCRIPT").arg("FLUSH")).await.expect("forgotten");
            assert!(matches!(store.load(session.digest).await.expect("loaded"), Found::Lives(_)));
        }
        let used = Use { digest: session.digest, last_seen: later(), expires: later() };
        killer.ask(cmd("SCRIPT").arg("FLUSH")).await.expect("forgotten");
        killer.touch(&[used, used]).await.expect("touched");
        assert_eq!(killer.of_user("alice").await.expect("found").len(), 1);
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_gap_in_the_news_is_said() {
        let own = Own::started().await;
        let (store, other) = (store(&settings(own.port)), store(&settings(own.port)));
        let (send, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let listening = store.listen(Box::new(move |news| {
            let _ = send.send(news);
        }));
        let work = async {
            assert_eq!(heard.recv().await, Some(News::Missed));
            for _ in 0..3 {
                other.ask(cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await.expect("cut");
                assert_eq!(heard.recv().await, Some(News::Missed));
                let digest = SessionId::mint().digest();
                other.end(digest, EndReason::Revoked, None, Clock::System.now()).await.expect("ended");
                assert_eq!(heard.recv().await, Some(News::Ended(digest, EndReason::Revoked)));
            }
        };
        let done = async {
            tokio::select! { () = listening => panic!("it listens"), () = work => {} }
        };
        tokio::time::timeout(Duration::from_secs(10), done).await.expect("in time");
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_call_that_comes_twice_happens_once() {
        let own = Own::started().await;
        let store = store(&settings(own.port));
        let session = session(None);
        let [key, tombstone] = store.keyspace.session(session.digest);
        let create = || {
            Call::on([key.clone(), tombstone.clone()])
                .with(session.to_bytes())
                .with("1")
                .with(later().unix_millis().to_string())
                .with("")
        };
        let save = || {
            let call = Call::on([key.clone()]).with(session.to_bytes()).with("1");
            call.with(later().unix_millis().to_string())
                .with("")
                .with("1")
                .with("2")
                .with("call")
                .with("c")
                .with("m")
        };
        let end = || {
            let call = Call::on([key.clone(), tombstone.clone()]).with("logout - call");
            call.with(later().unix_millis().to_string()).with("c").with("m")
        };
        for _ in 0..2 {
            assert_eq!(store.run(Script::Create, create()).await.expect("an answer"), Value::Int(1));
        }
        for _ in 0..2 {
            assert_eq!(store.run(Script::Save, save()).await.expect("an answer"), Value::Int(1));
        }
        let Found::Lives(kept) = store.load(session.digest).await.expect("loaded") else {
            panic!("it lives")
        };
        assert_eq!(kept.revision, 2);
        assert_eq!(store.run(Script::Create, create()).await.expect("an answer"), Value::Int(1));
        assert_eq!(store.load(session.digest).await.expect("loaded"), Found::Lives(kept), "untouched");
        for _ in 0..2 {
            let answer = store.run(Script::End, end()).await.expect("an answer");
            assert!(matches!(answer, Value::Array(_)), "{answer:?}");
        }
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_server_that_is_full_is_away_and_still_ends_sessions() {
        let own = Own::started().await;
        let store = store(&settings(own.port));
        let session = session(Some("alice"));
        assert!(store.create(&session, later()).await.expect("created"));
        set(&store, "maxmemory", "1").await;
        for error in [
            store.create(&crate::session::store::contract::session(None), later()).await.expect_err("full"),
            store.save(&session, later()).await.expect_err("full"),
        ] {
            assert!(matches!(&error, StoreError::Away(why) if why.starts_with("OOM")), "{error}");
        }
        assert!(matches!(store.load(session.digest).await, Ok(Found::Lives(_))), "it can still be read");
        let ended = store.end(session.digest, EndReason::Logout, None, Clock::System.now()).await;
        assert_eq!(ended.expect("ended"), Ended::Now);
        let found = store.load(session.digest).await.expect("loaded");
        assert_eq!(found, Found::Ended(EndReason::Logout, None));
        set(&store, "maxmemory", "0").await;
        assert_eq!(store.save(&session, later()).await.expect("an answer"), Saved::Gone);
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_server_that_became_a_replica_or_hangs_is_away() {
        let own = Own::started().await;
        let (store, other) = (store(&settings(own.port)), store(&settings(own.port)));
        let session = session(None);
        assert!(store.create(&session, later()).await.expect("created"));
        store.ask(cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await.expect("demoted");
        let error = store.save(&session, later()).await.expect_err("read-only");
        assert!(matches!(&error, StoreError::Away(why) if why.starts_with("READONLY")), "{error}");
        other.ask(cmd("REPLICAOF").arg("NO").arg("ONE")).await.expect("promoted");
        let start = Instant::now();
        while store.save(&session, later()).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(1), "within a second");
            sleep(Duration::from_millis(5)).await;
        }

        other.ask(cmd("CLIENT").arg("PAUSE").arg(1500)).await.expect("paused");
        let start = Instant::now();
        let error = store.load(session.digest).await.expect_err("it hangs");
        assert!(matches!(error, StoreError::TimedOut), "{error}");
        assert!((500..700).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        while store.load(session.digest).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(4), "it goes on");
        }
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_password_is_needed_and_never_shown() {
        let own = Own::started().await;
        let admin = store(&settings(own.port));
        let rights = ["on", ">hunter2", "~cloakroom:*", "&cloakroom:*", "+@all", "-@admin"];
        admin.ask(cmd("ACL").arg("SETUSER").arg("gate").arg(&rights)).await.expect("made");
        admin.ask(cmd("CONFIG").arg("SET").arg("requirepass").arg("other")).await.expect("set");
        let with = |username: Option<&str>, password: &str| RedisSettings {
            username: username.map(str::to_owned),
            password: Some(SecretString::from(password)),
            ..settings(own.port)
        };
        let session = session(Some("alice"));
        let right = store(&with(Some("gate"), "hunter2"));
        assert!(right.create(&session, later()).await.expect("created"));
        assert_eq!(right.of_user("alice").await.expect("found"), std::slice::from_ref(&session));
        assert!(store(&with(None, "other")).create(&session, later()).await.expect("created"));
        for wrong in [with(Some("gate"), "hunter3"), settings(own.port)] {
            let wrong = store(&wrong);
            let error = wrong.load(session.digest).await.expect_err("not allowed");
            assert!(matches!(error, StoreError::Away(_)), "{error}");
            assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter"), "{error:?} {wrong:?}");
        }
        let foreign = store(&RedisSettings { prefix: "x:".to_owned(), ..with(Some("gate"), "hunter2") });
        let error = foreign.load(session.digest).await.expect_err("not its keys");
        assert!(matches!(&error, StoreError::Away(why) if why.contains("NOPERM")), "{error}");
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_hundred_thousand_sessions_are_paged_through_and_touched() {
        let own = Own::started().await;
        let store = store(&RedisSettings { timeout: Duration::from_secs(5), ..settings(own.port) });
        set(&store, "appendonly", "no").await;
        let sessions: Vec<_> =
            (0..100_000).map(|n| session((n % 2 == 0).then_some("alice").filter(|_| n < 100))).collect();
        let create = |part: &[Stored]| {
            let call = |session: &Stored| {
                Call::on(store.keyspace.session(session.digest))
                    .with(session.to_bytes())
                    .with(session.last_seen.unix_millis().to_string())
                    .with(later().unix_millis().to_string())
                    .with(whose(session))
            };
            part.iter().map(call).collect::<Vec<_>>()
        };
        for part in sessions.chunks(5000) {
            store.link.ask(Question::Run(Script::Create, &create(part))).await.expect("created");
        }
        let mut sorted: Vec<_> = sessions.iter().map(|session| session.digest).collect();
        sorted.sort();
        for (after, from) in [(None, 0), (Some(sorted[49_999]), 50_000), (Some(sorted[99_900]), 99_901)] {
            let start = Instant::now();
            let page = store.page(after, 100).await.expect("a page");
            println!("a page of 100 out of 100,000: {:?}", start.elapsed());
            let found: Vec<_> = page.iter().map(|session| session.digest).collect();
            assert_eq!(found, sorted[from..(from + 100).min(100_000)]);
        }
        let uses: Vec<_> = sorted
            .iter()
            .map(|digest| Use { digest: *digest, last_seen: later(), expires: later() })
            .collect();
        let start = Instant::now();
        store.touch(&uses[..10_000]).await.expect("touched");
        println!("10,000 touches: {:?}", start.elapsed());
        let start = Instant::now();
        for digest in &sorted[..2000] {
            store.load(*digest).await.expect("loaded");
        }
        println!("a load: {:?}", start.elapsed() / 2000);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away_and_says_why() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        for mode in [Mode::Single, Mode::Sentinel { name: "m".to_owned() }, Mode::Cluster] {
            let password = Some(SecretString::from("hunter2"));
            let store = store(&RedisSettings { mode, password, ..settings(port) });
            for _ in 0..3 {
                let error = store.load(SessionId::mint().digest()).await.expect_err("nobody there");
                let StoreError::Away(why) = &error else { panic!("{error}") };
                assert!(why.contains("refused") && !why.contains("hunter2"), "{why}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for mode in [Mode::Single, Mode::Sentinel { name: "m".to_owned() }, Mode::Cluster] {
            let limit = Duration::from_millis(200);
            let store = store(&RedisSettings { mode, timeout: limit, ..settings(port) });
            let start = Instant::now();
            let answer = store.load(SessionId::mint().digest()).await;
            assert!(matches!(answer, Err(StoreError::TimedOut)), "{answer:?}");
            assert!(start.elapsed() < 2 * limit, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn a_store_that_cannot_be_set_up_says_why_and_shows_no_secret() {
        let password = Some(SecretString::from("hunter2"));
        let settings = RedisSettings { password, ..settings(1) };
        assert!(!format!("{settings:?} {:?}", store(&settings)).contains("hunter2"));
        let ca = Some(PathBuf::from("/nowhere/ca.pem"));
        let missing = RedisSettings { tls: Some(Tls { ca }), ..settings.clone() };
        let error = RedisStore::new(&missing).expect_err("not there").to_string();
        assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");
        let nobody = RedisSettings { servers: Vec::new(), ..settings };
        assert!(RedisStore::new(&nobody).is_err());
    }

    #[test]
    fn what_no_script_of_ours_says_is_broken() {
        let digest = SessionId::mint().digest();
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        for strange in [
            text("nonsense"),
            Value::Array(vec![text("1"), text("x")]),
            Value::Array(vec![text("1"), Value::BulkString(session(None).to_bytes()), text("1")]),
            Value::Int(3),
        ] {
            let answer = found(digest, Ok(strange));
            assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
        }
    }

    #[test]
    fn a_session_of_nobody_is_on_no_list() {
        let identity = Identity::new("alice", None, None, &[]).expect("valid");
        assert_eq!(whose(&session(None)), "");
        assert_eq!(
            whose(&Stored { identity: Some(identity), ..session(None) }),
            keyspace::whose(Some("alice"))
        );
    }
}
