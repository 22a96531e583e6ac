//! What the tests stand on: a gateway from YAML, applications behind it, clients before it.
//!
//! Nothing in here sleeps. Whoever waits, waits for a condition, and gives up after [`PATIENCE`].

// Each module of tests uses a part of this.
#![expect(dead_code, reason = "not every test needs every helper")]

use std::time::Duration;

pub use browser::Browser;
pub use gateway::{PASSWORD, TestGateway};
pub use http2::{Http2, RawHttp2};
pub use message::{Message, Reader};
pub use provider::Provider;
pub use raw::Raw;
pub use upstream::{Conversation, EchoUpstream};

mod browser;
mod gateway;
pub mod http2;
pub mod log;
mod message;
pub mod provider;
mod raw;
mod upstream;

/// How long anybody waits for what must come. Never a measure of speed: machines may be slow.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Public routes to one upstream with these settings.
pub fn public_upstream(settings: &str) -> String {
    format!(
        "routes: [{{ path: /, access: public }}]\nupstream: {{ servers: ['http://$UPSTREAM'], {settings} }}"
    )
}

/// The gateway answers so, with a page of its own.
#[track_caller]
pub fn assert_refused(response: &Message, status: u16, reason: &str) {
    assert_eq!(response.status, status, "{}", response.head);
    assert_eq!(response.json()["error"], reason);
    assert!(!response.text().contains("127.0.0.1"), "no addresses: {}", response.text());
}
