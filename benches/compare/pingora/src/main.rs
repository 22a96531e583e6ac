//! A proxy on pingora that does what the comparison asks for and nothing else.
//!
//! In: a YAML file of pingora's own (`-c FILE`: threads, pools), and in the environment the addresses LISTEN,
//! LISTEN_TLS, UPSTREAM, the files CERT and KEY, and for the variant with sessions SESSIONS: a line `cookie user` each.
//! With sessions a request needs a known cookie, and the application is told the user; a forged header is replaced.

use std::env;
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};

type Sessions = Cache<String, Arc<str>, ahash::RandomState>;

struct Compared {
    upstream: String,
    sessions: Option<Sessions>,
}

/// What a request carries from the look-up to the upstream's header.
#[derive(Default)]
struct Visit {
    user: Option<Arc<str>>,
}

#[async_trait]
impl ProxyHttp for Compared {
    type CTX = Visit;

    fn new_ctx(&self) -> Visit {
        Visit::default()
    }

    async fn request_filter(&self, session: &mut Session, visit: &mut Visit) -> Result<bool> {
        let Some(sessions) = &self.sessions else { return Ok(false) };
        visit.user = cookie(session.req_header()).and_then(|id| sessions.get(id));
        if visit.user.is_some() {
            return Ok(false);
        }
        let mut refusal = ResponseHeader::build(401, None)?;
        refusal.insert_header("Content-Length", "0")?;
        session.write_response_header(Box::new(refusal), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _session: &mut Session, _visit: &mut Visit) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream.as_str(), false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        upstream: &mut RequestHeader,
        visit: &mut Visit,
    ) -> Result<()> {
        if let Some(user) = &visit.user {
            upstream.insert_header("X-Auth-User", &**user)?;
        }
        Ok(())
    }
}

/// The value of the session's cookie.
fn cookie(head: &RequestHeader) -> Option<&str> {
    let all = head.headers.get("cookie")?.to_str().ok()?;
    all.split("; ").find_map(|pair| pair.strip_prefix("sid="))
}

fn read_sessions(path: &str) -> Sessions {
    let text = fs::read_to_string(path).expect("the file of sessions can be read");
    let sessions = Cache::builder().max_capacity(4_000_000).build_with_hasher(ahash::RandomState::new());
    for line in text.lines() {
        let (cookie, user) = line.split_once(' ').expect("a line is a cookie and a user");
        sessions.insert(cookie.to_owned(), Arc::from(user));
    }
    sessions
}

fn main() {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let mut server = Server::new(Some(Opt::parse_args())).expect("the configuration is right");
    server.bootstrap();
    let compared = Compared {
        upstream: setting("UPSTREAM"),
        sessions: env::var("SESSIONS").ok().map(|path| read_sessions(&path)),
    };
    let mut service = http_proxy_service(&server.configuration, compared);
    service.add_tcp(&setting("LISTEN"));
    let mut tls =
        TlsSettings::intermediate(&setting("CERT"), &setting("KEY")).expect("the certificate can be read");
    tls.enable_h2();
    service.add_tls_with_settings(&setting("LISTEN_TLS"), None, tls);
    server.add_service(service);
    server.run_forever();
}
