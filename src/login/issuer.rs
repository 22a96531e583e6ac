//! Issuer: who signs tokens, and with which keys just now.
//!
//! Comes in: an issuer's address, as configured. Goes out: what it says of itself (OpenID Connect Discovery 1.0, RFC 8414)
//! and its keys, asked for when first needed, kept, and asked for again when they are old or a token names an unknown one.
//! One question at a time, and not again right after one that failed. Never at another address than its own word for
//! itself: metadata of somebody else are refused.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::clock::Timestamp;
use crate::login::outside::{Outside, OutsideError, is_safe};
use crate::login::token::{Claims, KeySet, TokenError, Wanted, verify};

/// Metadata and keys are asked for anew after so long, while the old ones are in use.
const OLD: Duration = Duration::from_secs(3600);

/// An unknown key, or a failure: not asked again before.
const AGAIN: Duration = Duration::from_secs(10);

/// What an issuer says of itself; what is not said here does not matter to us.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// Its own word for itself.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Option<Url>,
    /// Where codes become tokens.
    pub token_endpoint: Option<Url>,
    /// Where more is told of a person.
    pub userinfo_endpoint: Option<Url>,
    /// Where its keys are.
    pub jwks_uri: Option<Url>,
    /// Where people sign out.
    pub end_session_endpoint: Option<Url>,
    /// Whether every answer names it (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is known of an issuer.
#[derive(Debug)]
pub struct Known {
    /// What it says of itself; none where only its keys are configured.
    pub metadata: Option<Metadata>,
    /// Its keys.
    pub keys: KeySet,
    since: Instant,
}

/// Why nothing is known of an issuer.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// It does not answer as it should.
    #[error("{issuer} cannot be asked for its {what}: {error}")]
    Outside {
        /// Which.
        issuer: String,
        /// `metadata` or `keys`.
        what: &'static str,
        /// Why not.
        error: OutsideError,
    },
    /// Its metadata are somebody else's.
    #[error("{wanted} calls itself {found}: `issuer` must be that, to the letter")]
    Another {
        /// As configured.
        wanted: String,
        /// As it says.
        found: String,
    },
    /// Something that is needed is not said, or is unsafe.
    #[error("the metadata of {issuer} have no usable `{what}`")]
    Missing {
        /// Which.
        issuer: String,
        /// What is needed.
        what: &'static str,
    },
    /// It was asked a moment ago, in vain.
    #[error("{0} did not answer a moment ago")]
    Lately(String),
}

/// Why a token does not prove anything.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// Something is wrong with it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// That cannot be found out now.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Its metadata say where.
    Discovery,
    /// Always there.
    At(Url),
    /// They are these, for good.
    Fixed(Arc<Value>),
}

/// One issuer.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    source: KeySource,
    outside: Outside,
    known: ArcSwapOption<Known>,
    /// When it was last asked in vain; held while it is being asked.
    failed: Mutex<Option<Instant>>,
}

impl Issuer {
    /// The issuer that calls itself `name`. Nothing is asked yet.
    pub fn new(name: &str, source: KeySource, outside: Outside) -> Self {
        let known = match &source {
            KeySource::Fixed(set) => {
                let keys = KeySet::of(set).unwrap_or_default();
                Some(Arc::new(Known { metadata: None, keys, since: Instant::now() }))
            }
            KeySource::Discovery | KeySource::At(_) => None,
        };
        let known = ArcSwapOption::new(known);
        Self { name: name.to_owned(), source, outside, known, failed: Mutex::default() }
    }

    /// Its own word for itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of it without asking.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// What there is to know. What is old is used while it cannot be had anew.
    pub async fn ask(&self) -> Result<Arc<Known>, IssuerError> {
        match self.known() {
            Some(known) if known.since.elapsed() < OLD || self.is_fixed() => Ok(known),
            Some(known) => Ok(self.ask_again(&known).await.unwrap_or(known)),
            None => self.ask_now(None).await,
        }
    }

