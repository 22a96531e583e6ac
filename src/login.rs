//! Login: how people prove who they are.
//!
//! Comes in: requests for our own pages under the reserved prefix, and who is asking. Goes out: pages, redirects, tickets.
//! Never signs anybody in or out for a form that was not filled in on our page in this browser, never sends anybody
//! to another site, and never says whether a name is known.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::headers::OuterNames;
use crate::login::basic::Basic;
use crate::login::bearer::Bearer;
use crate::login::circle::Circles;
use crate::login::circle::obstacle::Obstacle;
use crate::login::client_certificate::ClientCertificate;
use crate::login::desk::Desk;
use crate::login::factor::Factors;
use crate::login::ldap::Ldap;
use crate::login::local::Local;
use crate::login::oidc::Oidc;
use crate::login::oidc::used::Used;
use crate::login::page::{Page, Pages, View};
use crate::login::passwords::{Method as PasswordMethod, Passwords};
use crate::login::replay::{Kept, ReplaySettings, Shelf};
use crate::login::target::return_target;
use crate::login::text::Language;
use crate::login::throttle::Throttle;
use crate::login::trusted_header::TrustedHeader;
use crate::login::upstream::{Application, Heard, Passing, Watch};
use crate::login::users::{UsersError, UsersSource};
use crate::login::vouch::{Voucher, Vouchers};
use crate::message::{Fields, ResponseHead};
use crate::session::accounts::Accounts;
use crate::session::origin::Origin;
use crate::session::record::EndReason;
use crate::session::{Sessions, Visitor};

pub mod authorization;
pub mod basic;
pub mod bearer;
pub mod circle;
pub mod client_certificate;
mod desk;
pub mod factor;
mod facts;
pub mod form;
pub mod guard;
mod half_way;
pub mod issuer;
pub mod ldap;
pub mod local;
pub mod looks;
pub mod oidc;
pub mod outside;
pub mod page;
pub mod password;
pub mod passwords;
pub mod person;
mod remembered;
mod renewal;
pub mod replay;
pub mod settings;
pub mod target;
pub mod text;
pub mod throttle;
pub mod token;
pub mod trusted_header;
pub mod upstream;
pub mod users;
pub mod vouch;

pub use facts::facts;
pub use guard::OWN_COOKIES;
pub use page::Reply;
pub use settings::{Languages, LocalSettings, LocalUser, Settings, ThrottleSettings};

/// A request for one of our own pages.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The path below the reserved prefix: `/login`.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The fields, other cookies included.
    pub fields: &'a Fields,
    /// The body of a POST: at most 64 KiB, whole.
    pub form: &'a [u8],
    /// Who is asking; for `/session` recognised quietly.
    pub visitor: &'a Visitor,
    /// From where; `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// The same and the browser, as the session keeps it.
    pub origin: Origin,
    /// Whether the browser speaks TLS, to us or to a proxy we trust.
    pub secure: bool,
    /// The host, in lower case and without port.
    pub host: &'a str,
    /// What the browser's `Origin` may say: `scheme://host[:port]`, of `public_url` or else of `Host`.
    pub origins: &'a [String],
}

/// The pages under the reserved prefix, and the login methods behind them.
#[derive(Debug)]
pub struct Login {
    prefix: String,
    languages: Languages,
    passwords: Option<Arc<Passwords>>,
    vouchers: Vouchers,
    outer: Option<trusted_header::Settings>,
    oidc: Oidc,
    pages: Pages,
    /// For how long browsers remember a user name, where people want that.
    remember_name: Duration,
    replay: ReplaySettings,
    circles: Circles,
    /// Applications with login pages of their own.
    applications: Vec<Application>,
    limits: ThrottleSettings,
    lasting: Lasting,
}

/// What outlives a configuration.
#[derive(Clone, Debug, Default)]
pub struct Lasting {
    /// Failed logins.
    pub throttle: Arc<Throttle>,
    /// Requests that wait for a login.
    pub shelf: Arc<Shelf>,
    /// What providers gave, and is good for one time only.
    pub used: Arc<Used>,
}

/// `WWW-Authenticate` of every 401: RFC 9110, section 11.6.1, wants one, and browsers leave a scheme they do not know alone.
pub const CHALLENGE: &str = "Cookie realm=\"cloakroom\"";

