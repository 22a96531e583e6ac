//! Interrupted: a request that changes something, and came without the login it needs.
//!
//! Comes in: such a request, of which nothing but the head has been read. Goes out: word for the login page that it waits,
//! with its body read up to a limit; and later, when somebody has logged in and said so, the same request on its way again.
//! Never reads a body for which there is no room, and never keeps what another site had the browser send.

use std::time::Duration;

use http::Method;

use super::Gateway;
use super::refusal::Refusal;
use super::trail::Trail;
use crate::access::Denied;
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::{Inbound, NormalPath, is_navigation};
use crate::login::circle::obstacle::{Obstacle, Seen};
use crate::login::guard::sent_from_here;
use crate::login::replay::browser::{self, Mark};
use crate::login::replay::{Kept, changes_something, is_whole_without_fields};
use crate::message::Fields;
use crate::peer::Scheme;
use crate::session::Visitor;
use crate::wire::framing::Framing;

/// The page about such a request, below the reserved prefix.
pub(super) const PAGE: &str = "/replay";

/// A body must have come whole by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest form of ours that says a request is to be sent.
const LARGEST_WORD: u64 = 1024;

/// Longest `Content-Type` that is kept.
const LONGEST_KIND: usize = 1024;

/// A request that might wait for a login.
#[derive(Debug)]
pub(super) struct Interrupted {
    inbound: Box<Inbound>,
    body: RequestBody,
    browser: Option<Mark>,
    user: Option<String>,
}

impl Gateway {
    /// The refusal of a request whose visitor may not pass; what may wait for a login goes along.
    pub(super) fn deny(
        &self,
        denied: Denied,
        (inbound, body, browser): (Box<Inbound>, RequestBody, Option<Mark>),
        visitor: &Visitor,
        (trail, now): (&mut Trail, Timestamp),
    ) -> Refusal {
        if let Some((obstacle, attribute)) = self.circle(denied, &inbound, visitor, now) {
            return trail.refused(&inbound, Refusal::Circle(obstacle, attribute));
        }
        let refusal = trail.refused(&inbound, Refusal::Access(denied));
        trail.denied(denied, &inbound, &self.settings.login, visitor);
        let may_wait =
            matches!(denied, Denied::LoginNeeded | Denied::LoginTooOld(_)) && self.may_wait(&inbound);
        // Who proves who they are with each request does so without a page.
        let may_wait = may_wait && visitor.guest().is_none();
        if may_wait {
            let user = visitor.identity().map(|identity| identity.user().to_owned());
            trail.interrupted = Some(Box::new(Interrupted { inbound, body, browser, user }));
        }
        refusal
    }

