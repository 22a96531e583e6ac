//! Origin: where a session was made, in so few bytes that every session can hold it.
//!
//! Comes in: a client's address and what its browser says of itself. Goes out: the same, as people read it on the page of
//! their sessions. Never keeps the text of a browser: that would be a fingerprint.

use std::net::IpAddr;

/// Where a session was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; none over a Unix socket.
    pub address: Option<IpAddr>,
    /// Which browser, as a number of our own; 0 is unknown.
    pub browser: u8,
    /// On which system, likewise.
    pub system: u8,
}
