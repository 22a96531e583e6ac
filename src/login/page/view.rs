//! View: what a page says.
//!
//! Comes in: facts for people to read. Goes out: values for the templates, which escape them. Never decides anything.

use minijinja::{Value, context};

use super::Factor;

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

impl View<'_> {
    pub(super) fn for_templates(&self) -> Value {
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
    pub(super) fn for_templates(&self) -> Value {
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
    pub(super) fn for_templates(&self) -> Value {
        context! { label => self.label.as_str(), path => self.path.as_str() }
    }
}

impl Row {
    pub(super) fn for_templates(&self) -> Value {
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
