//! Pages: what the gateway itself says when it turns a request down.
//!
//! Comes in: a refusal and what the client can read. Goes out: a page for people, JSON for programs. Never a stack, a
//! file or an address of ours.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::refusal::Refusal;
use crate::headers::{BadRequest, Inbound};
use crate::login::{CHALLENGE, Login};
use crate::message::ResponseHead;
use crate::session::record::EndReason;

/// What to answer a refused request with. `asked` is missing where the request could not even be read.
pub fn refusal(refusal: &Refusal, asked: Option<&Asked>, request_id: &str) -> (ResponseHead, Bytes) {
    let (status, reason) = refusal.status_and_reason();
    if let Some(to_login) = asked.and_then(Asked::to_login) {
        return to_login;
    }
    let (mut head, body) = match asked {
        Some(asked) if asked.navigation => (ResponseHead::new(status), html(status, request_id)),
        _ => (ResponseHead::new(status), json(status, reason, asked, request_id)),
    };
    let media_type = if body.starts_with(b"{") { "application/json" } else { "text/html; charset=utf-8" };
    head.fields.append("Content-Type", media_type);
    head.fields.append("Cache-Control", "no-store");
    head.fields.append("X-Content-Type-Options", "nosniff");
    head.fields.append("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    head.fields.append("Referrer-Policy", "no-referrer");
    head.fields.append("Cross-Origin-Opener-Policy", "same-origin");
    if let Some(wait) = refusal.retry_after() {
        head.fields.append("Retry-After", wait.as_secs().to_string());
    }
    if status == StatusCode::UNAUTHORIZED {
        head.fields.append("WWW-Authenticate", CHALLENGE);
    }
    if matches!(refusal, Refusal::Head(BadRequest::Method)) {
        head.fields.append("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    (head, body)
}

/// What is kept of a request to answer its refusal.
#[derive(Debug)]
pub struct Asked {
    navigation: bool,
    safe: bool,
    /// Where to sign in, once it is known that somebody must.
    entrance: Option<String>,
    /// Why the session that was shown is no more.
    ended: Option<EndReason>,
}

impl Asked {
    /// Keeps it.
    pub fn of(inbound: &Inbound) -> Self {
        let safe = matches!(inbound.method, Method::GET | Method::HEAD);
        Self { navigation: inbound.is_navigation(), safe, entrance: None, ended: None }
    }

    /// Somebody must sign in, and then comes back to the page asked for, unless asking again would do something.
    pub fn needs_login(&mut self, inbound: &Inbound, login: &Login, ended: Option<EndReason>) {
        let path = inbound.path.as_str();
        let entrance = match (&inbound.query, self.safe) {
            (_, false) => login.entrance("/"),
            (Some(query), true) => login.entrance(&format!("{path}?{query}")),
            (None, true) => login.entrance(path),
        };
        (self.entrance, self.ended) = (Some(entrance), ended);
    }

    /// To the login page: 302 for GET and HEAD, 303 for what must not be repeated there (RFC 9110, section 15.4.4).
    fn to_login(&self) -> Option<(ResponseHead, Bytes)> {
        let entrance = self.entrance.as_ref().filter(|_| self.navigation)?;
        let status = if self.safe { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
        let head = ResponseHead::new(status).with("Location", entrance).with("Cache-Control", "no-store");
        Some((head, Bytes::new()))
    }
}

fn json(status: StatusCode, reason: &str, asked: Option<&Asked>, request_id: &str) -> Bytes {
    let ended = asked.and_then(|asked| asked.ended).map(EndReason::as_str);
    let mut body = serde_json::json!({ "status": status.as_u16(), "error": reason });
    if !request_id.is_empty() {
        body["request_id"] = request_id.into();
    }
    if let Some(ended) = ended {
        body["session_ended"] = ended.into();
    }
    if let Some(entrance) = asked.and_then(|asked| asked.entrance.as_deref()) {
        body["login"] = entrance.into();
    }
    body.to_string().into()
}

fn html(status: StatusCode, request_id: &str) -> Bytes {
    let title = status.canonical_reason().unwrap_or("Error");
    let advice = match status {
        StatusCode::FORBIDDEN => "You are signed in, but this page is not open to you.",
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            "The application does not answer at the moment. Please try again soon."
        }
        StatusCode::GATEWAY_TIMEOUT => "The application took too long to answer. Please try again soon.",
        _ => "This request could not be carried out.",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{code} {title}</title>\n<main><h1>{title}</h1>\n<p>{advice}</p>\n\
         <p><small>{code} · request {request_id}</small></p></main></html>\n",
        code = status.as_u16()
    )
    .into()
}