    /// Verifies a token with the keys that are known; `None` when others must be asked for first.
    pub fn verify_now(
        &self,
        token: &str,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Option<Result<Claims, TokenError>> {
        let known = self.known()?;
        match verify(token, &known.keys, wanted, now) {
            Err(TokenError::UnknownKey) if !self.is_fixed() => None,
            verdict if known.since.elapsed() < OLD || self.is_fixed() => Some(verdict),
            _ => None,
        }
    }

    /// Verifies a token, if need be with keys that are asked for.
    pub async fn verify(&self, token: &str, wanted: &Wanted<'_>, now: Timestamp) -> Result<Claims, Unproven> {
        let known = self.ask().await?;
        match verify(token, &known.keys, wanted, now) {
            Err(TokenError::UnknownKey) if !self.is_fixed() => {
                let known = self.ask_again(&known).await.ok_or(TokenError::UnknownKey)?;
                Ok(verify(token, &known.keys, wanted, now)?)
            }
            verdict => Ok(verdict?),
        }
    }

    fn is_fixed(&self) -> bool {
        matches!(self.source, KeySource::Fixed(_))
    }

    /// Something newer than this, unless it was asked for a moment ago or cannot be had.
    async fn ask_again(&self, than: &Arc<Known>) -> Option<Arc<Known>> {
        match self.ask_now(Some(than)).await {
            Ok(known) => Some(known),
            Err(IssuerError::Lately(_)) => None,
            Err(error) => {
                tracing::warn!("{error}: what was known before stays in use");
                None
            }
        }
    }

    async fn ask_now(&self, newer_than: Option<&Arc<Known>>) -> Result<Arc<Known>, IssuerError> {
        let mut failed = self.failed.lock().await;
        // Somebody else may have asked while we waited.
        let known = self.known();
        if let Some(known) =
            known.as_ref().filter(|known| newer_than.is_none_or(|old| !Arc::ptr_eq(old, known)))
        {
            return Ok(Arc::clone(known));
        }
        let lately = |then: Instant| then.elapsed() < AGAIN;
        if failed.is_some_and(lately) || known.is_some_and(|known| lately(known.since)) {
            return Err(IssuerError::Lately(self.name.clone()));
        }
        let fetched = self.fetch().await;
        *failed = fetched.is_err().then(Instant::now);
        let known = Arc::new(fetched?);
        self.known.store(Some(known.clone()));
        Ok(known)
    }

    async fn fetch(&self) -> Result<Known, IssuerError> {
        let metadata = match &self.source {
            KeySource::Discovery => Some(self.metadata().await?),
            KeySource::At(_) | KeySource::Fixed(_) => None,
        };
        let keys = match &self.source {
            KeySource::At(url) => Some(url),
            _ => metadata.as_ref().and_then(|metadata| metadata.jwks_uri.as_ref()),
        };
        let keys = keys.filter(|url| is_safe(url)).ok_or_else(|| self.missing("jwks_uri"))?;
        let set: Value = self.outside.get(keys).await.map_err(|error| self.outside_error("keys", error))?;
        let keys = KeySet::of(&set).filter(|keys| !keys.is_empty()).ok_or_else(|| self.missing("keys"))?;
        Ok(Known { metadata, keys, since: Instant::now() })
    }

    async fn metadata(&self) -> Result<Metadata, IssuerError> {
        // OpenID Connect Discovery, section 4: it is appended to the issuer, whatever path that has.
        let url = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let url = Url::parse(&url).ok().filter(is_safe).ok_or_else(|| self.missing("issuer"))?;
        let metadata: Metadata =
            self.outside.get(&url).await.map_err(|error| self.outside_error("metadata", error))?;
        if metadata.issuer != self.name {
            return Err(IssuerError::Another { wanted: self.name.clone(), found: metadata.issuer });
        }
        let endpoints = [
            ("authorization_endpoint", &metadata.authorization_endpoint),
            ("token_endpoint", &metadata.token_endpoint),
            ("userinfo_endpoint", &metadata.userinfo_endpoint),
            ("end_session_endpoint", &metadata.end_session_endpoint),
        ];
        match endpoints.iter().find(|(_, url)| url.as_ref().is_some_and(|url| !is_safe(url))) {
            Some((what, _)) => Err(self.missing(what)),
            None => Ok(metadata),
        }
    }

    fn missing(&self, what: &'static str) -> IssuerError {
        IssuerError::Missing { issuer: self.name.clone(), what }
    }

    fn outside_error(&self, what: &'static str, error: OutsideError) -> IssuerError {
        IssuerError::Outside { issuer: self.name.clone(), what, error }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Mutex as StdMutex;

    use serde_json::json;

    use super::*;

    /// A server whose answers can be changed, and what it was asked.
    struct Server {
        address: String,
        answers: Arc<StdMutex<Vec<(&'static str, Value)>>>,
        asked: Arc<StdMutex<Vec<String>>>,
    }

    impl Server {
        fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = format!("http://{}", listener.local_addr().expect("bound"));
            let server = Self { address, answers: Arc::default(), asked: Arc::default() };
            let (answers, asked) = (server.answers.clone(), server.asked.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let (mut stream, mut head) = (stream.expect("a client"), vec![0; 4096]);
                    let length = stream.read(&mut head).unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let answers = answers.lock().expect("no panic");
                    let body = answers.iter().find(|(known, _)| *known == path);
                    let status = if body.is_some() { "200 OK" } else { "503 Service Unavailable" };
                    let body = body.map_or(String::new(), |(_, body)| body.to_string());
                    asked.lock().expect("no panic").push(path);
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                }
            });
            server
        }

        fn answer(&self, path: &'static str, body: Value) {
            let mut answers = self.answers.lock().expect("no panic");
            answers.retain(|(known, _)| *known != path);
            answers.push((path, body));
        }

        fn asked(&self) -> usize {
            self.asked.lock().expect("no panic").len()
        }

        fn issuer(&self) -> Issuer {
            Issuer::new(&self.address, KeySource::Discovery, Outside::new(&[]).expect("TLS"))
        }
    }

