//! Credentials: passwords and tokens for applications that want them.
//!
//! Comes in: `credentials:` of a route or of its upstream, as written. Goes out: what is said there; the route's own goes
//! before the upstream's. Never shows a password, and never asks for a token that nobody gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Context, secret_file};
use crate::config::brief::Brief;
use crate::config::diagnostic::Problems;
use crate::config::document::parse;
use crate::config::file::{self, BasicCredentials, BearerWord, OwnCredentials, Secret};
use crate::config::interpolate::System;
use crate::config::typed;
use crate::headers::credentials::{Basic, Bearer, Credentials, Person};
use crate::headers::template::Template;
use crate::login::oidc::settings::OidcSettings;
use crate::route::Route;
use crate::session::StoreKind;
use crate::session::data::DataKey;
use crate::session::rights::is_name;

/// What an application is told; `own` is the name space of the upstream.
pub(super) fn resolve(
    context: &mut Context,
    at: &str,
    given: &file::Credentials,
    own: &str,
) -> Option<Arc<Credentials>> {
    match (&given.basic, given.bearer) {
        (Some(given), None) => {
            Some(Arc::new(Credentials::Basic(basic(context, &format!("{at}.basic"), given, own)?)))
        }
        (None, Some(word)) => Some(Arc::new(Credentials::Bearer(match word {
            BearerWord::AccessToken => Bearer::AccessToken,
            BearerWord::IdToken => Bearer::IdToken,
        }))),
        (Some(_), Some(_)) => {
            context.key_error(
                &format!("{at}.bearer"),
                "there is one `Authorization` only\nleave `basic` or `bearer` out",
            );
            None
        }
        (None, None) => {
            context.missing(at, "credentials of no kind\nadd `basic: { user: \"{user}\", password: \"…\" }`");
            None
        }
    }
}

/// Whether an application is told this token.
pub(super) fn tells(routes: &[Route], token: Bearer) -> bool {
    routes.iter().any(|route| told(route) == Some(token))
}

/// The token that the application behind a route is told.
fn told(route: &Route) -> Option<Bearer> {
    match route.credentials.as_deref() {
        Some(Credentials::Bearer(token)) => Some(*token),
        _ => None,
    }
}

/// Tokens must come from somewhere, and last.
pub(super) fn check_tokens(context: &mut Context, routes: &[Route], oidc: &OidcSettings, store: StoreKind) {
    let Some(route) = routes.iter().find(|route| told(route).is_some()) else { return };
    if oidc.providers.is_empty() {
        let message = format!(
            "nobody gives tokens, and an application wants one (route `{}`)\nadd `login.oidc`, or leave `bearer` out",
            route.name
        );
        context.key_error("login", message);
    }
    for (at, route) in routes.iter().enumerate() {
        if told(route).is_some() && !route.access.looks_at_sessions() {
            let message = "with `access: public` nobody's token is known\nwrite `access: optional`";
            context.warn(&format!("routes[{at}]"), message);
        }
    }
    if store == StoreKind::Cookie {
        context.error("session.store", "tokens have no room in cookies, and an application wants one\nuse another `session.store`, or leave `bearer` out");
    }
    if !tells(routes, Bearer::AccessToken) {
        return;
    }
    for (at, _) in oidc.providers.iter().enumerate().filter(|(_, provider)| !provider.refresh) {
        context.warn(&format!("login.oidc[{at}]"), "applications are told the access token, and it ends before the session does\nadd `refresh: true`");
    }
}

fn basic(context: &mut Context, at: &str, basic: &BasicCredentials, own: &str) -> Option<Basic> {
    let nowhere = basic.password.is_none()
        && basic.from_session.is_none()
        && basic.from_login.is_none()
        && basic.users_file.is_none();
    if nowhere {
        context.missing(at, "a user without a password\nadd `password: \"${file:/run/secrets/app}\"`");
    }
    let user = match Template::parse(&basic.user) {
        Ok(user) => user,
        Err(why) => {
            context.error(&format!("{at}.user"), why.to_string());
            return None;
        }
    };
    if basic.user.contains(':') {
        context.error(&format!("{at}.user"), "a user's name holds no colon: the password begins there");
    }
    let key = basic.from_session.as_ref().and_then(|text| {
        let (space, name) = text.split_once('.').unwrap_or((own, text));
        let sound = is_name(name) && is_name(space) && name != "*";
        if !sound {
            let message = format!(
                "`{text}` is not a key\nwrite `password` for the upstream's own, or `shared.password`"
            );
            context.error(&format!("{at}.from_session"), message);
        }
        sound.then(|| DataKey::new(space, name))
    });
    let people = match &basic.users_file {
        Some(name) => {
            let path = context.file(name);
            let place = format!("{at}.users_file");
            secret_file::warn_if_open(context, &place, &path);
            people(context, &place, &path)
        }
        None => BTreeMap::new(),
    };
    let password = basic.password.as_ref().map(|Secret(password)| password.clone());
    Some(Basic { user, people, key, note: basic.from_login.clone(), password })
}

/// People's own, from a file.
fn people(context: &mut Context, at: &str, path: &Path) -> BTreeMap<String, Person> {
    let given = match read(path) {
        Ok(given) => given,
        Err(Unusable::File(error)) => {
            context.error(at, format!("cannot read {}: {error}", path.display()));
            return BTreeMap::new();
        }
        Err(Unusable::Content(problems)) => {
            context.found.extend(problems.diagnostics().iter().cloned());
            return BTreeMap::new();
        }
    };
    let mut people = BTreeMap::new();
    for (name, Brief(own)) in given {
        match own.password {
            Some(Secret(password)) => drop(people.insert(name, Person { user: own.user, password })),
            None => context.error(at, format!("`{name}` has no password in {}", path.display())),
        }
    }
    people
}

enum Unusable {
    File(std::io::Error),
    Content(Problems),
}

fn read(path: &Path) -> Result<BTreeMap<String, Brief<OwnCredentials>>, Unusable> {
    let text = std::fs::read_to_string(path).map_err(Unusable::File)?;
    let name = path.display().to_string();
    let content = |found| Unusable::Content(Problems::new(found));
    // Nothing in there may be shown.
    let parsed = parse(&name, &text, |_| true).map_err(|found| content(vec![*found]))?;
    let (mut document, mut value, mut found) = (parsed.document, parsed.value, parsed.twice);
    let mut lookup = System::new(path.parent().unwrap_or(Path::new("")).to_path_buf());
    typed::prepare(&mut document, &mut value, |path| path.is_empty(), &mut lookup, &mut found);
    let people = typed::read(&mut document, value, &mut found).unwrap_or_default();
    if found.is_empty() { Ok(people) } else { Err(content(found)) }
}
