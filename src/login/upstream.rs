//! Upstream: the application's own login page, and what its answers mean.
//!
//! Comes in: a request to one of the configured pages, as it passes through, and the head of its response. Goes out: who has
//! logged in or that somebody has logged out; or that the response must not be passed on, because somebody has tried too
//! often. The body streams on while one field of it is read. Never takes a name for granted that could have been read in
//! another way by the application.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use http::{Method, StatusCode};

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::login::ThrottleSettings;
use crate::login::throttle::{Throttle, Wait};
use crate::message::{Fields, ResponseHead};
use tap::{Field, Tap, Unread};

pub mod tap;

/// One entry of `login.upstream`.
#[derive(Clone, Debug)]
pub struct Application {
    /// Host it answers for; none: every host.
    pub host: Option<String>,
    /// Exact path of the request that logs in.
    pub path: String,
    /// Its method.
    pub method: Method,
    /// The answer that means success.
    pub success: Success,
    /// The status that means failure; without it every answer below 500 that does not mean success.
    pub failure: Option<StatusCode>,
    /// Where the name stands.
    pub user_from: Source,
    /// The header of the answer with the groups, separated by commas.
    pub groups_from: Option<String>,
    /// Where people are sent who are not logged in.
    pub login_page: Option<String>,
    /// The query parameter of that page that says where to go afterwards.
    pub return_parameter: String,
    /// What logs out.
    pub logout: Option<Logout>,
}

/// The answer that means success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Its status.
    pub status: StatusCode,
    /// The cookie it sets; none: any.
    pub cookie: Option<String>,
}

/// Where the name of the user stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this field of the form.
    Field(String),
    /// In this header of the answer.
    Header(String),
}

impl Source {
    fn header(&self) -> Option<&str> {
        match self {
            Source::Header(name) => Some(name),
            Source::Field(_) => None,
        }
    }
}

/// What logs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// Exact path.
    pub path: String,
    /// The method; none: any.
    pub method: Option<Method>,
}

/// A request that is followed to its answer.
#[derive(Debug)]
pub struct Watch {
    application: usize,
    deed: Deed,
    /// Reads the form as it streams by.
    pub tap: Option<Rc<RefCell<Tap>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Login,
    Logout,
}

/// What an answer means.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// Nothing to us.
    #[default]
    Nothing,
    /// This one has logged in.
    Login(Identity),
    /// Whoever asked has logged out.
    Logout,
    /// Somebody has tried too often: the answer is not passed on.
    TooMany(Wait),
}

/// A request as it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The host, in lower case and without port.
    pub host: &'a str,
    /// The path in normal form.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub fields: &'a Fields,
}

/// Follows a request to its answer, if it is one that logs in or out at one of the applications.
pub fn watch(applications: &[Application], request: &Passing<'_>) -> Option<Box<Watch>> {
    applications.iter().enumerate().find_map(|(number, application)| application.watch(number, request))
}

impl Application {
    fn answers_for(&self, host: &str) -> bool {
        self.host.as_deref().is_none_or(|own| own == host)
    }

    /// Follows a request, if it is one that logs in or out.
    fn watch(&self, number: usize, request: &Passing<'_>) -> Option<Box<Watch>> {
        if !self.answers_for(request.host) {
            return None;
        }
        if request.path == self.path && *request.method == self.method {
            let tap = match &self.user_from {
                Source::Field(name) => Some(Tap::new(name, request.fields, request.query)),
                Source::Header(_) => None,
            };
            let tap = tap.map(|tap| Rc::new(RefCell::new(tap)));
            return Some(Box::new(Watch { application: number, deed: Deed::Login, tap }));
        }
        let logout = self.logout.as_ref()?;
        let method = logout.method.as_ref().is_none_or(|method| method == request.method);
        let logs_out = logout.path == request.path && method;
        logs_out.then(|| Box::new(Watch { application: number, deed: Deed::Logout, tap: None }))
    }

    /// Where somebody is sent to log in at the application, if that is configured for this host.
    pub fn entrance(&self, host: Option<&str>) -> Option<&str> {
        let here = host.is_none_or(|host| self.answers_for(host));
        self.login_page.as_deref().filter(|_| here)
    }

    /// Whether an answer means success.
    fn succeeded(&self, answer: &ResponseHead) -> bool {
        let cookie = self.success.cookie.as_deref();
        answer.status == self.success.status && cookie.is_none_or(|name| sets(&answer.fields, name))
    }

    fn failed(&self, answer: &ResponseHead) -> bool {
        match self.failure {
            Some(status) => answer.status == status,
            None => !answer.status.is_server_error(),
        }
    }
}

impl Watch {
    /// Which of the applications.
    pub fn application(&self) -> usize {
        self.application
    }

