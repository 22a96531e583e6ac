//! Servers: how to come to the one that writes.
//!
//! Comes in: settings. Goes out: connections, for questions and for news. Sentinels are asked where the primary is, and
//! what they name is asked whether it is one. Never tries twice: when to try again is for others to say.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    PushInfo, RedisConnectionInfo, RedisResult, TlsCertificates, Value, cmd,
};
use secrecy::ExposeSecret;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::connection::Connection;
use super::failure;
use super::settings::{Mode, RedisSettings, Server};

/// Why a store cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of authorities cannot be read.
    #[error("{}: {error}", path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its content is of no use, or there is no server.
    #[error("the session store cannot be set up: {0}")]
    Unusable(String),
}

/// Where to connect to, and as whom.
pub(super) struct Servers {
    seeds: Vec<Server>,
    mode: Mode,
    login: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
    timeout: Duration,
    /// Which seed is asked first, so that one that is wrong is not asked first for ever.
    turn: AtomicUsize,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Servers")
            .field("seeds", &self.seeds)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Servers {
    /// Reads the authorities; connects to nobody.
    pub fn new(settings: &RedisSettings) -> Result<Self, SetupError> {
        let tls = match &settings.tls {
            None => None,
            Some(tls) => {
                let read = |path: &PathBuf| {
                    std::fs::read(path).map_err(|error| SetupError::Authorities { path: path.clone(), error })
                };
                let root_cert = tls.ca.as_ref().map(read).transpose()?;
                Some(TlsCertificates { client_tls: None, root_cert })
            }
        };
        let mut login = RedisConnectionInfo::default().set_db(i64::from(settings.database));
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.expose_secret());
        }
        let servers = Self {
            seeds: settings.servers.clone(),
            mode: settings.mode.clone(),
            login,
            tls,
            timeout: settings.timeout,
            turn: AtomicUsize::new(0),
        };
        let unusable = |error: redis::RedisError| SetupError::Unusable(error.to_string());
        let seed = servers.seeds.first();
        let seed = seed.ok_or_else(|| SetupError::Unusable("there is no server".to_owned()))?;
        servers.client(seed, servers.login.clone()).map_err(unusable)?;
        if servers.mode == Mode::Cluster {
            servers.cluster().map_err(unusable)?;
        }
        Ok(servers)
    }

    /// Whether they are nodes of a Cluster.
    pub fn are_cluster(&self) -> bool {
        self.mode == Mode::Cluster
    }

    /// The longest that one operation may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection for questions.
    pub async fn connect(&self) -> RedisResult<Connection> {
        let connect = async {
            match &self.mode {
                Mode::Cluster => Ok(Connection::Cluster(self.cluster()?.get_async_connection().await?)),
                _ => Ok(Connection::One(self.primary(&self.login, &AsyncConnectionConfig::new()).await?)),
            }
        };
        timeout(self.longest(), connect).await.unwrap_or_else(|_| Err(failure::late()))
    }

    /// A connection on which news is told to `heard`, from when this returns. In a Cluster any node has all the news.
    pub async fn listen(
        &self,
        channel: &str,
        heard: UnboundedSender<PushInfo>,
    ) -> RedisResult<MultiplexedConnection> {
        let login = self.login.clone().set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new().set_push_sender(heard);
        let connect = async {
            let mut connection = self.primary(&login, &config).await?;
            connection.subscribe(channel).await?;
            Ok(connection)
        };
        timeout(self.longest(), connect).await.unwrap_or_else(|_| Err(failure::late()))
    }

    /// Whether a connection still leads to where news is told.
    pub async fn is_good(&self, connection: &mut MultiplexedConnection) -> bool {
        let question = match &self.mode {
            Mode::Single => cmd("PING"),
            Mode::Sentinel { .. } => cmd("ROLE"),
            Mode::Cluster => Cmd::new().arg("CLUSTER").arg("INFO").to_owned(),
        };
        let answer = timeout(self.timeout, question.query_async::<Value>(connection)).await;
        match (&self.mode, answer) {
            (_, Err(_) | Ok(Err(_))) => false,
            (Mode::Single, Ok(Ok(_))) => true,
            (Mode::Sentinel { .. }, Ok(Ok(answer))) => is_primary(&answer),
            (Mode::Cluster, Ok(Ok(answer))) => {
                redis::from_redis_value::<String>(answer).is_ok_and(|text| text.contains("cluster_state:ok"))
            }
        }
    }

    /// The most that several steps of connecting may take.
    fn longest(&self) -> Duration {
        (4 * self.timeout).max(Duration::from_secs(2))
    }

    /// Connects to the server itself, to the primary that Sentinels name, or to some node.
    async fn primary(
        &self,
        login: &RedisConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        if let Mode::Sentinel { name } = &self.mode {
            let server = self.ask_sentinels(name).await?;
            let mut connection = self.open(&server, login.clone(), config).await?;
            let role = cmd("ROLE").query_async(&mut connection).await?;
            if !is_primary(&role) {
                return Err(failure::refused(
                    "the server that a Sentinel named is no primary",
                    server.to_string(),
                ));
            }
            return Ok(connection);
        }
        let mut last = None;
        for server in self.in_turn() {
            match self.open(server, login.clone(), config).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(failure::late))
    }

    /// Where the primary is, by the first Sentinel that knows.
    async fn ask_sentinels(&self, name: &str) -> RedisResult<Server> {
        let mut last = None;
        for sentinel in self.in_turn() {
            match timeout(self.timeout, self.ask_sentinel(sentinel, name)).await {
                Ok(Ok(Some((host, port)))) => return Ok(Server { host, port }),
                Ok(Ok(None)) => {
                    last = Some(failure::refused("a Sentinel knows no primary of this name", name.to_owned()))
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(failure::late()),
            }
        }
        Err(last.unwrap_or_else(failure::late))
    }

    async fn ask_sentinel(&self, sentinel: &Server, name: &str) -> RedisResult<Option<(String, u16)>> {
        let question = Cmd::new().arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).to_owned();
        let config = AsyncConnectionConfig::new();
        let mut connection = self.open(sentinel, RedisConnectionInfo::default(), &config).await?;
        match question.query_async(&mut connection).await {
            // The password is for those who ask for one.
            Err(error) if error.code() == Some("NOAUTH") => {
                let login = self.login.clone().set_db(0);
                let mut connection = self.open(sentinel, login, &config).await?;
                question.query_async(&mut connection).await
            }
            answer => answer,
        }
    }

    async fn open(
        &self,
        server: &Server,
        login: RedisConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        // The deadline is the operation's own; what is waited for here is a connection.
        let config = config.clone().set_connection_timeout(Some(self.timeout)).set_response_timeout(None);
        self.client(server, login)?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The seeds, each time from the next one on.
    fn in_turn(&self) -> impl Iterator<Item = &Server> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..self.seeds.len()).map(move |at| &self.seeds[(first.wrapping_add(at)) % self.seeds.len()])
    }

    fn client(&self, server: &Server, login: RedisConnectionInfo) -> RedisResult<Client> {
        let info = self.info(server, login)?;
        match &self.tls {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        }
    }

    fn info(&self, server: &Server, login: RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
        let (host, port) = (server.host.clone(), server.port);
        let address = match self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        Ok(address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp()))
    }

    /// Retries of its own are few: redirections need them, and whoever asks has no time for more.
    fn cluster(&self) -> RedisResult<ClusterClient> {
        let nodes = self.seeds.iter().map(|seed| self.info(seed, self.login.clone()));
        let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .retries(6)
            .min_retry_wait(5)
            .max_retry_wait(100)
            .tcp_settings(tcp());
        if let Some(certificates) = &self.tls {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// A peer that is gone without a word is noticed within seconds.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}

/// The first word of an answer to ROLE.
fn is_primary(role: &Value) -> bool {
    let Value::Array(words) = role else { return false };
    let word: Option<String> = words.first().and_then(|word| redis::from_redis_value_ref(word).ok());
    word.as_deref() == Some("master")
}
