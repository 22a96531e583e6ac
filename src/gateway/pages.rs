//! Pages: what the gateway itself says when it turns a request down.
//!
//! Comes in: a refusal and what the client can read. Goes out: a page for people, JSON for programs. Never a stack, a
//! file or an address of ours.

use std::borrow::Cow;
use std::time::Duration;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::refusal::Refusal;
use crate::access::Denied;
use crate::headers::{BadRequest, Inbound, is_navigation};
use crate::login::{CHALLENGE, Login, Reply, anew};
use crate::message::{Fields, ResponseHead};
use crate::session::record::EndReason;

/// What to answer a refused request with. `asked` is missing where the request could not even be read.
pub fn refusal(
    refusal: &Refusal,
    asked: Option<&Asked>,
    request_id: &str,
    login: &Login,
) -> (ResponseHead, Bytes) {
    let (status, reason) = refusal.status_and_reason();
    if let Some(to_login) = asked.and_then(Asked::to_login) {
        return to_login;
    }
    let Reply { mut head, body } = match asked {
        Some(Asked { reader: Reader::Person(languages), .. }) => {
            if let Refusal::Circle(obstacle, attribute) = refusal {
                let page = login.circle_page((*obstacle, attribute), languages.as_deref(), status);
                return (page.head, page.body);
            }
            login.sorry(status, languages.as_deref(), request_id)
        }
        _ => {
            let (head, body) = for_program(status, reason, asked, request_id);
            Reply { head, body }
        }
    };
    if let Some(wait) = refusal.retry_after() {
        head.fields.append("Retry-After", wait.as_secs().to_string());
    }
    if status == StatusCode::UNAUTHORIZED && !head.fields.contains("www-authenticate") {
        head.fields.append("WWW-Authenticate", CHALLENGE);
    }
    if matches!(refusal, Refusal::Head(BadRequest::Method)) {
        head.fields.append("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    (head, body)
}

/// Who reads the answer.
#[derive(Debug)]
enum Reader {
    /// Somebody who waits for a page in a browser, with the `Accept-Language` of it.
    Person(Option<String>),
    /// A script or another client.
    Program,
}

/// What is kept of a request to answer its refusal.
#[derive(Debug)]
pub struct Asked {
    reader: Reader,
    safe: bool,
    /// Where to sign in, once it is known that somebody must.
    entrance: Option<String>,
    /// Why the session that was shown is no more.
    ended: Option<EndReason>,
    /// How fresh a login must be, where somebody is logged in already.
    within: Option<Duration>,
    /// The cookie of a browser with a request that waits for its login.
    cookie: Option<String>,
    /// How a program can say who it is, besides a session.
    challenges: Arc<[String]>,
}

impl Asked {
    /// Keeps it.
    pub fn of(method: &Method, fields: &Fields) -> Self {
        let safe = matches!(*method, Method::GET | Method::HEAD);
        let reader = match is_navigation(fields) {
            true => Reader::Person(fields.text("accept-language").map(str::to_owned)),
            false => Reader::Program,
        };
        Self {
            reader,
            safe,
            entrance: None,
            ended: None,
            within: None,
            cookie: None,
            challenges: Arc::default(),
        }
    }

    /// Somebody must sign in, and then comes back to the page asked for, unless asking again would do something.
    pub fn needs_login(&mut self, inbound: &Inbound, login: &Login, ended: Option<EndReason>) {
        self.challenges = login.vouchers().challenges().clone();
        self.ended = ended;
        if !login.has_entrance() {
            return;
        }
        let (path, host) = (inbound.path.as_str(), Some(inbound.host.name()));
        let entrance = match (&inbound.query, self.safe) {
            (_, false) => login.entrance_at("/", host),
            (Some(query), true) => login.entrance_at(&format!("{path}?{query}"), host),
            (None, true) => login.entrance_at(path, host),
        };
        self.entrance = Some(entrance);
    }

    /// What the client said of itself is wrong: what would have been right.
    pub fn rejected(&mut self, challenge: String) {
        self.challenges = Arc::new([challenge]);
    }

    /// They may not pass: what would help.
    pub fn denied(&mut self, denied: Denied, inbound: &Inbound, login: &Login, ended: Option<EndReason>) {
        match denied {
            Denied::LoginNeeded => self.needs_login(inbound, login, ended),
            Denied::LoginTooOld(within) => {
                self.needs_login(inbound, login, ended);
                self.needs_fresh_login(within);
            }
            Denied::NotAllowed => {}
        }
    }

    /// They are signed in, and must sign in again: the login page says why.
    fn needs_fresh_login(&mut self, within: Duration) {
        self.within = Some(within);
        self.entrance = self.entrance.take().map(|entrance| anew(&entrance));
    }

    /// The languages of somebody who waits for a page.
    pub fn languages(&self) -> Option<&str> {
        match &self.reader {
            Reader::Person(languages) => languages.as_deref(),
            Reader::Program => None,
        }
    }

    /// The request waits for its login, whose page is here now.
    pub fn waits(&mut self, entrance: String, cookie: Option<String>) {
        let entrance = if self.within.is_some() { anew(&entrance) } else { entrance };
        (self.entrance, self.cookie) = (Some(entrance), cookie);
    }

    /// To the login page: 302 for GET and HEAD, 303 for what must not be repeated there (RFC 9110, section 15.4.4).
    fn to_login(&self) -> Option<(ResponseHead, Bytes)> {
        let entrance = self.entrance.as_ref().filter(|_| matches!(self.reader, Reader::Person(_)))?;
        let status = if self.safe { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
        let mut head = ResponseHead::new(status).with("Location", entrance).with("Cache-Control", "no-store");
        self.cookie.iter().for_each(|cookie| head.fields.append("Set-Cookie", cookie));
        Some((head, Bytes::new()))
    }
}

/// What a program is told: which status, for which reason, and of its session.
pub(super) fn for_program(
    status: StatusCode,
    reason: &str,
    asked: Option<&Asked>,
    request_id: &str,
) -> (ResponseHead, Bytes) {
    let ended = asked.and_then(|asked| asked.ended).map(EndReason::as_str);
    let mut body =
        serde_json::json!({ "status": status.as_u16(), "error": reason, "request_id": request_id });
    if let Some(ended) = ended {
        body["session_ended"] = ended.into();
    }
    if let Some(entrance) = asked.and_then(|asked| asked.entrance.as_deref()) {
        body["login"] = entrance.into();
    }
    if let Some(within) = asked.and_then(|asked| asked.within) {
        body["max_age"] = within.as_secs().into();
    }
    let mut head = ResponseHead::new(status)
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        .with("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Opener-Policy", "same-origin");
    let challenges = asked.map(|asked| &*asked.challenges).unwrap_or_default();
    if status == StatusCode::UNAUTHORIZED {
        head.fields.append("WWW-Authenticate", challenge(asked).as_ref());
    }
    let cookie = asked.and_then(|asked| asked.cookie.as_deref());
    cookie.iter().for_each(|cookie| head.fields.append("Set-Cookie", cookie));
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        challenges.iter().for_each(|challenge| head.fields.append("WWW-Authenticate", challenge));
    }
    (head, body.to_string().into())
}

/// What a 401 asks for; where a login is too old, how fresh another must be (RFC 9470, section 3).
fn challenge(asked: Option<&Asked>) -> Cow<'static, str> {
    let Some(within) = asked.and_then(|asked| asked.within) else { return CHALLENGE.into() };
    let seconds = within.as_secs();
    format!("{CHALLENGE}, error=\"insufficient_user_authentication\", max_age=\"{seconds}\"").into()
}
