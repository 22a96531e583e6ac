//! Replay: the page about a request that waits for its login, and its two buttons.
//!
//! Comes in: who is asking, in which browser, and the form they posted. Goes out: the page, or the request itself, for the
//! gateway to send. Never shows what is in the body, never gives a request out twice, and never without a token that is
//! bound to this session and this request.

use http::StatusCode;

use super::Desk;
use crate::identity::Identity;
use crate::login::form::field;
use crate::login::page::{Page, Reply, View, Waiting};
use crate::login::replay::browser::Mark;
use crate::login::replay::{Claim, Kept, is_name};
use crate::login::target::return_target;
use crate::session::record::Session;

/// The field of the form that names the request.
pub(in crate::login) const NAME_FIELD: &str = "cloakroom_replay";

impl Desk<'_> {
    /// The page that says what is about to be sent.
    pub(in crate::login) fn replay_page(&self) -> Reply {
        let name = field(self.ask.query.unwrap_or_default().as_bytes(), "request");
        self.waiting(name, StatusCode::OK, None)
    }

    /// What came of the page's form: the request to send, or a page.
    pub(in crate::login) fn resume(&self) -> Result<Kept, Box<Reply>> {
        if let Some(refused) = self.refuse_foreign() {
            return Err(Box::new(refused));
        }
        let text = |name| field(self.ask.form, name);
        let name = text(NAME_FIELD);
        let Some((session, claim)) = self.claim() else {
            return Err(Box::new(self.waiting(name, StatusCode::OK, None)));
        };
        let name = self.named(name, &claim);
        let Some(name) = name.filter(|name| is_name(name)) else { return Err(Box::new(self.gone())) };
        let token = text("token").unwrap_or_default();
        if !self.sessions.csrf_matches(session, &deed_of(&name), &token) {
            let stale = Some(self.language.words().stale);
            return Err(Box::new(self.waiting(Some(name), StatusCode::FORBIDDEN, stale)));
        }
        let (shelf, settings) = (&self.login.lasting.shelf, &self.login.replay);
        let Some(kept) = shelf.take(&name, &claim, settings, self.now) else {
            return Err(Box::new(self.gone()));
        };
        if text("drop").is_some() {
            let wanted = text("return").unwrap_or_default();
            return Err(Box::new(Reply::see_other(return_target(&wanted, &self.login.prefix))));
        }
        tracing::info!(
            user = claim.user,
            session = format_args!("{:08x}", session.short()),
            client = self.client(),
            method = kept.method.as_str(),
            bytes = kept.body.len(),
            "a request that waited for a login is sent"
        );
        Ok(kept)
    }

    fn waiting(&self, name: Option<String>, status: StatusCode, error: Option<&str>) -> Reply {
        let Some((session, claim)) = self.claim() else {
            let name = name.filter(|name| is_name(name));
            return match (self.ask.visitor.identity(), name) {
                (None, Some(name)) => self.to_login_for(&self.login.replay_page(&name)),
                (None, None) => self.to_login_for("/"),
                (Some(_), _) => self.gone(),
            };
        };
        let (shelf, settings) = (&self.login.lasting.shelf, &self.login.replay);
        let name = self.named(name, &claim).filter(|name| is_name(name));
        let found =
            name.and_then(|name| shelf.show(&name, &claim, settings, self.now).map(|kept| (name, kept)));
        let Some((name, kept)) = found else { return self.gone() };
        let words = self.language.words();
        let view = View {
            heading: words.again.heading,
            error,
            note: Some(words.again.note),
            signed_in_as: Some(claim.user),
            token: &self.sessions.csrf_token(session, &deed_of(&name)),
            target: return_target(kept.page.as_deref().unwrap_or("/"), &self.login.prefix),
            waiting: Some(&Waiting {
                name,
                method: kept.method.to_string(),
                address: format!("{}{}", kept.authority, kept.target),
                size: size(kept.body.len()),
                kind: kept.content_type.as_deref().map(kind).unwrap_or_default(),
                action: kept.target,
            }),
            ..View::default()
        };
        self.login.pages.show(Page::Replay, status, self.language, &view)
    }

    /// Who is logged in, in which browser; `None` where either is not known.
    fn claim(&self) -> Option<(&Session, Claim<'_>)> {
        let session = self.ask.visitor.session()?;
        let user = session.identity().map(Identity::user)?;
        let browser = Mark::shown(self.ask.fields, self.ask.secure)?;
        let authority = self.ask.origins.first().map(String::as_str)?;
        Some((session, Claim { browser, authority, user }))
    }

    /// The request's name, or the newest of this browser.
    fn named(&self, name: Option<String>, claim: &Claim<'_>) -> Option<String> {
        name.or_else(|| self.login.lasting.shelf.newest(&claim.browser))
    }

    fn gone(&self) -> Reply {
        let words = self.language.words();
        let view = View {
            heading: words.again.heading,
            note: Some(words.again.gone),
            offer_back: true,
            ..View::default()
        };
        self.login.pages.show(Page::Notice, StatusCode::GONE, self.language, &view)
    }

    /// To the login, and back to a page. It is a GET from here on.
    fn to_login_for(&self, target: &str) -> Reply {
        Reply::see_other(&self.login.entrance_at(target, Some(self.ask.host)))
    }
}

/// What the form does, for its token.
fn deed_of(name: &str) -> String {
    format!("send {name}")
}

/// `0 B`, `512 B`, `12 KiB`
fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes.div_ceil(1024)) }
}

/// The media type without its parameters.
fn kind(content_type: &[u8]) -> String {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    essence.iter().filter(|byte| byte.is_ascii_graphic()).take(100).map(|&byte| char::from(byte)).collect()
}
