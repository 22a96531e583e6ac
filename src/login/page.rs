//! Page: what people see of us.
//!
//! Comes in: what to say, in which language. Goes out: HTML that works without scripts, with headers that allow none.
//! Never puts anything into a page unescaped but our own style sheet, which the policy names by its hash.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::login::looks::{Logo, Looks};
use crate::login::text::Language;
use crate::message::ResponseHead;
use crate::session::Ticket;

mod sample;

mod factor;

pub use factor::Factor;

const STYLE: &str = include_str!("style.css");

/// A whole answer. For HEAD, whoever sends it leaves the body out.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status and fields; framing is up to whoever sends it.
    pub head: ResponseHead,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Goes on to another page with GET, and is kept by no cache.
    pub fn see_other(location: &str) -> Self {
        let head = ResponseHead::new(StatusCode::SEE_OTHER)
            .with("Location", location)
            .with("Cache-Control", "no-store")
            .with("Referrer-Policy", "same-origin");
        Self { head, body: Bytes::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.fields.append(name, value);
        self
    }

    /// Adds what hands a session out, or takes one back.
    #[must_use]
    pub fn with_tickets(self, tickets: &[Ticket]) -> Self {
        tickets.iter().fold(self, |reply, ticket| reply.with("Set-Cookie", ticket.set_cookie()))
    }
}

/// The pages, compiled.
#[derive(Debug)]
pub struct Pages {
    /// With the operator's in place of ours.
    templates: Environment<'static>,
    /// Ours, for when one of the operator's fails.
    ours: Environment<'static>,
    title: String,
    prefix: String,
    style: String,
    logo: Option<Logo>,
    policy: String,
}

/// The names of all templates.
pub const TEMPLATES: [&str; 6] =
    ["base.html", "login.html", "logout.html", "notice.html", "replay.html", "sessions.html"];

/// What is wrong with an operator's template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Its name.
    pub file: String,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// What it is.
    pub why: String,
}

/// Which template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The form to sign in.
    Login,
    /// The form to sign out.
    Logout,
    /// A sentence.
    Notice,
    /// The list of one's own sessions.
    Sessions,
    /// A request that waits for its login.
    Replay,
    /// The form that asks for the second factor.
    Code,
    /// One's own second factor.
    Totp,
}

/// What a page says; templates leave out what is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// The heading.
    pub heading: &'a str,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// What there is to know.
    pub note: Option<&'a str>,
    /// What to name when asking for help.
    pub reference: &'a str,
    /// Who is signed in.
    pub signed_in_as: Option<&'a str>,
    /// The form's token.
    pub token: &'a str,
    /// Where to go afterwards.
    pub target: &'a str,
    /// The user name as typed before.
    pub user: &'a str,
    /// Whether there is a box to stay signed in.
    pub offer_remember: bool,
    /// Whether it is ticked.
    pub remember: bool,
    /// Whether there is a box to have the user name remembered.
    pub offer_name: bool,
    /// Whether that is ticked.
    pub remember_name: bool,
    /// Whether one can sign out everywhere at once.
    pub offer_everywhere: bool,
    /// One's own sessions.
    pub sessions: &'a [Row],
    /// Whether there are more of them.
    pub more: bool,
    /// The token of the form that signs out everywhere else.
    pub others_token: &'a str,
    /// Whether a notice leads to the form to sign in.
    pub offer_login: bool,
    /// Whether a notice leads on to the application.
    pub offer_back: bool,
    /// A request that waits for its login.
    pub waiting: Option<&'a Waiting>,
    /// Whether there is a form for name and password.
    pub offer_password: bool,
    /// The places where one can sign in.
    pub places: &'a [Place],
    /// What leads on to the target.
    pub lead_on: Option<&'a str>,
    /// What there is to show of a second factor.
    pub factor: Option<&'a Factor>,
    /// Whether there is a way to one's second factor.
    pub offer_factor: bool,
}

/// A request that waits for its login, as the page says it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What it is called in its form.
    pub name: String,
    /// Its method.
    pub method: String,
    /// Site, path and query.
    pub address: String,
    /// How large its body is.
    pub size: String,
    /// What its body is; empty where that was not said.
    pub kind: String,
    /// Where its form goes: to the address it is for, so that the answer stands there.
    pub action: String,
}

/// A place where one can sign in.
#[derive(Clone, Debug)]
pub struct Place {
    /// What stands on the button.
    pub label: String,
    /// Where it leads, below the prefix.
    pub path: String,
}

/// One of somebody's own sessions.
#[derive(Clone, Debug)]
pub struct Row {
    /// Browser and system.
    pub made_by: String,
    /// Where it was made.
    pub address: String,
    /// When, in UTC.
    pub signed_in: String,
    /// How long ago.
    pub signed_in_ago: String,
    /// When it was last used, in UTC.
    pub used: String,
    /// How long ago.
    pub used_ago: String,
    /// It is the one that asks.
    pub is_this: bool,
    /// What it is called in its form.
    pub name: String,
    /// Its form's token.
    pub token: String,
}

