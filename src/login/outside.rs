//! Outside: what login methods ask of servers elsewhere.
//!
//! Comes in: an address that was checked, and what to say there. Goes out: the JSON that came back, or why there is none.
//! Never follows a redirect, never waits without end, never reads more than a megabyte, and never shows what was sent or
//! received in an error.

use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

/// To find the server.
const CONNECT: Duration = Duration::from_secs(5);
/// For the whole answer.
const WHOLE: Duration = Duration::from_secs(10);
/// Bytes of the longest answer.
const LONGEST: usize = 1 << 20;

/// Speaks with servers elsewhere.
#[derive(Clone, Debug)]
pub struct Outside(Client);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// Nobody could be reached, or the answer did not come in time.
    #[error("{0}")]
    Away(String),
    /// The server said no; with the `error` of its answer, where that is one of OAuth (RFC 6749, section 5.2).
    #[error("the answer was {status}{}", error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default())]
    Refused {
        /// Its status.
        status: StatusCode,
        /// `invalid_grant`, say.
        error: Option<String>,
    },
    /// The answer is not what was expected.
    #[error("the answer is not to be understood: {0}")]
    Unreadable(String),
    /// A certificate that cannot be used, say.
    #[error("cannot speak TLS: {0}")]
    Tls(String),
}

impl OutsideError {
    /// Whether the same may work a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused { status, .. } => status.is_server_error() || matches!(status.as_u16(), 408 | 429),
            Self::Unreadable(_) | Self::Tls(_) => false,
        }
    }
}

/// What a client shows to be itself (RFC 6749, section 2.3.1).
#[derive(Clone, Debug)]
pub enum ClientSecret {
    /// In `Authorization`.
    Basic(SecretString),
    /// In the form.
    Post(SecretString),
}

impl Outside {
    /// Trusts the system's certificates, and these (DER) besides.
    pub fn new(authorities: &[Vec<u8>]) -> Result<Self, OutsideError> {
        let tls = |error: reqwest::Error| OutsideError::Tls(told(&error));
        let more = authorities.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
        let client = Client::builder()
            .user_agent("cloakroom")
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .pool_max_idle_per_host(2)
            .no_proxy()
            .tls_certs_merge(more.map_err(tls)?);
        Ok(Self(client.build().map_err(tls)?))
    }

    /// What is there.
    pub async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, OutsideError> {
        answer(self.0.get(url.clone()).header("Accept", "application/json")).await
    }

    /// What is there for the holder of an access token (RFC 6750).
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        url: &Url,
        token: &SecretString,
    ) -> Result<T, OutsideError> {
        let request = self.0.get(url.clone()).header("Accept", "application/json");
        answer(request.bearer_auth(token.expose_secret())).await
    }

    /// What comes back for a form, sent by the client of this id.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        (id, secret): (&str, Option<&ClientSecret>),
    ) -> Result<T, OutsideError> {
        let request = self.0.post(url.clone()).header("Accept", "application/json");
        let mut form = form.to_vec();
        let request = match secret {
            Some(ClientSecret::Basic(secret)) => {
                request.basic_auth(form_encoded(id), Some(form_encoded(secret.expose_secret())))
            }
            Some(ClientSecret::Post(secret)) => {
                form.extend([("client_id", id), ("client_secret", secret.expose_secret())]);
                request
            }
            None => {
                form.push(("client_id", id));
                request
            }
        };
        answer(request.form(&form)).await
    }
}

/// Whether secrets may travel there: by https, or within this machine.
pub fn is_safe(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" && url.has_host() || url.scheme() == "http" && here
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, OutsideError> {
    let mut response = request.send().await.map_err(|error| away(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| away(&error))? {
        if body.len() + piece.len() > LONGEST {
            return Err(OutsideError::Unreadable("it is longer than a megabyte".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    if !status.is_success() {
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let error = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
        let plain = |error: &&str| error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_graphic());
        return Err(OutsideError::Refused { status, error: error.filter(plain).map(str::to_owned) });
    }
    // What serde says may quote the answer: only where it stopped is told.
    serde_json::from_slice(&body).map_err(|error| {
        let what = if error.is_data() { "something is missing or of another kind" } else { "it is no JSON" };
        OutsideError::Unreadable(format!("{what}, at byte {} of line {}", error.column(), error.line()))
    })
}

fn away(error: &reqwest::Error) -> OutsideError {
    OutsideError::Away(if error.is_timeout() { "no answer in time".to_owned() } else { told(error) })
}

/// The innermost cause, which names neither address nor content.
fn told(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
}

/// RFC 6749, section 2.3.1: id and secret are encoded as in a form before they become a user and a password.
fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives this answer once, and tells what it was asked.
    fn server(answer: String) -> (Url, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("bound"));
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).expect("a request");
            stream.write_all(answer.as_bytes()).expect("it listens");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (Url::parse(&url).expect("valid"), served)
    }

    fn response(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_client_shows_its_secret_encoded() {
        let (url, served) = server(response("200 OK", "{\"a\":1}"));
        let secret = ClientSecret::Basic(SecretString::from("s:ü"));
        let outside = Outside::new(&[]).expect("TLS");
        let value: Value = outside.post(&url, &[("code", "x y")], ("id", Some(&secret))).await.expect("JSON");
        assert_eq!(value["a"], 1);
        let asked = served.join().expect("no panic").to_ascii_lowercase();
        // "id:s%3A%C3%BC"
        assert!(asked.contains("authorization: basic awq6cyuzqsvdmyvcqw=="), "{asked}");
    }

    #[tokio::test]
    async fn what_went_wrong_is_told_without_what_was_said() {
        let outside = Outside::new(&[]).expect("TLS");
        let cases = [
            (
                response("400 Bad Request", "{\"error\":\"invalid_grant\"}"),
                "the answer was 400 Bad Request (invalid_grant)",
                false,
            ),
            (response("503 Service Unavailable", "secret"), "the answer was 503 Service Unavailable", true),
            (response("302 Found", ""), "the answer was 302 Found", false),
            (
                response("200 OK", "secret"),
                "the answer is not to be understood: it is no JSON, at byte 1 of line 1",
                false,
            ),
        ];
        for (answer, told, passing) in cases {
            let (url, served) = server(answer);
            let error = outside.get::<Value>(&url).await.expect_err("refused");
            assert_eq!((error.to_string().as_str(), error.is_passing()), (told, passing));
            served.join().expect("no panic");
        }
        let nobody = Url::parse("http://127.0.0.1:1/secret").expect("valid");
        let error = outside.get::<Value>(&nobody).await.expect_err("nobody is there");
        assert!(error.is_passing() && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn secrets_travel_by_https_or_within_this_machine() {
        let safe = |url| is_safe(&Url::parse(url).expect("a URL"));
        assert!(safe("https://id.example.com/x") && safe("http://127.0.0.1:9/") && safe("http://[::1]/"));
        assert!(safe("http://localhost:8080/") && safe("http://id.localhost/"));
        assert!(!safe("http://id.example.com/") && !safe("http://localhost.example.com/"));
        assert!(!safe("ftp://localhost/") && !safe("data:text/plain,x") && !safe("unix:/x"));
    }
}
