//! Connections: the servers of a directory, and the way to one that answers.
//!
//! Comes in: questions. Goes out: answers of the first server that gives one; servers that failed a moment ago come last.
//! Connections of the account that searches are kept and used again, those that people bind on are not. Never follows a
//! referral, never waits without an end, never says a password before TLS where that is wanted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry, SearchOptions, SearchResult};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};

use super::failure::{Bound, Failure, ask_for_policy, judge};

/// A server that failed is asked last for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(10);

/// An unused connection is not believed after so long: many servers close theirs after some minutes.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// `sizeLimitExceeded`: there is more than was asked for.
const SIZE_LIMIT: u32 = 4;

/// The servers of one directory.
pub(super) struct Connections {
    servers: Vec<Server>,
    start_tls: bool,
    tls: Option<Arc<ClientConfig>>,
    account: Option<(String, SecretString)>,
    timeout: Duration,
    most: usize,
    idle: Mutex<Vec<Idle>>,
}

struct Server {
    url: String,
    failed: Mutex<Option<Instant>>,
}

struct Idle {
    ldap: Ldap,
    since: Instant,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub base: &'a str,
    pub scope: Scope,
    pub filter: &'a str,
    pub attributes: &'a [&'a str],
    /// No more entries than this.
    pub most: i32,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub dn: String,
    /// By names in lower case.
    attributes: HashMap<String, Vec<String>>,
}

impl Entry {
    /// The values of an attribute that are text.
    pub fn values(&self, attribute: &str) -> &[String] {
        self.attributes.get(&attribute.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first of them.
    pub fn value(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).first().map(String::as_str)
    }

    /// One of which only the name is known.
    pub fn named(dn: &str) -> Self {
        Self { dn: dn.to_owned(), ..Self::default() }
    }

    fn of(entry: SearchEntry) -> Self {
        let attributes = entry.attrs.into_iter().map(|(name, values)| (name.to_lowercase(), values));
        Self { dn: entry.dn, attributes: attributes.collect() }
    }
}

impl Connections {
    /// The way to these servers; nothing is connected yet.
    pub fn new(
        settings: &super::LdapSettings,
        account: Option<(String, SecretString)>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        let server = |url: &String| Server { url: url.clone(), failed: Mutex::default() };
        Self {
            servers: settings.servers.iter().map(server).collect(),
            start_tls: settings.start_tls,
            tls,
            account,
            timeout: settings.timeout,
            most: settings.connections,
            idle: Mutex::default(),
        }
    }

