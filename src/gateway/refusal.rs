//! Refusal: a request turned down. One table says with which status, for which reason, and how loudly.

use std::time::Duration;

use http::StatusCode;

use crate::access::Denied;
use crate::headers::BadRequest;
use crate::login::circle::obstacle::Obstacle;
use crate::login::vouch::{Rejected, Why};
use crate::route::NoRoute;
use crate::session::store::StoreError;
use crate::upstream::UpstreamError;
use crate::wire::WireError;

/// Why a request is not passed on, or its response not passed back.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The head is not one we can act on.
    #[error(transparent)]
    Head(#[from] BadRequest),
    /// Nobody answers for this host, path and method.
    #[error(transparent)]
    Route(#[from] NoRoute),
    /// The visitor may not pass.
    #[error("the visitor may not pass: {0:?}")]
    Access(Denied),
    /// Somebody signs in again and again, and the cookie never comes back: why, and which attribute of it.
    #[error("a login goes round in circles: {0:?} ({1})")]
    Circle(Obstacle, String),
    /// What the request says of who is asking is wrong.
    #[error(transparent)]
    Credentials(Box<Rejected>),
    /// The client's bytes are not a request, or its body broke off.
    #[error(transparent)]
    Wire(WireError),
    /// The upstream did not answer.
    #[error("upstream {name}: {error}")]
    Upstream {
        /// Its name in the configuration.
        name: String,
        /// What happened.
        error: UpstreamError,
    },
    /// Sessions cannot be asked for, or not be written.
    #[error(transparent)]
    Store(StoreError),
    /// No response began within `timeouts.request`.
    #[error("the request took too long")]
    Deadline,
    /// More connections than allowed.
    #[error("too many connections")]
    Crowded,
    /// A defect of ours; the process and every other request go on.
    #[error("a defect stopped this request")]
    Defect,
}

/// How long clients are asked to wait before they come back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Refusal {
    /// The refusal for a client's error of this kind, whoever noticed it.
    pub fn of_upstream(name: &str, error: UpstreamError) -> Self {
        match error {
            UpstreamError::Client(error) => Refusal::Wire(error),
            error => Refusal::Upstream { name: name.to_owned(), error },
        }
    }

    /// The status and a fixed word for logs and clients.
    pub fn status_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Head(bad) => (bad.status(), bad.reason()),
            Refusal::Route(NoRoute::Unknown) => (StatusCode::NOT_FOUND, "no_route"),
            Refusal::Route(_) => (StatusCode::BAD_REQUEST, "encoded_slash"),
            Refusal::Access(Denied::LoginNeeded) => (StatusCode::UNAUTHORIZED, "login_needed"),
            Refusal::Access(Denied::LoginTooOld(_)) => (StatusCode::UNAUTHORIZED, "login_too_old"),
            Refusal::Access(Denied::NotAllowed) => (StatusCode::FORBIDDEN, "not_allowed"),
            Refusal::Circle(..) => (StatusCode::FORBIDDEN, "login_circle"),
            Refusal::Credentials(rejected) => of_credentials(&rejected.why),
            Refusal::Wire(error) => of_wire(error),
            Refusal::Upstream { error, .. } => of_upstream(error),
            Refusal::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "session_store_unavailable"),
            Refusal::Deadline => (StatusCode::GATEWAY_TIMEOUT, "request_timeout"),
            Refusal::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"),
            Refusal::Defect => (StatusCode::INTERNAL_SERVER_ERROR, "defect"),
        }
    }

    /// `Retry-After`, for what passes by itself.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Refusal::Credentials(rejected) = self
            && let Why::TooMany(wait) = rejected.why
        {
            return Some(Duration::from_secs(
                u64::try_from(wait.0.as_millis().div_ceil(1000)).unwrap_or(1).max(1),
            ));
        }
        (self.status_and_reason().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER)
    }

    /// Whether the client's connection cannot carry another request.
    pub fn ends_connection(&self) -> bool {
        let malformed = matches!(self, Refusal::Head(bad) if bad.status() == StatusCode::BAD_REQUEST);
        malformed || matches!(self, Refusal::Wire(_) | Refusal::Crowded | Refusal::Defect)
    }

    /// Writes the program log's line: whole there, opaque to the client.
    pub fn log(&self, request_id: &str) {
        match self {
            Refusal::Upstream { name, error } => {
                tracing::warn!(upstream = %name, request_id, "no answer: {error}");
            }
            Refusal::Circle(..) => tracing::warn!(request_id, "{self}"),
            Refusal::Store(error) => tracing::warn!(request_id, "{error}"),
            Refusal::Defect => tracing::error!(request_id, "{self}"),
            _ => tracing::debug!(request_id, "refused: {self}"),
        }
    }
}

fn of_credentials(why: &Why) -> (StatusCode, &'static str) {
    match why {
        Why::Malformed => (StatusCode::UNAUTHORIZED, "bad_authorization"),
        Why::Password => (StatusCode::UNAUTHORIZED, "wrong_password"),
        Why::Token(_) => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Why::Scope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
        Why::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
        Why::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "login_unavailable"),
    }
}

fn of_wire(error: &WireError) -> (StatusCode, &'static str) {
    match error {
        WireError::LineTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
        WireError::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
        WireError::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        WireError::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version"),
        WireError::Coding => (StatusCode::NOT_IMPLEMENTED, "transfer_coding"),
        WireError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "client_too_slow"),
        WireError::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
        WireError::Closed | WireError::Truncated | WireError::Io(_) => {
            (StatusCode::BAD_REQUEST, "client_closed")
        }
    }
}

fn of_upstream(error: &UpstreamError) -> (StatusCode, &'static str) {
    match error {
        UpstreamError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        UpstreamError::Closed(_) => (StatusCode::BAD_GATEWAY, "upstream_closed"),
        UpstreamError::Bad(_) => (StatusCode::BAD_GATEWAY, "upstream_bad_response"),
        UpstreamError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        UpstreamError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "upstream_busy"),
        UpstreamError::Client(error) => of_wire(error),
    }
}
