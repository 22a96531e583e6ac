//! Desk: one request for one of our pages.
//!
//! Comes in: what is asked, by whom. Goes out: the page, or what the posted form led to. Never acts on a form before it has
//! shown where it comes from and whose it is.

use bytes::Bytes;
use http::{Method, StatusCode};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::login::circle::obstacle::Obstacle;
use crate::login::facts::facts_of_visitor;
use crate::login::form::field;
use crate::login::guard::{Nonce, sent_from_here};
use crate::login::page::{Page, Reply, View};
use crate::login::passwords::Outcome;
use crate::login::target::return_target;
use crate::login::text::Language;
use crate::login::{Ask, CHALLENGE, Login, TOO_OLD, remembered};
use crate::message::ResponseHead;
use crate::session::protocol::Scope;
use crate::session::record::Session;
use crate::session::sign::Arrival;
use crate::session::store::StoreError;
use crate::session::{Sessions, Ticket};

mod code;
mod elsewhere;
mod factor;
mod guest;
mod replay;
mod sessions;

pub(super) use replay::NAME_FIELD;

/// One request at the desk.
pub(super) struct Desk<'a> {
    pub(super) login: &'a Login,
    pub(super) ask: &'a Ask<'a>,
    pub(super) sessions: &'a Sessions,
    pub(super) language: Language,
    pub(super) now: Timestamp,
}