/// What the entrance says when somebody who is signed in must sign in again.
const TOO_OLD: (&str, &str) = ("reason", "login_too_old");

/// An entrance, for somebody whose login is too old for where they want to go.
pub fn anew(entrance: &str) -> String {
    let (name, value) = TOO_OLD;
    let separator = if entrance.contains('?') { '&' } else { '?' };
    format!("{entrance}{separator}{name}={value}")
}

impl Login {
    /// Login as configured, its pages under `prefix` (`/_cloakroom`). `source` reads `users_file`, where there is one.
    pub fn new(
        settings: Settings,
        prefix: &str,
        source: Option<UsersSource>,
        lasting: Lasting,
    ) -> Result<Self, UsersError> {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let title = if settings.title.is_empty() { "Cloakroom" } else { &settings.title };
        let pages = Pages::new(&settings.looks, title, &prefix);
        let limits = settings.throttle;
        let factors = settings.local.as_ref().and_then(|local| local.totp.clone());
        let factors = factors.map(Factors::new).transpose()?.map(Arc::new);
        let local = settings.local.map(|local| Local::new(local, source)).transpose()?;
        let ldap = settings.ldap.as_ref().map(Ldap::new).transpose()?;
        let methods = local.map(PasswordMethod::Local).into_iter().chain(ldap.map(PasswordMethod::Ldap));
        let methods: Vec<_> = methods.collect();
        let passwords = (!methods.is_empty())
            .then(|| Arc::new(Passwords::new(methods, factors, lasting.throttle.clone(), limits)));
        let basic = settings.basic.as_ref().zip(passwords.as_ref());
        let vouchers: [Option<Box<dyn Voucher>>; 4] = [
            settings.bearer.map(Bearer::new).transpose()?.map(|bearer| Box::new(bearer) as _),
            basic.map(|(basic, passwords)| Box::new(Basic::new(basic, passwords.clone())) as _),
            settings.client_certificate.map(|given| Box::new(ClientCertificate::new(given)) as _),
            settings.trusted_header.as_ref().map(|given| Box::new(TrustedHeader::new(given)) as _),
        ];
        let vouchers = Vouchers::new(vouchers.into_iter().flatten().collect());
        let Settings { languages, remember_name, replay, applications, trusted_header: outer, .. } = settings;
        Ok(Self {
            prefix,
            languages,
            passwords,
            vouchers,
            outer,
            oidc: Oidc::default(),
            pages,
            remember_name,
            replay,
            circles: Circles::default(),
            applications,
            limits,
            lasting,
        })
    }

    /// The methods that need nothing but a request.
    pub fn vouchers(&self) -> &Vouchers {
        &self.vouchers
    }

    /// Under which names a proxy before us says who is asking.
    pub fn outer_names(&self) -> Option<&OuterNames> {
        self.outer.as_ref().map(|outer| &outer.names)
    }

    /// Whether there is a page where people can prove who they are, here or at an application.
    pub fn has_entrance(&self) -> bool {
        let elsewhere = !self.oidc.providers().is_empty() || !self.applications.is_empty();
        self.has_form() || elsewhere || self.vouchers.is_empty()
    }

    /// The same, with providers where people can log in.
    #[must_use]
    pub fn with_oidc(self, oidc: Oidc) -> Self {
        Self { oidc, ..self }
    }

    /// Whether people can log in on a page of ours.
    fn has_form(&self) -> bool {
        self.passwords.is_some()
    }

    /// How often the people who may log in have changed since the start.
    pub fn changes(&self) -> u64 {
        self.passwords.as_ref().map_or(0, |passwords| passwords.changes())
    }

    /// Whether people may have a second factor.
    fn has_factors(&self) -> bool {
        self.passwords.as_ref().is_some_and(|passwords| passwords.factors().is_some())
    }

    /// Where to send somebody who must sign in first, so that they come back to `target` (path and query).
    pub fn entrance(&self, target: &str) -> String {
        self.entrance_at(target, None)
    }

    /// The same for a request for this host; applications of other hosts log nobody in there.
    pub fn entrance_at(&self, target: &str, host: Option<&str>) -> String {
        let target = return_target(target, &self.prefix);
        let encoded = || utf8_percent_encode(target, NON_ALPHANUMERIC);
        let elsewhere = self.applications.iter().find_map(|there| Some((there.entrance(host)?, there)));
        match elsewhere {
            Some((page, there)) => format!("{page}?{}={}", there.return_parameter, encoded()),
            None if target == "/" => format!("{}/login", self.prefix),
            None => format!("{}/login?return={}", self.prefix, encoded()),
        }
    }