    const METADATA: &str = "/.well-known/openid-configuration";

    fn keys(id: &str) -> Value {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "alg": "EdDSA", "use": "sig" }] })
    }

    /// What an issuer would have learned so long ago.
    fn aged(known: &Known, seconds: u64) -> Arc<Known> {
        let since =
            Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine runs longer");
        let keys = KeySet::of(&keys("k1")).expect("a set");
        Arc::new(Known { metadata: known.metadata.clone(), keys, since })
    }

    #[tokio::test]
    async fn an_issuer_is_asked_when_needed_and_not_again_at_once() {
        let server = Server::start();
        let issuer = server.issuer();
        assert!(matches!(issuer.ask().await, Err(IssuerError::Outside { what: "metadata", .. })));
        assert!(matches!(issuer.ask().await, Err(IssuerError::Lately(_))), "it failed a moment ago");
        *issuer.failed.lock().await = None;
        server.answer(
            METADATA,
            json!({ "issuer": server.address, "jwks_uri": format!("{}/keys", server.address) }),
        );
        server.answer("/keys", keys("k1"));
        let known = issuer.ask().await.expect("there");
        assert_eq!((format!("{:?}", known.keys), server.asked()), ("KeySet(k1)".to_owned(), 3));
        issuer.ask().await.expect("there");
        assert!(issuer.ask_again(&known).await.is_none(), "an unknown key does not make it ask at once");
        assert_eq!(server.asked(), 3);

        server.answer("/keys", keys("k2"));
        issuer.known.store(Some(aged(&known, 11)));
        let now = issuer.known().expect("there");
        let newer = issuer.ask_again(&now).await.expect("asked");
        assert_eq!(format!("{:?}", newer.keys), "KeySet(k2)");
    }

    #[tokio::test]
    async fn what_is_old_stays_in_use_while_the_issuer_is_away() {
        let server = Server::start();
        let issuer = server.issuer();
        server.answer(
            METADATA,
            json!({ "issuer": server.address, "jwks_uri": format!("{}/keys", server.address) }),
        );
        server.answer("/keys", keys("k1"));
        let known = issuer.ask().await.expect("there");
        server.answers.lock().expect("no panic").clear();
        issuer.known.store(Some(aged(&known, 4000)));
        assert_eq!(format!("{:?}", issuer.ask().await.expect("the old ones").keys), "KeySet(k1)");
    }

    #[tokio::test]
    async fn metadata_of_somebody_else_or_with_unsafe_places_are_refused() {
        let server = Server::start();
        let cases = [
            (
                json!({ "issuer": "https://evil.example", "jwks_uri": "https://evil.example/" }),
                "calls itself",
            ),
            (json!({ "issuer": format!("{}/", server.address), "jwks_uri": server.address }), "calls itself"),
            (json!({ "issuer": server.address }), "no usable `jwks_uri`"),
            (json!({ "issuer": server.address, "jwks_uri": "http://id.example/" }), "no usable `jwks_uri`"),
            (
                json!({ "issuer": server.address, "jwks_uri": server.address, "token_endpoint": "http://id.example/" }),
                "no usable `token_endpoint`",
            ),
        ];
        for (metadata, why) in cases {
            server.answer(METADATA, metadata);
            let error = server.issuer().ask().await.expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
        let remote = Issuer::new("http://id.example", KeySource::Discovery, Outside::new(&[]).expect("TLS"));
        assert!(matches!(remote.ask().await, Err(IssuerError::Missing { what: "issuer", .. })));
    }
}
