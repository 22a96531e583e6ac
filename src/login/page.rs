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
mod view;

pub use factor::Factor;
pub use view::{Place, Row, View, Waiting};

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
            Page::Code => &[sample::TOKEN, "name=\"token\"", "name=\"carried\"", "name=\"code\""],
            Page::Notice | Page::Totp => &[],
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
