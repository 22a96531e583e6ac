//! A whole gateway in this process, from YAML, on a free port, with a clock that is moved by hand.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use cloakroom::assembly::Running;
use cloakroom::clock::{Clock, Timestamp};
use cloakroom::config::{self, Config, Source};

use super::EchoUpstream;

/// The password of every user the tests know.
pub const PASSWORD: &str = "correct horse";

/// A running gateway; it stops when dropped.
///
/// What the YAML leaves out is added: one listener on a free port of the loopback, one worker, neither admin nor access
/// log, and the users `alice` (staff) and `bob`. `$UPSTREAM` stands for the upstream's address, `$HASH` for the hash of
/// [`PASSWORD`].
pub struct TestGateway {
    running: Option<Running>,
    clock: Clock,
    address: SocketAddr,
    upstream: Option<SocketAddr>,
}

impl TestGateway {
    /// A gateway whose YAML says itself where its upstreams are.
    #[track_caller]
    pub fn start(yaml: &str) -> Self {
        Self::with(None, yaml)
    }

    /// A gateway in front of this upstream; everything goes there unless the YAML says otherwise.
    #[track_caller]
    pub fn before(upstream: &EchoUpstream, yaml: &str) -> Self {
        Self::with(Some(upstream.address()), yaml)
    }

    /// A gateway in front of whatever is, or is not, at this address.
    #[track_caller]
    pub fn with(upstream: Option<SocketAddr>, yaml: &str) -> Self {
        let clock = Clock::manual(Timestamp::from_unix_millis(1_800_000_000_000));
        let running = Running::start(configuration(upstream, yaml), clock.clone()).expect("it starts");
        let address = *running.addresses().first().expect("it listens on TCP");
        Self { running: Some(running), clock, address, upstream }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where all its listeners listen, in the order of the YAML.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.running().addresses().to_vec()
    }

    /// The gateway itself.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is dropped")
    }

    /// How many sessions there are: those that somebody is logged in to, then anonymous ones.
    pub fn sessions(&self) -> (u64, u64) {
        self.running().keeper().memory().counts()
    }

    /// Moves its clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets its clock back.
    pub fn set_back(&self, by: Duration) {
        if let Clock::Manual(millis) = &self.clock {
            let by = u64::try_from(by.as_millis()).expect("not that far");
            millis.fetch_sub(by, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// Goes on with another configuration.
    #[track_caller]
    pub fn reload(&mut self, yaml: &str) {
        let config = configuration(self.upstream, yaml);
        self.running.as_mut().expect("it runs until it is dropped").reload(config).expect("it goes on");
    }

    /// Stops it, and waits until it has stopped.
    pub fn stop(mut self) {
        self.running.take().expect("it runs until it is dropped").stop();
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

#[track_caller]
fn configuration(upstream: Option<SocketAddr>, yaml: &str) -> Config {
    let text = completed(upstream, yaml);
    let source = Source::Text { name: "test.yaml".to_owned(), text: text.clone() };
    config::load(&source).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// The YAML with what it leaves out.
fn completed(upstream: Option<SocketAddr>, yaml: &str) -> String {
    let mut text = dedented(yaml);
    let has = |text: &str, key: &str| text.lines().any(|line| line.starts_with(key));
    let defaults = [
        ("listen:", "listen: 127.0.0.1:0"),
        ("workers:", "workers: 1"),
        ("admin:", "admin: off"),
        ("access_log:", "access_log: off"),
        ("timeouts:", "timeouts: { drain: 1s }"),
        ("login:", USERS),
    ];
    for (key, default) in defaults {
        if !has(&text, key) {
            text = format!("{text}\n{default}");
        }
    }
    if upstream.is_some() && !has(&text, "upstream") {
        text.push_str("\nupstream: http://$UPSTREAM");
    }
    let address = upstream.map(|address| address.to_string()).unwrap_or_default();
    text.replace("$UPSTREAM", &address).replace("$HASH", hash()) + "\n"
}

const USERS: &str = "login:
  local:
    users:
      alice: { password: '$HASH', email: alice@example.com, name: Alice Example, groups: [staff, finance] }
      bob: { password: '$HASH' }";

/// YAML as it stands in a test, moved to the left margin.
fn dedented(yaml: &str) -> String {
    let lines = || yaml.lines().filter(|line| !line.trim().is_empty());
    let margin = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines().map(|line| &line[margin..]).collect::<Vec<_>>().join("\n")
}

/// A hash of [`PASSWORD`] that costs next to nothing to check.
fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let weak = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("these are allowed"));
        let hash = weak.hash_password_with_salt(PASSWORD.as_bytes(), b"saltsaltsalt");
        hash.expect("it can be hashed").to_string()
    })
}