impl Desk<'_> {
    pub(super) async fn login_page(&self) -> Reply {
        let query = self.ask.query.unwrap_or_default().as_bytes();
        let target = field(query, "return").unwrap_or_default();
        match self.straight_on(&target).await {
            Some(straight_on) => straight_on,
            None => self.form_page(),
        }
    }

    /// The page with the form and the ways to sign in elsewhere.
    fn form_page(&self) -> Reply {
        let query = self.ask.query.unwrap_or_default().as_bytes();
        let target = field(query, "return").unwrap_or_default();
        let words = self.language.words();
        let visitor = self.ask.visitor;
        let signed_in = visitor.session().zip(visitor.identity());
        let too_old = signed_in.is_some() && field(query, TOO_OLD.0).as_deref() == Some(TOO_OLD.1);
        let ended = visitor.ended().and_then(|reason| words.of_end(reason));
        let user = self.remembered_name();
        let again = signed_in.filter(|_| too_old).map(|(_, identity)| identity.user());
        let view = View {
            note: if too_old { Some(words.too_old) } else { ended },
            target: &target,
            user: again.or(user.as_deref()).unwrap_or_default(),
            // Who signs in again goes on as before, also beyond the end of the browser's own session.
            remember: signed_in.is_some_and(|(session, _)| session.remember()),
            remember_name: user.is_some(),
            ..View::default()
        };
        self.login_form(StatusCode::OK, &view)
    }

    /// The form, with a token for this browser; `view` says the rest.
    fn login_form(&self, status: StatusCode, view: &View<'_>) -> Reply {
        if !self.login.has_form() && self.login.oidc.providers().is_empty() {
            let elsewhere = self.login.entrance_at(view.target, Some(self.ask.host));
            if !elsewhere.starts_with(&self.login.prefix) {
                return Reply::see_other(&elsewhere);
            }
            return self.notice(StatusCode::NOT_FOUND, self.language.words().not_found);
        }
        let shown = Nonce::shown(self.ask.fields, self.ask.secure);
        let nonce = shown.unwrap_or_else(|| Nonce::fresh(self.ask.secure));
        let target = return_target(view.target, &self.login.prefix);
        let view = View {
            heading: self.language.words().sign_in,
            token: &nonce.token(self.sessions.keys()),
            target,
            offer_password: self.login.has_form(),
            places: &self.places(target),
            signed_in_as: self.ask.visitor.identity().map(Identity::user),
            offer_remember: self.sessions.can_remember(),
            offer_name: !self.login.remember_name.is_zero(),
            ..*view
        };
        let mut reply = self.login.pages.show(Page::Login, status, self.language, &view);
        if self.login.remember_name.is_zero() {
            reply = self.with_name_taken_back(reply);
        }
        match nonce.set_cookie() {
            Some(cookie) => reply.with("Set-Cookie", cookie),
            None => reply,
        }
    }

    pub(super) async fn sign_in(&self) -> Reply {
        if let Some(exchanged) = self.exchange().await {
            return exchanged;
        }
        let Some(passwords) = &self.login.passwords else { return self.login_page().await };
        if let Some(refused) = self.refuse_foreign() {
            return refused;
        }
        let text = |name| field(self.ask.form, name).unwrap_or_default();
        let (user, target, remember) = (text("username"), text("return"), !text("remember").is_empty());
        let remember_name = !text("remember_name").is_empty();
        let words = self.language.words();
        let again = |status, error| {
            let user = if user.len() <= 256 { &user } else { "" };
            self.login_form(
                status,
                &View {
                    error: Some(error),
                    target: &target,
                    user,
                    remember,
                    remember_name,
                    ..View::default()
                },
            )
        };
        let nonce = Nonce::shown(self.ask.fields, self.ask.secure);
        if nonce.is_none() && self.login.circles.without_cookie(self.ask.client, self.ask.fields, self.now) {
            return self.circle();
        }
        if !nonce.is_some_and(|nonce| nonce.matches(self.sessions.keys(), &text("token"))) {
            return again(StatusCode::FORBIDDEN, words.stale);
        }
        let client = self.client();
        let password = Zeroizing::new(text("password"));
        match passwords.try_password(&user, password, self.ask.client, self.now).await {
            Outcome::Welcome(identity, credential) => {
                let arrival =
                    Arrival { identity, credential, remember, origin: self.ask.origin, notes: Vec::new() };
                self.welcome(arrival, remember_name, &target).await
            }
            Outcome::HalfWay(identity, credential, wanted) => {
                let wishes = code::Wishes { remember, remember_name, target: &target };
                self.half_way(&identity, credential, wanted, &wishes)
            }
            Outcome::Wrong => {
                tracing::warn!(client, "a login was refused: unknown user or wrong password");
                again(StatusCode::UNAUTHORIZED, words.wrong).with("WWW-Authenticate", CHALLENGE)
            }
            Outcome::TooMany(wait) => {
                tracing::warn!(client, "a login was refused: too many failures");
                let seconds = wait.0.as_millis().div_ceil(1000).max(1);
                again(StatusCode::TOO_MANY_REQUESTS, words.too_many).with("Retry-After", seconds.to_string())
            }
            Outcome::Busy => again(StatusCode::SERVICE_UNAVAILABLE, words.busy).with("Retry-After", "2"),
            Outcome::Away => again(StatusCode::SERVICE_UNAVAILABLE, words.away).with("Retry-After", "10"),
        }
    }

    /// Where the request comes from, for the log.
    fn client(&self) -> String {
        self.ask.client.map_or_else(|| "local".to_owned(), |address| address.to_string())
    }

    async fn welcome(&self, arrival: Arrival, remember_name: bool, target: &str) -> Reply {
        let user = arrival.identity.user().to_owned();
        let tickets = match self.let_in(arrival).await {
            Ok(tickets) => tickets,
            Err(reply) => return *reply,
        };
        self.login.circles.signed_in(self.ask.client, self.ask.fields, self.now);
        let reply = Reply::see_other(return_target(target, &self.login.prefix))
            .with_tickets(&tickets)
            .with("Set-Cookie", Nonce::take_back(self.ask.secure));
        let lasting = self.login.remember_name;
        let remembers = remember_name && !lasting.is_zero();
        match remembers.then(|| remembered::set_cookie(&user, lasting, self.ask.secure, self.now)).flatten() {
            Some(cookie) => reply.with("Set-Cookie", cookie),
            None => self.with_name_taken_back(reply),
        }
    }

    /// No cookie of ours comes back to this form, not even the one that only goes with it.
    fn circle(&self) -> Reply {
        let cookie = &self.sessions.settings().cookie.name;
        tracing::warn!(client = self.client(), "a login goes round in circles: the browser sends no cookie");
        let languages = self.ask.fields.text("accept-language");
        self.login.circle_page((Obstacle::Blocked, cookie), languages, StatusCode::FORBIDDEN)
    }

    /// Makes a session; what hands it out, or why that cannot be done.
    async fn let_in(&self, arrival: Arrival) -> Result<Vec<Ticket>, Box<Reply>> {
        let user = arrival.identity.user().to_owned();
        let signed_in = self.sessions.sign_in(self.ask.visitor, arrival, self.now).await;
        let (tickets, session) = signed_in.map_err(|error| Box::new(self.store_away(&error)))?;
        let session = format_args!("{:08x}", session.short());
        tracing::info!(user, session, client = self.client(), "signed in");
        Ok(tickets)
    }

    /// The user name this browser remembers, where it may.
    fn remembered_name(&self) -> Option<String> {
        let may = !self.login.remember_name.is_zero();
        may.then(|| remembered::shown(self.ask.fields, self.ask.secure)).flatten()
    }

    /// Has the browser forget the user name, if it remembers one.
    fn with_name_taken_back(&self, reply: Reply) -> Reply {
        match remembered::is_shown(self.ask.fields, self.ask.secure) {
            true => reply.with("Set-Cookie", remembered::take_back(self.ask.secure)),
            false => reply,
        }
    }

    /// Sessions cannot be written just now: nothing has changed.
    fn store_away(&self, error: &StoreError) -> Reply {
        tracing::error!("{error}");
        self.notice(StatusCode::SERVICE_UNAVAILABLE, self.language.words().busy).with("Retry-After", "2")
    }

    pub(super) fn logout_page(&self, status: StatusCode, error: Option<&str>) -> Reply {
        let words = self.language.words();
        if let Some(guest) = self.ask.visitor.guest() {
            return self.logout_of_guest(guest);
        }
        let signed_in = self.ask.visitor.session().zip(self.ask.visitor.identity());
        let Some((session, identity)) = signed_in else {
            let offer_login = self.login.has_entrance();
            let (heading, note) = (words.sign_out, Some(words.signed_out));
            let view = View { heading, note, offer_login, ..View::default() };
            return self.login.pages.show(Page::Notice, status, self.language, &view);
        };
        let target = self.logout_target();
        let view = View {
            heading: words.sign_out,
            error,
            signed_in_as: Some(identity.user()),
            token: &self.sessions.csrf_token(session, "logout"),
            offer_everywhere: self.sessions.has_roster(),
            target: target.as_deref().unwrap_or_default(),
            ..View::default()
        };
        self.login.pages.show(Page::Logout, status, self.language, &view)
    }

    pub(super) async fn sign_out(&self) -> Reply {
        if let Some(refused) = self.refuse_foreign() {
            return refused;
        }
        let target = self.logout_target().unwrap_or_else(|| format!("{}/logout", self.login.prefix));
        let Some(session) = self.ask.visitor.session().filter(|session| session.identity().is_some()) else {
            return Reply::see_other(&target);
        };
        let token = field(self.ask.form, "token").unwrap_or_default();
        if !self.sessions.csrf_matches(session, "logout", &token) {
            return self.logout_page(StatusCode::FORBIDDEN, Some(self.language.words().stale));
        }
        let everywhere = field(self.ask.form, "everywhere").is_some();
        match self.leave(session, if everywhere { Scope::All } else { Scope::This }).await {
            Ok(tickets) => self.left(&self.way_out(session).await.unwrap_or(target), &tickets),
            Err(reply) => *reply,
        }
    }

    /// Ends sessions of whoever asks; what takes the ticket back, or why that cannot be done.
    async fn leave(&self, session: &Session, scope: Scope) -> Result<Vec<Ticket>, Box<Reply>> {
        let ended = self.sessions.sign_out(self.ask.visitor, scope, self.now).await;
        let (tickets, _) = ended.map_err(|error| Box::new(self.store_away(&error)))?;
        tracing::info!(
            user = session.identity().map(Identity::user),
            session = format_args!("{:08x}", session.short()),
            client = self.client(),
            scope = scope.as_str(),
            "signed out"
        );
        Ok(tickets)
    }

    /// The way out: whoever asked is signed out.
    fn left(&self, target: &str, tickets: &[Ticket]) -> Reply {
        Reply::see_other(target).with_tickets(tickets).with("Clear-Site-Data", "\"cache\"")
    }

    /// Where to go after signing out, if the query or the form says so.
    fn logout_target(&self) -> Option<String> {
        let given = match *self.ask.method {
            Method::POST => self.ask.form,
            _ => self.ask.query.unwrap_or_default().as_bytes(),
        };
        let wanted = field(given, "return").filter(|wanted| !wanted.is_empty())?;
        Some(return_target(&wanted, &self.login.prefix).to_owned())
    }

    /// The operator's picture.
    pub(super) fn logo(&self) -> Reply {
        match self.login.pages.logo() {
            Some(logo) => logo.answer(self.ask.query, self.ask.fields),
            None => self.notice(StatusCode::NOT_FOUND, self.language.words().not_found),
        }
    }

    /// What the browser's scripts may know of the session. Does not extend it.
    pub(super) fn session(&self) -> Reply {
        let facts = facts_of_visitor(self.ask.visitor, self.sessions);
        let head = ResponseHead::new(StatusCode::OK)
            .with("Content-Type", "application/json")
            .with("Cache-Control", "no-store")
            .with("Vary", "Cookie")
            .with("X-Content-Type-Options", "nosniff");
        Reply { head, body: Bytes::from(facts.to_string()) }
    }

    /// Refuses what another site had the browser send, and what is no form at all.
    fn refuse_foreign(&self) -> Option<Reply> {
        let words = self.language.words();
        let kind = self.ask.fields.text("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Some(self.notice(StatusCode::UNSUPPORTED_MEDIA_TYPE, words.no_form));
        }
        let ours = sent_from_here(self.ask.fields, self.ask.origins);
        (!ours).then(|| self.notice(StatusCode::FORBIDDEN, words.foreign))
    }

    pub(super) fn not_allowed(&self, allow: &str) -> Reply {
        self.notice(StatusCode::METHOD_NOT_ALLOWED, self.language.words().not_allowed).with("Allow", allow)
    }

    pub(super) fn notice(&self, status: StatusCode, note: &str) -> Reply {
        let view = View { heading: self.language.words().problem, note: Some(note), ..View::default() };
        self.login.pages.show(Page::Notice, status, self.language, &view)
    }
}