impl Pages {
    /// Pages under this title, their forms under this prefix. A template that cannot be read is as good as not given.
    pub fn new(looks: &Looks, title: &str, prefix: &str) -> Self {
        let mut templates = ours();
        for (name, source) in &looks.templates {
            if let Err(error) = templates.add_template_owned(name.clone(), source.clone()) {
                tracing::error!("{name}: {error}");
            }
        }
        let style = looks.style.clone().unwrap_or_else(|| STYLE.to_owned());
        // No form-action: browsers apply it to redirects as well, and an application may send people on elsewhere.
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let pictures = if looks.logo.is_some() { "'self' data:" } else { "data:" };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src {pictures}; base-uri 'none'; frame-ancestors 'none'"
        );
        let (title, prefix, logo) = (title.to_owned(), prefix.to_owned(), looks.logo.clone());
        Self { templates, ours: ours(), title, prefix, style, logo, policy }
    }

    /// The picture on the pages.
    pub fn logo(&self) -> Option<&Logo> {
        self.logo.as_ref()
    }

    /// A page.
    pub fn show(&self, page: Page, status: StatusCode, language: Language, view: &View<'_>) -> Reply {
        let context = self.context(language, view);
        let html = render(&self.templates, page, &context).unwrap_or_else(|error| {
            tracing::error!("a template fails, and the gateway's own page is shown instead: {error}");
            render(&self.ours, page, &context).expect("our templates use only what they are given")
        });
        let head = ResponseHead::new(status)
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Content-Language", language.tag())
            .with("Cache-Control", "no-store")
            .with("Vary", "Accept-Language, Cookie")
            .with("Content-Security-Policy", &self.policy)
            .with("X-Content-Type-Options", "nosniff")
            .with("X-Frame-Options", "DENY")
            .with("Referrer-Policy", "same-origin")
            .with("Cross-Origin-Opener-Policy", "same-origin")
            .with("Cross-Origin-Resource-Policy", "same-origin");
        Reply { head, body: Bytes::from(html) }
    }

    fn context(&self, language: Language, view: &View<'_>) -> Value {
        let logo = self.logo.as_ref().map(|logo| {
            context! { src => format!("{}/logo?v={}", self.prefix, logo.version), alt => logo.alt.as_str() }
        });
        context! {
            title => self.title.as_str(),
            prefix => self.prefix.as_str(),
            style => self.style.as_str(),
            logo => logo,
            lang => language.tag(),
            words => language.words().for_templates(),
            ..view.for_templates()
        }
    }

    /// Tries an operator's templates: each must be well-formed, use what it is given, and hold what its form needs.
    pub fn flaws(looks: &Looks) -> Vec<Flaw> {
        let mut templates = ours();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut flaws = Vec::new();
        for (name, source) in &looks.templates {
            let added = templates.add_template_owned(name.clone(), source.clone());
            flaws.extend(added.err().map(|error| Flaw::of(name, &error)));
        }
        if !flaws.is_empty() {
            return flaws;
        }
        let pages = Self::new(looks, "Title", "/_cloakroom");
        for page in Page::ALL {
            for view in [sample::full(), sample::bare()] {
                let html = match render(&templates, page, &pages.context(Language::English, &view.view())) {
                    Ok(html) => html,
                    Err(error) => {
                        flaws.push(Flaw::of(page.template(), &error));
                        continue;
                    }
                };
                let lacks = page.needs().iter().find(|needed| !html.contains(**needed));
                let why =
                    lacks.map(|needed| format!("the page lacks `{needed}`, so its form cannot be used"));
                let file = page.template().to_owned();
                flaws.extend(why.map(|why| Flaw { file, line: None, why }));
            }
        }
        flaws.dedup();
        flaws
    }
}

/// The templates as they come with the gateway.
fn ours() -> Environment<'static> {
    let mut templates = Environment::new();
    for (name, source) in [
        ("base.html", include_str!("base.html")),
        (Page::Login.template(), include_str!("login.html")),
        (Page::Logout.template(), include_str!("logout.html")),
        (Page::Notice.template(), include_str!("notice.html")),
        (Page::Sessions.template(), include_str!("sessions.html")),
        (Page::Replay.template(), include_str!("replay.html")),
        (Page::Code.template(), include_str!("code.html")),
        (Page::Totp.template(), include_str!("totp.html")),
        ("enrol.html", include_str!("enrol.html")),
    ] {
        templates.add_template(name, source).expect("our templates are well-formed");
    }
    templates
}

fn render(templates: &Environment<'_>, page: Page, context: &Value) -> Result<String, minijinja::Error> {
    templates.get_template(page.template())?.render(context)
}

impl Flaw {
    fn of(file: &str, error: &minijinja::Error) -> Self {
        let file = error.name().unwrap_or(file).to_owned();
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Self { file, line: error.line(), why: format!("{}{detail}", error.kind()) }
    }
}

