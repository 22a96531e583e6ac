//! Rights: what upstreams may know and change of sessions.
//!
//! Comes in: the `session` and `session_headers` of a route, and `session.preferences`. Goes out: rights over name spaces.
//! Never lets two upstreams share a name space without saying so: two whose names come to the same are refused. Never lets
//! a key be told under a name that says who is asking.

use std::collections::BTreeMap;

use http::HeaderName;

use super::Context;
use super::headers::is_taken;
use crate::config::file::{File, RouteSession};
use crate::config::typed::{did_you_mean, listed};
use crate::headers::{Guard, is_same_name};
use crate::session::data::DataKey;
use crate::session::protocol::SessionHeader;
use crate::session::rights::{Pattern, Rights, SHARED, Use, is_name, space_of};
use crate::upstream::Settings;

/// How keys are written.
const WRITTEN: &str =
    "write `theme` for the upstream's own, `shared.theme` for everybody's: lower case, digits, `_`, `-`, `.`";

/// The name space of each upstream, and of all.
fn spaces(upstreams: &[Settings]) -> Vec<String> {
    upstreams.iter().map(|upstream| space_of(&upstream.name)).chain([SHARED.to_owned()]).collect()
}

/// No two upstreams have the same name space, and none has everybody's.
pub(super) fn check_names(context: &mut Context, upstreams: &[Settings]) {
    for (at, upstream) in upstreams.iter().enumerate() {
        let (place, space) = (format!("upstreams.{}", upstream.name), space_of(&upstream.name));
        let same = upstreams[..at].iter().find(|earlier| space_of(&earlier.name) == space);
        if space == SHARED {
            context.key_error(
                &place,
                "`shared` is the name space of keys that all upstreams may use\ngive this one another name",
            );
        } else if let Some(same) = same {
            let message = format!(
                "`{}` and `{}` would have one name space in sessions, `{space}`\ngive one of them another name",
                upstream.name, same.name
            );
            context.key_error(&place, message);
        }
    }
}

/// What the upstream of a route may do.
pub(super) fn rights(
    context: &mut Context,
    at: &str,
    given: Option<&RouteSession>,
    upstream: usize,
    upstreams: &[Settings],
) -> Rights {
    let own = upstreams.get(upstream).map(|upstream| space_of(&upstream.name)).unwrap_or_default();
    // Without an upstream there is nothing to hold keys against, and that has been said.
    let Some(given) = given.filter(|_| !own.is_empty()) else { return Rights::new(&own, None, None, false) };
    let known = spaces(upstreams);
    let mut patterns = |key: &str, list: &Option<Vec<String>>| {
        let place = format!("{at}.session.{key}");
        let list = list.as_ref()?;
        let each = list.iter().enumerate();
        Some(
            each.filter_map(|(n, text)| pattern(context, &format!("{place}[{n}]"), text, &own, &known))
                .collect(),
        )
    };
    let (read, write) = (patterns("read", &given.read), patterns("write", &given.write));
    Rights::new(&own, read, write, given.login.0)
}

fn pattern(context: &mut Context, at: &str, text: &str, own: &str, known: &[String]) -> Option<Pattern> {
    let Some(pattern) = Pattern::parse(own, text) else {
        context
            .error(at, format!("`{text}` is not a key\n{WRITTEN}, or `shop.*` for all of another upstream"));
        return None;
    };
    is_known(context, at, pattern.space(), known).then_some(pattern)
}

/// Whether there is an upstream with this name space.
fn is_known(context: &mut Context, at: &str, space: &str, known: &[String]) -> bool {
    let found = known.iter().any(|known| known == space);
    if !found && !context.document.is_damaged("upstreams") {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = did_you_mean(space, &names).or_else(|| listed(&names));
        let hint = hint.map(|hint| format!("\n{hint}")).unwrap_or_default();
        context.error(at, format!("no upstream has the name space `{space}`{hint}"));
    }
    found
}

/// Keys of the session with a header of their own; `guard` knows the names that only the gateway may say.
pub(super) fn headers(
    context: &mut Context,
    at: &str,
    given: &BTreeMap<String, String>,
    rights: &Rights,
    guard: &Guard,
) -> Vec<SessionHeader> {
    let read = format!("{at}.session.read");
    let is_spoiled =
        context.document.is_damaged(&read) || context.found.iter().any(|found| found.key.starts_with(&read));
    let mut headers: Vec<SessionHeader> = Vec::new();
    for (name, key) in given {
        let place = format!("{at}.session_headers.{name}");
        let same = headers.iter().find(|earlier| is_same_name(earlier.name.as_bytes(), name.as_bytes()));
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            context.key_error(
                &place,
                format!("`{name}` is not the name of a header\nwrite a name such as `X-Theme`"),
            );
        } else if is_taken(name) || guard.covers(name.as_bytes()) {
            context.key_error(
                &place,
                format!("`{name}` has a meaning of its own\nchoose another, such as `X-Theme`"),
            );
        } else if let Some(same) = same {
            let message = format!(
                "applications cannot tell `{name}` from `{}`\n\
                 upper and lower case, `-` and `_` are the same to many of them",
                same.name
            );
            context.key_error(&place, message);
        }
        match rights.to_internal(key, Use::Read).filter(|key| !is_all(&key.name)) {
            Some(key) => headers.push(SessionHeader { name: name.clone(), key }),
            None if is_spoiled => {}
            None => {
                context.error(&place, format!("`{key}` is not a key that this upstream may read\n{WRITTEN}"));
            }
        }
    }
    headers
}

/// Whether this stands for all names, where one is needed.
fn is_all(name: &str) -> bool {
    name == "*"
}

/// Keys that stay when somebody logs out, with their name space.
pub(super) fn preferences(context: &mut Context, file: &File) -> Vec<DataKey> {
    let short = file.upstream.iter().map(|_| super::upstreams::SHORT.to_owned());
    let names: Vec<String> =
        file.upstreams.keys().cloned().chain(short).map(|name| space_of(&name)).collect();
    let known: Vec<String> = names.into_iter().chain([SHARED.to_owned()]).collect();
    let mut keys = Vec::new();
    for (n, text) in file.session.preferences.iter().enumerate() {
        let at = format!("session.preferences[{n}]");
        match text.split_once('.') {
            Some((space, name)) if is_name(name) && !is_all(name) => {
                if is_known(context, &at, space, &known) {
                    keys.push(DataKey::new(space, name));
                }
            }
            _ => context.error(
                &at,
                format!("`{text}` is not a key with its name space\nwrite `shared.theme`, or `app.theme` for one upstream's"),
            ),
        }
    }
    keys
}
