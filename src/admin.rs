//! Admin: the listener for operators.
use std::net::SocketAddr;

/// `admin:`
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen (default 127.0.0.1:9901).
    pub address: SocketAddr,
}