impl View<'_> {
    fn for_templates(&self) -> Value {
        context! {
            heading => self.heading,
            error => self.error,
            note => self.note,
            reference => self.reference,
            signed_in_as => self.signed_in_as,
            token => self.token,
            target => self.target,
            user => self.user,
            offer_remember => self.offer_remember,
            remember => self.remember,
            offer_name => self.offer_name,
            remember_name => self.remember_name,
            offer_everywhere => self.offer_everywhere,
            sessions => self.sessions.iter().map(Row::for_templates).collect::<Vec<_>>(),
            more => self.more,
            others_token => self.others_token,
            offer_login => self.offer_login,
            offer_back => self.offer_back,
            request => self.waiting.map(Waiting::for_templates),
            offer_password => self.offer_password,
            places => self.places.iter().map(Place::for_templates).collect::<Vec<_>>(),
            lead_on => self.lead_on,
            factor => self.factor.map(Factor::for_templates),
            offer_factor => self.offer_factor,
        }
    }
}

impl Waiting {
    fn for_templates(&self) -> Value {
        context! {
            name => self.name.as_str(),
            method => self.method.as_str(),
            address => self.address.as_str(),
            size => self.size.as_str(),
            kind => self.kind.as_str(),
            action => self.action.as_str(),
        }
    }
}

impl Place {
    fn for_templates(&self) -> Value {
        context! { label => self.label.as_str(), path => self.path.as_str() }
    }
}

impl Row {
    fn for_templates(&self) -> Value {
        context! {
            made_by => self.made_by.as_str(),
            address => self.address.as_str(),
            signed_in => self.signed_in.as_str(),
            signed_in_ago => self.signed_in_ago.as_str(),
            used => self.used.as_str(),
            used_ago => self.used_ago.as_str(),
            is_this => self.is_this,
            name => self.name.as_str(),
            token => self.token.as_str(),
        }
    }
}

impl Page {
    const ALL: [Self; 7] =
        [Self::Login, Self::Logout, Self::Notice, Self::Sessions, Self::Replay, Self::Code, Self::Totp];

    /// What must stand in it when it is shown with [`sample`]: without these its form cannot be sent.
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Page::Login => &[
                sample::TOKEN,
                "name=\"token\"",
                "name=\"return\"",
                "name=\"username\"",
                "name=\"password\"",
            ],
            Page::Logout | Page::Sessions => &[sample::TOKEN, "name=\"token\""],
            Page::Replay => &[sample::TOKEN, "name=\"token\"", "name=\"cloakroom_replay\""],
            Page::Code | Page::Totp => {
                &[sample::TOKEN, "name=\"token\"", "name=\"carried\"", "name=\"code\""]
            }
            Page::Notice => &[],
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Page::Login => "login.html",
            Page::Logout => "logout.html",
            Page::Notice => "notice.html",
            Page::Sessions => "sessions.html",
            Page::Replay => "replay.html",
            Page::Code => "code.html",
            Page::Totp => "totp.html",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).expect("HTML")
    }

    #[test]
    fn what_people_typed_is_escaped() {
        let pages = Pages::new(&Looks::default(), "<Example & Co>", "/_cloakroom");
        let evil = "\"><script>alert(1)</script>";
        let view = View { user: evil, target: evil, error: Some(evil), ..View::default() };
        let reply = pages.show(Page::Login, StatusCode::OK, Language::English, &view);
        assert!(!text(&reply).contains("<script>"));
        let reply = pages.show(Page::Sessions, StatusCode::OK, Language::English, &view);
        assert!(!text(&reply).contains("<script>"));
        assert!(text(&reply).contains("&lt;Example &amp; Co&gt;"));
    }

    #[test]
    fn every_page_allows_no_script_and_no_frame_and_is_kept_nowhere() {
        let pages = Pages::new(&Looks::default(), "Example", "/_cloakroom");
        for page in Page::ALL {
            for language in [Language::English, Language::Korean] {
                let reply = pages.show(page, StatusCode::OK, language, &View::default());
                let field = |name| reply.head.fields.text(name).unwrap_or_default();
                assert!(
                    field("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-")
                );
                assert!(field("content-security-policy").contains("frame-ancestors 'none'"));
                assert_eq!(field("cache-control"), "no-store");
                assert_eq!(field("x-content-type-options"), "nosniff");
                assert_eq!(field("content-language"), language.tag());
                assert!(text(&reply).contains(&format!("<html lang=\"{}\">", language.tag())));
                assert!(!text(&reply).contains("<script") && !text(&reply).contains(" style="));
            }
        }
    }

    #[test]
    fn the_policy_names_the_style_as_it_stands_in_the_page() {
        let pages = Pages::new(&Looks::default(), "Example", "/_cloakroom");
        let reply = pages.show(Page::Notice, StatusCode::OK, Language::English, &View::default());
        let (_, rest) = text(&reply).split_once("<style>").expect("a style");
        let (style, _) = rest.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = reply.head.fields.text("content-security-policy").expect("a policy");
        assert!(policy.contains(&format!("'sha256-{hash}'")));
    }
}
