//! Page: what people see of us.
//!
//! Comes in: what to say, in which language. Goes out: HTML that works without scripts, with headers that allow none.
//! Never puts anything into a page unescaped but our own style sheet, which the policy names by its hash.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use minijinja::{Environment, Value, context};

use crate::login::text::Language;
use crate::message::ResponseHead;
use crate::session::Ticket;

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
    templates: Environment<'static>,
    title: String,
    prefix: String,
    policy: String,
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
    /// What there is to show of a second factor.
    pub factor: Option<&'a Factor>,
    /// Whether there is a way to one's second factor.
    pub offer_factor: bool,
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
    /// Pages under this title, their forms under this prefix.
    pub fn new(title: &str, prefix: &str) -> Self {
        let mut templates = Environment::new();
        for (name, source) in [
            ("base.html", include_str!("base.html")),
            (Page::Login.template(), include_str!("login.html")),
            (Page::Logout.template(), include_str!("logout.html")),
            (Page::Notice.template(), include_str!("notice.html")),
            (Page::Sessions.template(), include_str!("sessions.html")),
            (Page::Code.template(), include_str!("code.html")),
            (Page::Totp.template(), include_str!("totp.html")),
            ("enrol.html", include_str!("enrol.html")),
        ] {
            templates.add_template(name, source).expect("our templates are well-formed");
        }
        // No form-action: browsers apply it to redirects as well, and an application may send people on elsewhere.
        let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
        );
        Self { templates, title: title.to_owned(), prefix: prefix.to_owned(), policy }
    }

    /// A page.
    pub fn show(&self, page: Page, status: StatusCode, language: Language, view: &View<'_>) -> Reply {
        let template = self.templates.get_template(page.template()).expect("all were added at the start");
        let context = context! {
            title => self.title.as_str(),
            prefix => self.prefix.as_str(),
            style => STYLE,
            lang => language.tag(),
            words => language.words().for_templates(),
            ..view.for_templates()
        };
        let html = template.render(context).expect("our templates use only what they are given");
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
            factor => self.factor.map(Factor::for_templates),
            offer_factor => self.offer_factor,
        }
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
    const fn template(self) -> &'static str {
        match self {
            Page::Login => "login.html",
            Page::Logout => "logout.html",
            Page::Notice => "notice.html",
            Page::Sessions => "sessions.html",
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
        let pages = Pages::new("<Example & Co>", "/_cloakroom");
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
        let pages = Pages::new("Example", "/_cloakroom");
        for page in [Page::Login, Page::Logout, Page::Notice, Page::Sessions, Page::Code, Page::Totp] {
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
        let pages = Pages::new("Example", "/_cloakroom");
        let reply = pages.show(Page::Notice, StatusCode::OK, Language::English, &View::default());
        let (_, rest) = text(&reply).split_once("<style>").expect("a style");
        let (style, _) = rest.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = reply.head.fields.text("content-security-policy").expect("a policy");
        assert!(policy.contains(&format!("'sha256-{hash}'")));
    }
}