    /// Searches as the account that searches.
    pub async fn search(&self, question: Question<'_>) -> Result<Vec<Entry>, Failure> {
        while let Some(mut ldap) = self.take_idle() {
            match self.ask(&mut ldap, question).await {
                Err(Failure::Cut(why)) => {
                    // It may have been closed while nobody used it, and then the others have been, too.
                    tracing::debug!("a kept connection to the directory is of no use any more: {why}");
                    self.idle().clear();
                }
                answer => {
                    self.keep(ldap);
                    return answer;
                }
            }
        }
        let mut last = Failure::Cut("there is no server".to_owned());
        for server in self.in_order() {
            match self.search_at(server, question).await {
                Err(Failure::Cut(why)) => last = self.failed(server, why),
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn search_at(&self, server: &Server, question: Question<'_>) -> Result<Vec<Entry>, Failure> {
        let mut ldap = self.connect(server).await?;
        if let Some((dn, password)) = &self.account {
            match self.bind_on(&mut ldap, dn, password.expose_secret()).await? {
                Bound::Yes => {}
                Bound::No(why) => {
                    let why = why.unwrap_or_else(|| "wrong password, or no such account".to_owned());
                    return Err(Failure::Unusable(format!("`bind_dn` is refused: {why}")));
                }
            }
        }
        server.is_back();
        let answer = self.ask(&mut ldap, question).await;
        if !matches!(answer, Err(Failure::Cut(_))) {
            self.keep(ldap);
        }
        answer
    }

    /// Binds with somebody's password, on a connection of their own; with it where the password is right.
    ///
    /// # Panics
    /// With an empty password: that would be a bind without one, which says nothing of anybody (RFC 4513, section 5.1.2).
    pub async fn bind(&self, dn: &str, password: &str) -> Result<(Bound, Ldap), Failure> {
        let mut last = Failure::Cut("there is no server".to_owned());
        for server in self.in_order() {
            let bound = async {
                let mut ldap = self.connect(server).await?;
                let bound = self.bind_on(&mut ldap, dn, password).await?;
                Ok((bound, ldap))
            };
            match bound.await {
                Err(Failure::Cut(why)) => last = self.failed(server, why),
                answer => {
                    server.is_back();
                    return answer;
                }
            }
        }
        Err(last)
    }

    /// Asks on this connection.
    pub async fn ask(&self, ldap: &mut Ldap, question: Question<'_>) -> Result<Vec<Entry>, Failure> {
        let seconds = i32::try_from(self.timeout.as_secs()).unwrap_or(i32::MAX).max(1);
        let options = SearchOptions::new().sizelimit(question.most).timelimit(seconds);
        let Question { base, scope, filter, attributes, .. } = question;
        let search = ldap.with_search_options(options).search(base, scope, filter, attributes.to_vec());
        let answer = tokio::time::timeout(self.timeout, search).await.map_err(|_| Failure::late())?;
        let SearchResult(found, result) = answer?;
        match result.rc {
            0 | SIZE_LIMIT => Ok(found.into_iter().map(SearchEntry::construct).map(Entry::of).collect()),
            _ => Err(Failure::of(result)),
        }
    }

    async fn connect(&self, server: &Server) -> Result<Ldap, Failure> {
        let mut settings =
            LdapConnSettings::new().set_conn_timeout(self.timeout).set_starttls(self.start_tls);
        if let Some(tls) = &self.tls {
            settings = settings.set_config(tls.clone());
        }
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &server.url).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!("a connection to the directory broke: {error}");
            }
        });
        Ok(ldap)
    }

    async fn bind_on(&self, ldap: &mut Ldap, dn: &str, password: &str) -> Result<Bound, Failure> {
        assert!(!password.is_empty(), "a bind without a password proves nothing");
        let bind = ldap.with_controls(ask_for_policy()).simple_bind(dn, password);
        let answer = tokio::time::timeout(self.timeout, bind).await.map_err(|_| Failure::late())?;
        judge(answer?)
    }

    /// All servers, those that failed a moment ago last.
    fn in_order(&self) -> impl Iterator<Item = &Server> {
        let (bad, good): (Vec<_>, Vec<_>) = self.servers.iter().partition(|server| server.is_avoided());
        good.into_iter().chain(bad)
    }

    fn failed(&self, server: &Server, why: String) -> Failure {
        let first = server.failed().replace(Instant::now()).is_none();
        if first {
            tracing::warn!("the directory at {} does not answer: {why}", server.url);
        }
        Failure::Cut(format!("{}: {why}", server.url))
    }

    fn take_idle(&self) -> Option<Ldap> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        while let Some(mut kept) = idle.pop() {
            if !kept.ldap.is_closed() {
                return Some(kept.ldap);
            }
        }
        None
    }

    fn keep(&self, ldap: Ldap) {
        let mut idle = self.idle();
        if idle.len() < self.most {
            idle.push(Idle { ldap, since: Instant::now() });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_avoided(&self) -> bool {
        self.failed().is_some_and(|failed| failed.elapsed() < AVOIDED_FOR)
    }

    fn is_back(&self) {
        if self.failed().take().is_some() {
            tracing::info!("the directory at {} answers again", self.url);
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connections({} servers)", self.servers.len())
    }
}