    /// Follows a request to its answer, if it is one that logs in or out at an application.
    pub fn watch(&self, request: &Passing<'_>) -> Option<Box<Watch>> {
        if self.applications.is_empty() { None } else { upstream::watch(&self.applications, request) }
    }

    /// What the answer to such a request means.
    pub fn hear(
        &self,
        watch: &Watch,
        answer: &mut ResponseHead,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Heard {
        let application = &self.applications[watch.application()];
        watch.hear(application, answer, (&self.lasting.throttle, &self.limits), client, now)
    }

    /// Who signs in again and again without a cookie.
    pub fn circles(&self) -> &Circles {
        &self.circles
    }

    /// The page that says what stands in the way of the cookie.
    pub fn circle_page(
        &self,
        (obstacle, attribute): (Obstacle, &str),
        accept_language: Option<&str>,
        status: StatusCode,
    ) -> Reply {
        let language = Language::choose(self.languages, accept_language);
        let words = language.words();
        let (heading, note) = (words.circle.heading, Some(words.circle.about(obstacle)));
        let view = View { heading, note, reference: attribute, offer_login: true, ..View::default() };
        self.pages.show(Page::Notice, status, language, &view)
    }

    /// The page about a request that waits for its login.
    pub fn replay_page(&self, name: &str) -> String {
        format!("{}/replay?request={name}", self.prefix)
    }

    /// Whether requests can wait for a login.
    pub fn keeps_requests(&self) -> bool {
        self.replay.body > 0
    }

    /// Where requests wait, and how.
    pub fn shelf(&self) -> (&Shelf, &ReplaySettings) {
        (&self.lasting.shelf, &self.replay)
    }

    /// The request that is to be sent after all, or the page that the form of its page leads to instead.
    pub fn resume(&self, ask: &Ask<'_>, sessions: &Sessions, now: Timestamp) -> Result<Kept, Box<Reply>> {
        let language = Language::choose(self.languages, ask.fields.text("accept-language"));
        Desk { login: self, ask, sessions, language, now }.resume()
    }

    /// The page for a request that came to nothing, in the same looks and language as the others.
    pub fn sorry(&self, status: StatusCode, accept_language: Option<&str>, request_id: &str) -> Reply {
        let language = Language::choose(self.languages, accept_language);
        let words = language.words();
        let note = match status {
            StatusCode::UNAUTHORIZED => words.login_elsewhere,
            StatusCode::FORBIDDEN => words.forbidden,
            StatusCode::NOT_FOUND => words.not_found,
            StatusCode::TOO_MANY_REQUESTS => words.too_many,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => words.unavailable,
            StatusCode::GATEWAY_TIMEOUT => words.too_slow,
            _ => words.not_carried_out,
        };
        let reference = match request_id {
            "" => status.as_u16().to_string(),
            id => format!("{} · {} {id}", status.as_u16(), words.reference),
        };
        let view =
            View { heading: words.problem, note: Some(note), reference: &reference, ..View::default() };
        self.pages.show(Page::Notice, status, language, &view)
    }

    /// Answers a request for one of our own pages.
    pub async fn answer(&self, ask: Ask<'_>, sessions: &Sessions, now: Timestamp) -> Reply {
        let language = Language::choose(self.languages, ask.fields.text("accept-language"));
        let desk = Desk { login: self, ask: &ask, sessions, language, now };
        if let Some((page, name)) = ask.path.trim_start_matches('/').split_once('/')
            && let Some(reply) = desk.at_provider(page, name).await
        {
            return reply;
        }
        match (ask.path.trim_start_matches('/'), ask.method) {
            ("login", &(Method::GET | Method::HEAD)) => desk.login_page().await,
            ("login", &Method::POST) => desk.sign_in().await,
            ("login/code", &(Method::GET | Method::HEAD)) => {
                Reply::see_other(&format!("{}/login", self.prefix))
            }
            ("login/code", &Method::POST) => desk.check_code().await,
            ("totp", &(Method::GET | Method::HEAD)) => desk.factor_page(),
            ("totp", &Method::POST) => desk.change_factor().await,
            ("logout", &(Method::GET | Method::HEAD)) => desk.logout_page(StatusCode::OK, None),
            ("logout", &Method::POST) => desk.sign_out().await,
            ("session", &(Method::GET | Method::HEAD)) => desk.session(),
            ("sessions", &(Method::GET | Method::HEAD)) => desk.sessions_page().await,
            ("sessions", &Method::POST) => desk.end_sessions().await,
            ("logo", &(Method::GET | Method::HEAD)) => desk.logo(),
            ("replay", &(Method::GET | Method::HEAD)) => desk.replay_page(),
            ("login" | "login/code" | "logout" | "sessions" | "totp" | "replay", _) => {
                desk.not_allowed("GET, HEAD, POST")
            }
            ("session" | "session/events", _) => desk.not_allowed("GET, HEAD"),
            _ => desk.notice(StatusCode::NOT_FOUND, language.words().not_found),
        }
    }
}

/// Whether a form is the word that a request is to be sent which waited for its login.
pub fn is_word(form: &[u8]) -> bool {
    form::field(form, desk::NAME_FIELD).is_some()
}

impl Accounts for Login {
    fn accepts(&self, user: &str, credential: u64) -> Result<(), EndReason> {
        match &self.passwords {
            Some(passwords) => passwords.accepts(user, credential),
            None => Err(EndReason::Disabled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use argon2::password_hash::PasswordHasher as _;
    use secrecy::{SecretBox, SecretString};

    use super::*;
    use crate::session::accounts::NoAccounts;
    use crate::session::keeper::Loading;
    use crate::session::memory::{Crowding, MemoryStore, Room};
    use crate::session::{Keeper, Key, Memo, Recognition, Settings as SessionSettings};

    /// A browser in front of the pages.
    struct Browser {
        login: Login,
        sessions: Sessions,
        jar: Vec<(String, String)>,
        fields: Vec<(&'static str, &'static str)>,
        address: &'static str,
        now: Timestamp,
    }

    impl Browser {
        fn new() -> Self {
            let weak = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("valid"));
            let hash = weak.hash_password_with_salt(b"correct horse", b"saltsaltsalt").expect("hashed");
            let alice = LocalUser {
                name: "alice".to_owned(),
                password: SecretString::from(hash.to_string()),
                email: Some("alice@example.com".to_owned()),
                full_name: None,
                groups: vec!["staff".to_owned()],
                disabled: false,
            };
            let gone = LocalUser { name: "gone".to_owned(), disabled: true, ..alice.clone() };
            let local = Some(LocalSettings { users: vec![alice, gone], ..LocalSettings::default() });
            let settings = Settings { title: "Example".to_owned(), local, ..Settings::default() };
            let login = Login::new(settings, "/_cloakroom", None, Lasting::default()).expect("valid");
            let now = Timestamp::from_unix_millis(1_800_000_000_000);
            let fields = vec![("Origin", "https://app.example"), ("Sec-Fetch-Site", "same-origin")];
            Self { login, sessions: sessions(), jar: vec![], fields, address: "192.0.2.1", now }
        }

        async fn ask(&mut self, method: Method, path: &str, query: &str, form: &str) -> Reply {
            let mut fields = Fields::new();
            fields.append("Content-Type", "application/x-www-form-urlencoded");
            self.fields.iter().for_each(|(name, value)| fields.append(name, value));
            let jar: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            fields.append("Cookie", jar.join("; "));
            let shown = self.sessions.take_cookies(&mut fields, &[]);
            let recognition = self.sessions.recognise(&shown, &mut Memo::default(), self.now, true);
            let Recognition::Is(visitor) = recognition else { panic!("memory always knows") };
            let ask = Ask {
                path,
                method: &method,
                query: Some(query),
                fields: &fields,
                form: form.as_bytes(),
                visitor: &visitor,
                client: self.address.parse().ok(),
                origin: Origin::default(),
                secure: true,
                host: "app.example",
                origins: &["https://app.example".to_owned()],
            };
            let reply = self.login.answer(ask, &self.sessions, self.now).await;
            for cookie in reply.head.fields.get_all("set-cookie") {
                let cookie = std::str::from_utf8(cookie).expect("text");
                let (name, rest) = cookie.split_once('=').expect("a pair");
                self.jar.retain(|(kept, _)| kept != name);
                if !cookie.contains("Max-Age=0") {
                    self.jar.push((name.to_owned(), rest.split(';').next().expect("a value").to_owned()));
                }
            }
            reply
        }

        async fn get(&mut self, path: &str, query: &str) -> Reply {
            self.ask(Method::GET, path, query, "").await
        }

        /// Posts a form with the token of the page it stands on.
        async fn post(&mut self, path: &str, form: &str) -> Reply {
            let page = self.get(path, "").await;
            let form = format!("{form}&token={}", between(text(&page), "name=\"token\" value=\"", "\""));
            self.ask(Method::POST, path, "", &form).await
        }

        async fn sign_in(&mut self, user: &str, password: &str) -> Reply {
            self.post("/login", &format!("username={user}&password={password}&return=%2Freports%3Fa%3D1"))
                .await
        }

        fn session_cookie(&self) -> Option<String> {
            let found = self.jar.iter().find(|(name, _)| name == self.sessions.cookie_name());
            found.map(|(_, value)| value.clone())
        }

        async fn who(&mut self) -> serde_json::Value {
            serde_json::from_slice(&self.get("/session", "").await.body).expect("JSON")
        }
    }

    fn sessions() -> Sessions {
        let keys = vec![Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }];
        let hour = Duration::from_secs(3600);
        let settings = SessionSettings { idle: hour, keys, ..SessionSettings::default() };
        let memory = MemoryStore::new(Room { sessions: 1000, bytes: 1 << 20 }, Crowding::Ends);
        Sessions::new(settings, Arc::new(Keeper::Memory(memory, Loading::nothing())), Arc::new(NoAccounts))
    }

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).expect("text")
    }

    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        let rest = text.split_once(start).map(|(_, rest)| rest).unwrap_or_default();
        rest.split(end).next().unwrap_or_default()
    }

    fn status(reply: &Reply) -> u16 {
        reply.head.status.as_u16()
    }

    #[tokio::test]
    async fn the_right_password_lets_in_and_leads_back() {
        let mut browser = Browser::new();
        let reply = browser.sign_in("alice", "correct+horse").await;
        assert_eq!((status(&reply), reply.head.fields.text("location")), (303, Some("/reports?a=1")));
        assert_eq!(reply.head.fields.text("cache-control"), Some("no-store"));
        let who = browser.who().await;
        assert_eq!((&who["user"], &who["groups"][0]), (&"alice".into(), &"staff".into()));
        assert_eq!(who["expires"], 1_800_000_000 + 3600);
        assert_eq!(browser.jar.len(), 1, "the login's own cookie has gone");
    }

    #[tokio::test]
    async fn a_second_login_gets_a_new_id_and_the_old_one_is_dead() {
        let mut browser = Browser::new();
        browser.sign_in("alice", "correct+horse").await;
        let first = browser.session_cookie().expect("signed in");
        browser.sign_in("alice", "correct+horse").await;
        let second = browser.session_cookie().expect("signed in");
        assert_ne!(first, second);
        browser.jar = vec![("__Host-cloakroom".to_owned(), first)];
        assert!(browser.who().await["user"].is_null());
    }

    #[tokio::test]
    async fn unknown_disabled_and_mistaken_get_the_same_answer() {
        let mut pages = vec![];
        for (user, password) in
            [("alice", "wrong"), ("gone_", "x"), ("gone", "correct+horse"), ("ALICE", "correct+horse")]
        {
            let mut browser = Browser::new();
            let reply = browser.sign_in(user, password).await;
            assert_eq!(status(&reply), 401);
            assert!(reply.head.fields.contains("www-authenticate"));
            assert!(browser.session_cookie().is_none());
            let page = text(&reply).replace(&format!("value=\"{user}\""), "");
            pages.push(page.replace(between(text(&reply), "name=\"token\" value=\"", "\""), ""));
        }
        assert!(pages.iter().all(|page| page == &pages[0]));
    }

    #[tokio::test]
    async fn a_form_that_was_not_ours_signs_nobody_in() {
        let right = "username=alice&password=correct+horse";
        let mut without_token = Browser::new();
        without_token.get("/login", "").await;
        let reply = without_token.ask(Method::POST, "/login", "", right).await;
        assert_eq!(status(&reply), 403);
        assert!(text(&reply).contains("name=\"token\""), "with a fresh form to try again");

        let mut attacker = Browser::new();
        let page = attacker.get("/login", "").await;
        let token = between(text(&page), "name=\"token\" value=\"", "\"");
        let mut victim = Browser::new();
        victim.get("/login", "").await;
        assert_eq!(
            status(&victim.ask(Method::POST, "/login", "", &format!("{right}&token={token}")).await),
            403
        );

        for field in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
            let mut browser = Browser::new();
            browser.fields = vec![field];
            assert_eq!(status(&browser.post("/login", right).await), 403, "{field:?}");
            assert!(browser.session_cookie().is_none());
        }
    }

    #[tokio::test]
    async fn nobody_is_sent_to_another_site() {
        for target in
            ["//evil.example", "/%5Cevil.example", "https:evil.example", "https://app.example@evil.example/"]
        {
            let mut browser = Browser::new();
            let page = browser.get("/login", &format!("return={target}")).await;
            assert_eq!(between(text(&page), "name=\"return\" value=\"", "\""), "&#x2f;", "{target}");
            let form = format!("username=alice&password=correct+horse&return={target}");
            let reply = browser.post("/login", &form).await;
            assert_eq!((status(&reply), reply.head.fields.text("location")), (303, Some("/")));
            let reply = browser.post("/logout", &format!("return={target}")).await;
            assert_eq!((status(&reply), reply.head.fields.text("location")), (303, Some("/")));
        }
    }

    #[tokio::test]
    async fn too_many_failures_wait_and_the_person_gets_in_from_elsewhere() {
        let mut browser = Browser::new();
        for _ in 0..5 {
            assert_eq!(status(&browser.sign_in("alice", "wrong").await), 401);
        }
        let reply = browser.sign_in("Alice", "correct+horse").await;
        assert_eq!((status(&reply), reply.head.fields.text("retry-after")), (429, Some("900")));
        browser.address = "198.51.100.7";
        assert_eq!(status(&browser.sign_in("alice", "correct+horse").await), 303);
    }

    #[tokio::test]
    async fn signing_out_takes_a_form_of_ours_and_ends_the_session() {
        let mut browser = Browser::new();
        browser.sign_in("alice", "correct+horse").await;
        let cookie = browser.session_cookie().expect("signed in");
        browser.get("/logout", "").await;
        assert_eq!(status(&browser.ask(Method::POST, "/logout", "", "token=x").await), 403);
        assert_eq!(browser.who().await["user"], "alice");

        let reply = browser.post("/logout", "").await;
        assert_eq!((status(&reply), reply.head.fields.text("location")), (303, Some("/_cloakroom/logout")));
        assert_eq!(reply.head.fields.text("clear-site-data"), Some("\"cache\""));
        assert!(browser.session_cookie().is_none());
        browser.jar.push(("__Host-cloakroom".to_owned(), cookie));
        let who = browser.who().await;
        assert_eq!((&who["user"], &who["reason"]), (&serde_json::Value::Null, &"logout".into()));
        assert!(text(&browser.get("/login", "").await).contains("You are signed out."));
    }

    #[tokio::test]
    async fn no_page_shows_the_id() {
        let mut browser = Browser::new();
        browser.sign_in("alice", "correct+horse").await;
        let cookie = browser.session_cookie().expect("signed in");
        for path in ["/login", "/logout", "/session", "/nothing"] {
            let reply = browser.get(path, "").await;
            assert!(!text(&reply).contains(&cookie) && !text(&reply).contains(&cookie[..43]));
        }
    }

    #[tokio::test]
    async fn other_pages_and_methods_are_refused() {
        let mut browser = Browser::new();
        assert_eq!(status(&browser.get("/nothing", "").await), 404);
        let reply = browser.ask(Method::DELETE, "/login", "", "").await;
        assert_eq!((status(&reply), reply.head.fields.text("allow")), (405, Some("GET, HEAD, POST")));
        assert_eq!(status(&browser.ask(Method::POST, "/session", "", "").await), 405);
        assert_eq!(browser.login.entrance("/a?b=c"), "/_cloakroom/login?return=%2Fa%3Fb%3Dc");
        assert_eq!(browser.login.entrance("//evil"), "/_cloakroom/login");
    }
}
