//! Rights: what upstreams may know and change of sessions.
//!
//! Comes in: the `session` and `session_headers` of a route, and `session.preferences`. Goes out: rights over name spaces.
//! Never lets two upstreams share a name space without saying so: two whose names come to the same are refused.

use std::collections::BTreeMap;

use super::Context;
use crate::config::file::{File, RouteSession};
use crate::config::typed::{did_you_mean, listed};
use crate::session::data::DataKey;
use crate::session::protocol::SessionHeader;
use crate::session::rights::{Pattern, Rights, SHARED, is_name, space_of};
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
    let Some(given) = given else { return Rights::new(&own, None, None, false) };
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

/// Keys of the session with a header of their own.
pub(super) fn headers(
    context: &mut Context,
    at: &str,
    given: &BTreeMap<String, String>,
    rights: &Rights,
) -> Vec<SessionHeader> {
    let mut headers = Vec::new();
    for (name, key) in given {
        let place = format!("{at}.session_headers.{name}");
        let guarded =
            ["cookie", "host", "authorization", "connection", "content-length", "transfer-encoding"];
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            context.key_error(
                &place,
                format!("`{name}` is not the name of a header\nwrite a name such as `X-Theme`"),
            );
        } else if guarded.iter().any(|guarded| name.eq_ignore_ascii_case(guarded)) {
            context
                .key_error(&place, format!("`{name}` means something else\nwrite a name such as `X-{name}`"));
        }
        match rights.to_internal(key, crate::session::rights::Use::Read) {
            Some(key) => headers.push(SessionHeader { name: name.clone(), key }),
            None => {
                let message = format!("`{key}` is not a key that this upstream may read\n{WRITTEN}");
                context.error(&place, message);
            }
        }
    }
    headers
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
            Some((space, name)) if is_name(name) => {
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