    /// What the answer means. A header that says who logged in is taken out of it.
    pub fn hear(
        &self,
        application: &Application,
        answer: &mut ResponseHead,
        attempts: (&Throttle, &ThrottleSettings),
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Heard {
        if self.deed == Deed::Logout {
            let done = answer.status.is_success() || answer.status.is_redirection();
            return if done { Heard::Logout } else { Heard::Nothing };
        }
        let success = application.succeeded(answer);
        let user = self.user(application, &answer.fields);
        let groups = groups(application, &answer.fields);
        let told = [application.user_from.header(), application.groups_from.as_deref()];
        told.into_iter().flatten().for_each(|name| answer.fields.remove(name));
        if !success && !application.failed(answer) {
            return Heard::Nothing;
        }
        let (throttle, limits) = attempts;
        let user = match user {
            Ok(user) => user,
            Err(why) => {
                let waits = throttle.address_failed(limits, client, now).err();
                if success && waits.is_none() {
                    let path = application.path.as_str();
                    tracing::warn!(path, "a login at the application counts for nothing: {why}");
                }
                return waits.map_or(Heard::Nothing, Heard::TooMany);
            }
        };
        let attempt = match throttle.begin(limits, &user, client, now) {
            Ok(attempt) => attempt,
            Err(wait) => return Heard::TooMany(wait),
        };
        throttle.over(&attempt);
        if !success {
            tracing::warn!(path = application.path, "a login at the application failed");
            return Heard::Nothing;
        }
        throttle.succeeded(&attempt);
        match Identity::new(&user, None, None, &groups) {
            Ok(identity) => Heard::Login(identity),
            Err(why) => {
                tracing::warn!(
                    path = application.path,
                    "a login at the application counts for nothing: {why}"
                );
                Heard::Nothing
            }
        }
    }

    fn user(&self, application: &Application, answer: &Fields) -> Result<String, Unread> {
        let found = match (&application.user_from, &self.tap) {
            (Source::Field(_), Some(tap)) => tap.borrow().found()?,
            (Source::Header(name), _) => header(answer, name)?,
            (Source::Field(_), None) => return Err(Unread::Missing),
        };
        let user = found.trim();
        if user.is_empty() { Err(Unread::Missing) } else { Ok(user.to_owned()) }
    }
}

/// The one value of a header, as UTF-8.
fn header(answer: &Fields, name: &str) -> Field {
    let mut values = answer.get_all(name);
    let value = values.next().ok_or(Unread::Missing)?;
    match values.next() {
        Some(_) => Err(Unread::Twice),
        None => String::from_utf8(value.to_vec()).map_err(|_| Unread::Odd),
    }
}

fn groups(application: &Application, answer: &Fields) -> Vec<String> {
    let Some(name) = &application.groups_from else { return Vec::new() };
    let lines = answer.get_all(name).filter_map(|value| std::str::from_utf8(value).ok());
    let groups = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|group| !group.is_empty());
    groups.map(str::to_owned).collect()
}

