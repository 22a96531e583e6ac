//! Message: the head of a request or response, as it stands on the wire.

mod fields;

pub use fields::Fields;

use http::{Method, StatusCode, Version};

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, in its own spelling.
    pub method: Method,
    /// The request target as received: `/path?query`, `http://host/path`, or `*`.
    pub target: String,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: StatusCode) -> Self {
        Self { status, fields: Fields::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.append(name, value);
        self
    }
}
