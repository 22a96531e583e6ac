//! Elsewhere: the pages of logins at a provider.
//!
//! Comes in: somebody who wants to log in there, who comes back from there, or the provider itself, which says that
//! somebody has signed out. Goes out: the way there, a session, or a page that says why there is none. Never believes an
//! answer that this browser did not ask for, and never makes an address of ours out of what a client says we are called,
//! but on this machine.

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use url::{Host, Url};

use super::Desk;
use crate::login::form::field;
use crate::login::oidc::Provider;
use crate::login::oidc::claims::person;
use crate::login::oidc::failure::Failure;
use crate::login::oidc::flow::{Known, REMEMBERED};
use crate::login::oidc::logout::SignedOut;
use crate::login::oidc::noted::Noted;
use crate::login::oidc::state::State;
use crate::login::oidc::stub::{Stub, take_back_oldest};
use crate::login::page::{Page, Place, Reply, View};
use crate::login::target::return_target;
use crate::message::ResponseHead;
use crate::session::SameSite;
use crate::session::data::Data;
use crate::session::notes::Note;
use crate::session::record::{EndReason, Session};
use crate::session::sign::Arrival;

impl Desk<'_> {
    /// The pages below one of a provider's name; `None` where there is none.
    pub(in crate::login) async fn at_provider(&self, page: &str, name: &str) -> Option<Reply> {
        let provider = self.login.oidc.provider(name)?;
        match (page, self.ask.method) {
            ("login", &(Method::GET | Method::HEAD)) => {
                let query = self.ask.query.unwrap_or_default();
                let target = field(query.as_bytes(), "return").unwrap_or_default();
                Some(self.begin(provider, &target).await)
            }
            ("callback", &Method::GET) => Some(self.come_back(provider).await),
            ("backchannel", &Method::POST) => Some(self.hear_of_logout(provider).await),
            ("login", _) => Some(self.not_allowed("GET, HEAD")),
            ("callback", _) => Some(self.not_allowed("GET")),
            ("backchannel", _) => Some(self.not_allowed("POST")),
            _ => None,
        }
    }

    /// The way to the only place where people can log in, unless they have just been signed out: then they are asked.
    pub(super) async fn straight_on(&self, target: &str) -> Option<Reply> {
        let [provider] = self.login.oidc.providers() else { return None };
        let lapsed = matches!(self.ask.visitor.ended(), None | Some(EndReason::Idle | EndReason::Absolute));
        if self.login.has_form() || !lapsed {
            return None;
        }
        Some(self.begin(provider, target).await)
    }

    /// The places where people can log in, as the page shows them.
    pub(super) fn places(&self, target: &str) -> Vec<Place> {
        let (before, behind) = self.language.words().elsewhere.sign_in_with;
        let query = match target {
            "" | "/" => String::new(),
            target => format!("?return={}", utf8_percent_encode(target, NON_ALPHANUMERIC)),
        };
        let place = |provider: &Provider| Place {
            label: format!("{before}{}{behind}", provider.title()),
            path: format!("/login/{}{query}", provider.name()),
        };
        self.login.oidc.providers().iter().map(place).collect()
    }

    /// Sends somebody to a provider.
    async fn begin(&self, provider: &Provider, target: &str) -> Reply {
        let target = return_target(target, &self.login.prefix);
        let stub = Stub::fresh(self.ask.secure);
        let fresh = self.ask.visitor.identity().is_some();
        let state = State::new(stub.state(), provider.name(), target, fresh, self.now);
        let sealed = state.sealed(self.sessions.keys());
        let url = match self.callback_address(provider) {
            Ok(address) => provider.entrance(&address, (&stub, &state, &sealed)).await,
            Err(failure) => Err(failure),
        };
        match url {
            Ok(url) => take_back_oldest(self.ask.fields, self.ask.secure)
                .into_iter()
                .chain([stub.set_cookie()])
                .fold(Reply::see_other(url.as_str()), |reply, cookie| reply.with("Set-Cookie", cookie)),
            Err(failure) => self.failed(provider, &failure, target),
        }
    }

    /// Lets in who comes back from a provider.
    async fn come_back(&self, provider: &Provider) -> Reply {
        let answer = self.ask.query.unwrap_or_default();
        let (stub, state) = match self.begun(provider, answer) {
            Ok(begun) => begun,
            Err(failure) => return self.failed(provider, &failure, "/"),
        };
        let known = match self.callback_address(provider) {
            Ok(address) => provider.come_back(answer, &address, (&stub, &state), self.now).await,
            Err(failure) => Err(failure),
        };
        let reply = match known {
            Ok(known) => self.enter(provider, known, &state).await,
            Err(failure) => self.failed(provider, &failure, &state.target),
        };
        reply.with("Set-Cookie", stub.take_back())
    }

    /// The login that an answer belongs to: begun in this browser, not long ago, and not finished yet.
    fn begun(&self, provider: &Provider, answer: &str) -> Result<(Stub, State), Failure> {
        let sealed = field(answer.as_bytes(), "state").unwrap_or_default();
        let state = State::open(&sealed, provider.name(), self.sessions.keys(), self.now)?;
        let first = |name: &str| self.login.oidc.used().is_first(&["state", name], REMEMBERED, self.now);
        match Stub::shown(self.ask.fields, &state.name, self.ask.secure) {
            Some(stub) if first(&state.name) => Ok((stub, state)),
            Some(_) => Err(Failure::Used),
            None => Err(Failure::OtherBrowser),
        }
    }

    async fn enter(&self, provider: &Provider, known: Known, state: &State) -> Reply {
        let identity = match person(&known.claims, provider.settings()) {
            Ok(identity) => identity,
            Err(failure) => return self.failed(provider, &failure, &state.target),
        };
        let user = identity.user().to_owned();
        let notes = self.notes(provider, &known);
        let arrival = Arrival { identity, credential: 0, remember: false, origin: self.ask.origin, notes };
        let (tickets, session) = match self.sessions.sign_in(self.ask.visitor, arrival, self.now).await {
            Ok(signed_in) => signed_in,
            Err(error) => return self.store_away(&error),
        };
        tracing::info!(
            user,
            provider = provider.name(),
            session = format_args!("{:08x}", session.short()),
            client = self.client(),
            "signed in"
        );
        let target = return_target(&state.target, &self.login.prefix);
        if self.sessions.settings().cookie.same_site == SameSite::Strict {
            // A redirect would still count as the provider's, and the new cookie would not be sent with it.
            return self.lead_on(target).with_tickets(&tickets);
        }
        Reply::see_other(target).with_tickets(&tickets)
    }

    /// A page of ours that leads on by itself.
    fn lead_on(&self, target: &str) -> Reply {
        let words = self.language.words();
        let view = View {
            heading: words.sign_in,
            lead_on: Some(words.elsewhere.continues),
            target,
            ..View::default()
        };
        let reply = self.login.pages.show(Page::Notice, StatusCode::OK, self.language, &view);
        reply.with("Refresh", format!("0; url={target}"))
    }

    /// What is kept to recognise the session by, and to sign out with. Cookies have no room for tokens.
    fn notes(&self, provider: &Provider, known: &Known) -> Vec<Note> {
        let text = |name| known.claims.text(name).map(str::to_owned);
        let noted = Noted::new(provider.name(), text("sub"), text("sid"));
        if !self.sessions.has_roster() {
            return noted.notes();
        }
        let keeps = self.login.oidc.keeps(provider);
        let noted = noted.with(&known.tokens, keeps, self.sessions.keys(), self.now);
        if keeps.refresh && noted.grant.is_none() {
            tracing::warn!(
                provider = provider.name(),
                "there is no refresh token: the session does not follow the provider's (`offline_access` may be needed in `scopes`)"
            );
        }
        noted.notes()
    }

    /// The way out of a session that began at a provider: its own page for that, or else ours, but no page that would lead
    /// straight back in. `None` for all other sessions.
    pub(super) async fn way_out(&self, session: &Session) -> Option<String> {
        let data = session.data();
        let noted = Noted::read(&data, self.now)?;
        let ours = self.our_address("logout");
        let url = match (self.login.oidc.provider(&noted.provider), &ours) {
            (Some(provider), Some(ours)) => {
                let token = Noted::id_token(&data, self.sessions.keys(), self.now);
                provider.exit(token.as_ref().map(|token| token.expose_secret()), ours).await
            }
            _ => None,
        };
        Some(url.map_or_else(|| format!("{}/logout", self.login.prefix), String::from))
    }

    /// Ends the sessions of whom the provider has signed out (OpenID Connect Back-Channel Logout, section 2.5).
    async fn hear_of_logout(&self, provider: &Provider) -> Reply {
        let refused = |status, why: &str| {
            tracing::warn!(
                provider = provider.name(),
                client = self.client(),
                "a logout token is refused: {why}"
            );
            told(
                status,
                serde_json::json!({ "error": "invalid_request", "error_description": why }).to_string(),
            )
        };
        if !self.sessions.has_roster() {
            return refused(StatusCode::BAD_REQUEST, "sessions are sealed in cookies: they cannot be ended");
        }
        let token = field(self.ask.form, "logout_token").unwrap_or_default();
        let out = match provider.signed_out(&token, self.login.oidc.used(), self.now).await {
            Ok(out) => out,
            Err(error) if error.is_passing() => {
                let reply = refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
                return reply.with("Retry-After", "10");
            }
            Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let which = |data: &Data| self.is_signed_out(data, provider, &out);
        match self.sessions.end_noted(EndReason::Logout, which).await {
            Ok(ended) => {
                tracing::info!(provider = provider.name(), ended, "the provider has signed somebody out");
                told(StatusCode::OK, String::new())
            }
            Err(error) => {
                tracing::error!("{error}");
                told(StatusCode::SERVICE_UNAVAILABLE, String::new()).with("Retry-After", "2")
            }
        }
    }

    fn is_signed_out(&self, data: &Data, provider: &Provider, out: &SignedOut) -> bool {
        let Some(noted) = Noted::read(data, self.now) else { return false };
        let same = |said: &Option<String>, noted: &Option<String>| said.is_some() && said == noted;
        let (sub, sid) = (same(&out.sub, &noted.sub), same(&out.sid, &noted.sid));
        noted.provider == provider.name()
            && match (&out.sid, &out.sub) {
                (Some(_), None) => sid,
                (None, _) => sub,
                // Where the login did not say what its session is called, the person decides.
                (Some(_), Some(_)) => sub && (sid || noted.sid.is_none()),
            }
    }

    /// A page that says why, and leads back to where the login began.
    fn failed(&self, provider: &Provider, failure: &Failure, target: &str) -> Reply {
        tracing::warn!(provider = provider.name(), client = self.client(), "a login was refused: {failure}");
        let words = self.language.words();
        let note = Some(failure.sentence(&words.elsewhere));
        let (lead_on, entrance) = (Some(words.sign_in_again), self.login.entrance(target));
        let view = View { heading: words.problem, note, lead_on, target: &entrance, ..View::default() };
        let status = failure.status();
        let reply = self.login.pages.show(Page::Notice, status, self.language, &view);
        if status == StatusCode::SERVICE_UNAVAILABLE { reply.with("Retry-After", "10") } else { reply }
    }

    fn callback_address(&self, provider: &Provider) -> Result<String, Failure> {
        self.our_address(&format!("callback/{}", provider.name())).ok_or(Failure::NoAddress)
    }

    /// The address of one of our pages, as others are to call it.
    fn our_address(&self, page: &str) -> Option<String> {
        let asked = || self.ask.origins.first().map(String::as_str).filter(|origin| is_here(origin));
        let origin = self.login.oidc.origin().or_else(asked)?;
        Some(format!("{origin}{}/{page}", self.login.prefix))
    }
}

/// Whether only browsers on this machine can mean it.
fn is_here(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An answer for a provider.
fn told(status: StatusCode, json: String) -> Reply {
    let head =
        ResponseHead::new(status).with("Cache-Control", "no-store").with("X-Content-Type-Options", "nosniff");
    let head = if json.is_empty() { head } else { head.with("Content-Type", "application/json") };
    Reply { head, body: Bytes::from(json) }
}