/// Whether a response hands out this cookie; one that is taken back, or empty, is not handed out.
fn sets(answer: &Fields, name: &str) -> bool {
    answer.get_all("set-cookie").any(|value| {
        let Ok(text) = std::str::from_utf8(value) else { return false };
        let mut parts = text.split(';').map(str::trim);
        let pair = parts.next().unwrap_or_default();
        let Some((found, value)) = pair.split_once('=') else { return false };
        let over = parts.any(|part| {
            let part = part.to_ascii_lowercase();
            part.strip_prefix("max-age=").is_some_and(|age| age == "0" || age.starts_with('-'))
        });
        found.trim() == name && !value.trim().trim_matches('"').is_empty() && !over
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(user_from: Source) -> Application {
        Application {
            host: None,
            path: "/login/".to_owned(),
            method: Method::POST,
            success: Success { status: StatusCode::FOUND, cookie: Some("sessionid".to_owned()) },
            failure: None,
            user_from,
            groups_from: Some("X-Groups".to_owned()),
            login_page: Some("/login/".to_owned()),
            return_parameter: "next".to_owned(),
            logout: Some(Logout { path: "/logout/".to_owned(), method: Some(Method::POST) }),
        }
    }

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        list.iter().for_each(|(name, value)| fields.append(name, value));
        fields
    }

    fn answer(status: u16, list: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { status: StatusCode::from_u16(status).expect("a status"), fields: fields(list) }
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
    const COOKIE: (&str, &str) = ("Set-Cookie", "sessionid=abc; HttpOnly");

    fn passing<'a>(path: &'a str, method: &'a Method, fields: &'a Fields) -> Passing<'a> {
        Passing { host: "app.example", path, query: None, method, fields }
    }

    /// What an answer to a form means.
    fn heard(application: &Application, throttle: &Throttle, form: &str, answer: &mut ResponseHead) -> Heard {
        let fields = fields(FORM);
        let watch = application.watch(0, &passing("/login/", &Method::POST, &fields)).expect("it logs in");
        if let Some(tap) = &watch.tap {
            tap.borrow_mut().pass(form.as_bytes());
        }
        let limits = ThrottleSettings::default();
        watch.hear(application, answer, (throttle, &limits), "192.0.2.1".parse().ok(), now())
    }

    #[test]
    fn only_the_configured_requests_are_followed() {
        let application = application(Source::Field("username".to_owned()));
        let fields = fields(FORM);
        let follows = |path, method| application.watch(0, &passing(path, &method, &fields)).is_some();
        assert!(follows("/login/", Method::POST) && follows("/logout/", Method::POST));
        assert!(!follows("/login/", Method::GET) && !follows("/login", Method::POST));
        assert!(!follows("/logout/", Method::GET));
        let elsewhere = Application { host: Some("other.example".to_owned()), ..application.clone() };
        assert!(elsewhere.watch(0, &passing("/login/", &Method::POST, &fields)).is_none());
        assert_eq!(elsewhere.entrance(Some("app.example")), None);
        assert_eq!(application.entrance(Some("app.example")), Some("/login/"));
    }

    #[test]
    fn the_answer_decides_who_has_logged_in() {
        let by_field = application(Source::Field("username".to_owned()));
        let throttle = Throttle::new();
        let form = "csrf=x&username=+al%69ce&password=secret";
        let mut good = answer(302, &[COOKIE, ("X-Groups", "staff, finance")]);
        let Heard::Login(identity) = heard(&by_field, &throttle, form, &mut good) else { panic!("no login") };
        assert_eq!(
            (identity.user(), identity.groups().collect::<Vec<_>>()),
            ("alice", vec!["staff", "finance"])
        );
        assert!(!good.fields.contains("x-groups") && good.fields.contains("set-cookie"));
        for mut bad in [
            answer(200, &[COOKIE]),
            answer(302, &[]),
            answer(302, &[("Set-Cookie", "sessionid=; Max-Age=0")]),
            answer(
                302,
                &[("Set-Cookie", "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0")],
            ),
            answer(302, &[("Set-Cookie", "xsessionid=abc")]),
            answer(500, &[COOKIE]),
        ] {
            assert_eq!(heard(&by_field, &Throttle::new(), form, &mut bad), Heard::Nothing);
        }
        let by_header = application(Source::Header("X-Logged-In-User".to_owned()));
        let mut good = answer(302, &[COOKIE, ("X-Logged-In-User", "김철수")]);
        let Heard::Login(identity) = heard(&by_header, &throttle, "username=mallory", &mut good) else {
            panic!("no login")
        };
        assert_eq!(identity.user(), "김철수");
        assert!(!good.fields.contains("x-logged-in-user"), "it was for us");
        let mut twice = answer(302, &[COOKIE, ("X-Logged-In-User", "a"), ("X-Logged-In-User", "b")]);
        assert_eq!(heard(&by_header, &throttle, "", &mut twice), Heard::Nothing);
    }

    #[test]
    fn failures_count_and_too_many_hide_the_answer() {
        let application = application(Source::Field("username".to_owned()));
        let throttle = Throttle::new();
        for _ in 0..5 {
            assert_eq!(
                heard(&application, &throttle, "username=alice", &mut answer(200, &[])),
                Heard::Nothing
            );
        }
        let mut right = answer(302, &[COOKIE]);
        assert!(matches!(heard(&application, &throttle, "username=ALICE", &mut right), Heard::TooMany(_)));
        for _ in 0..45 {
            heard(&application, &throttle, "nobody=x", &mut answer(200, &[]));
        }
        assert!(matches!(heard(&application, &throttle, "", &mut answer(200, &[])), Heard::TooMany(_)));
    }

    #[test]
    fn a_logout_counts_when_the_application_agrees() {
        let application = application(Source::Field("username".to_owned()));
        let fields = Fields::new();
        let watch = application.watch(0, &passing("/logout/", &Method::POST, &fields)).expect("it logs out");
        let throttle = Throttle::new();
        for (status, expected) in
            [(302, Heard::Logout), (200, Heard::Logout), (403, Heard::Nothing), (500, Heard::Nothing)]
        {
            let limits = ThrottleSettings::default();
            assert_eq!(
                watch.hear(&application, &mut answer(status, &[]), (&throttle, &limits), None, now()),
                expected
            );
        }
    }
}