    /// What stands in the way of our cookie, where somebody has signed in again and again and it never came back.
    fn circle(
        &self,
        denied: Denied,
        inbound: &Inbound,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Option<(Obstacle, String)> {
        let needs_cookie = denied == Denied::LoginNeeded && !visitor.showed_cookie();
        if !needs_cookie || inbound.method != Method::GET || !is_navigation(&inbound.fields) {
            return None;
        }
        let circles = self.settings.login.circles();
        if !circles.sent_back(inbound.client.ip, &inbound.fields, now) {
            return None;
        }
        let cookie = &self.sessions().settings().cookie;
        let (host, path, fields) = (inbound.host.name(), inbound.path.as_str(), &inbound.fields);
        let seen = Seen { host, path, fields, secure: inbound.client.scheme == Scheme::Https };
        let obstacle = Obstacle::find(cookie, &seen);
        Some((obstacle, obstacle.attribute(cookie)))
    }

    /// Whether a request is worth keeping: a page of this very site sent it, and it means the same without what is not kept.
    fn may_wait(&self, inbound: &Inbound) -> bool {
        self.settings.login.keeps_requests()
            && changes_something(&inbound.method)
            && is_whole_without_fields(&inbound.fields)
            && (is_navigation(&inbound.fields) || is_by_script(&inbound.fields))
            && sent_from_here(&inbound.fields, &self.origins(inbound))
    }

    /// The browser of a request that might have to wait.
    pub(super) fn browser(&self, inbound: &Inbound) -> Option<Mark> {
        let may = changes_something(&inbound.method) && self.settings.login.keeps_requests();
        may.then(|| Mark::shown(&inbound.fields, self.is_secure(inbound))).flatten()
    }

    /// Reads the body of a request that may wait, and keeps it; the refusal then leads to the page about it.
    pub(super) async fn keep(&self, trail: &mut Trail, now: Timestamp) {
        let Some(interrupted) = trail.interrupted.take() else { return };
        let Interrupted { inbound, mut body, browser, user } = *interrupted;
        let (shelf, settings) = self.settings.login.shelf();
        let most = match body.framing() {
            Framing::Empty => 0,
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked | Framing::UntilClose => settings.body,
        };
        if most > settings.body {
            return;
        }
        let Some(room) = shelf.reserve(most, settings, now) else {
            tracing::warn!("a request cannot wait for its login: `login.replay_total` is used up");
            return;
        };
        let Ok(Ok(bytes)) = tokio::time::timeout(PATIENCE, body.gather(most)).await else { return };
        let (mark, cookie) = match browser {
            Some(mark) => (mark, None),
            None => {
                let (mark, cookie) = Mark::fresh(self.is_secure(&inbound));
                (mark, Some(cookie))
            }
        };
        let [authority] = self.origins(&inbound);
        let kept = Kept {
            method: inbound.method.clone(),
            target: target_of(&inbound),
            content_type: inbound
                .fields
                .get("content-type")
                .filter(|kind| kind.len() <= LONGEST_KIND)
                .map(<[u8]>::to_vec),
            page: page_of(&inbound, &authority),
            authority,
            body: bytes,
            user,
        };
        let name = shelf.keep(room, kept, mark, inbound.client.ip, now);
        if let Some(asked) = &mut trail.asked {
            let login = &self.settings.login;
            let entrance = login.entrance_at(&login.replay_page(&name), Some(inbound.host.name()));
            asked.waits(entrance, cookie);
        }
    }

    /// Whether a request may be the word that another one is to be sent: the form of our page goes to the address that the
    /// other one is for, so that the answer stands where it belongs.
    pub(super) fn may_be_word(&self, inbound: &Inbound, body: &RequestBody) -> bool {
        inbound.method == Method::POST
            && matches!(body.framing(), Framing::Length(length) if length <= LARGEST_WORD)
            && browser::is_shown(&inbound.fields, self.is_secure(inbound))
            && is_form(&inbound.fields)
    }

    /// What the browser's `Origin` may say.
    pub(super) fn origins(&self, inbound: &Inbound) -> [String; 1] {
        [match &self.settings.public_url {
            Some(public) => public.origin(),
            None => format!("{}://{}", inbound.client.scheme.as_str(), inbound.host.authority()),
        }]
    }

    /// Whether the browser speaks TLS, to us or to a proxy we trust.
    pub(super) fn is_secure(&self, inbound: &Inbound) -> bool {
        let public = self.settings.public_url.as_ref().map(|public| public.scheme);
        public.unwrap_or(inbound.client.scheme) == Scheme::Https
    }
}

/// The request that waited, in place of the word that it is to be sent: with that one's cookies and client, and as it
/// was otherwise.
pub(super) fn resumed(kept: Kept, mut word: Box<Inbound>) -> Result<(Box<Inbound>, RequestBody), Refusal> {
    let (path, query) = match kept.target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (kept.target, None),
    };
    let path = NormalPath::parse(path).map_err(|_| Refusal::Defect)?;
    word.fields.remove("content-type");
    if let Some(kind) = kept.content_type {
        word.fields.append("Content-Type", kind);
    }
    (word.method, word.path, word.query) = (kept.method, path, query);
    (word.asterisk, word.expects_continue, word.upgrade) = (false, false, None);
    Ok((word, RequestBody::whole(kept.body)))
}

/// Whether a script of a page waits for the answer, and can send the page to the login then.
fn is_by_script(fields: &Fields) -> bool {
    match fields.get("sec-fetch-mode") {
        Some(mode) => matches!(mode, b"cors" | b"same-origin"),
        None => fields.get("x-requested-with").is_some_and(|by| by.eq_ignore_ascii_case(b"XMLHttpRequest")),
    }
}

fn is_form(fields: &Fields) -> bool {
    let kind = fields.text("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn target_of(inbound: &Inbound) -> String {
    match &inbound.query {
        Some(query) => format!("{}?{query}", inbound.path.as_str()),
        None => inbound.path.as_str().to_owned(),
    }
}

/// The page of this site that a request was sent from.
fn page_of(inbound: &Inbound, origin: &str) -> Option<String> {
    let page = inbound.fields.text("referer")?.strip_prefix(origin)?;
    page.starts_with('/').then(|| page.to_owned())
}
