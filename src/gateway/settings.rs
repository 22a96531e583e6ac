//! Settings of the pipeline: limits and timeouts.

use std::time::Duration;

/// `limits:`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a header block, request line included (default 32 KiB): more is 431.
    pub header_bytes: usize,
    /// Header fields (default 100): more is 431.
    pub headers: usize,
    /// Bytes of a request line (default 8 KiB): more is 414.
    pub request_line: usize,
    /// Bytes of a request body (default 100 MiB, 0: none): more is 413.
    pub body: u64,
    /// Client connections at the same time, over all listeners (default 10,000): more get 503.
    pub connections: usize,
    /// Client connections at the same time from one address (default 0: no limit).
    pub connections_per_ip: usize,
}

/// `timeouts:`; zero means none.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first byte of a head to its last, and for a TLS handshake (default 10 s).
    pub header: Duration,
    /// Without a request on a client's connection (default 75 s).
    pub idle: Duration,
    /// Between two pieces of a body, either way (default 30 s).
    pub body: Duration,
    /// For a whole request (default none).
    pub request: Duration,
    /// For requests under way when told to stop (default 30 s).
    pub drain: Duration,
}
