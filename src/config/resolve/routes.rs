//! Routes: what goes where, and who may.
//!
//! Comes in: `routes:` as written, and the upstreams. Goes out: routes that can all be reached. Never lets a path be
//! written in a form that requests are not compared in.

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Context, access, credentials, headers, rights, upstreams};
use crate::access::Access;
use crate::config::diagnostic::Diagnostic;
use crate::config::document::Part;
use crate::config::file::{self, EncodedSlash, File};
use crate::config::typed::{did_you_mean, listed};
use crate::headers::credentials::Credentials;
use crate::headers::{Guard, Host, InvalidPath, NormalPath};
use crate::route::{HostPattern, Route, Routes};
use crate::session::rights::{Rights, space_of};
use crate::upstream::Settings;

/// All routes; without `routes:`, one for everything.
pub(super) fn resolve(
    context: &mut Context,
    file: &File,
    upstreams: &[Settings],
    reserved: &str,
) -> Vec<Route> {
    rights::check_names(context, upstreams);
    if file.routes.is_empty() {
        if upstreams.len() > 1 {
            context.missing(
                "routes",
                "several upstreams and no routes\nadd `routes: [{ path: /, upstream: … }]`",
            );
        }
        let route = everything(upstreams);
        let credentials = upstream_credentials(context, file, &route, upstreams);
        return vec![Route { credentials, ..route }];
    }
    let guard = Guard::new(&headers::names_of(0, &file.identity), &[]);
    let mut routes: Vec<Route> = Vec::new();
    for (at, given) in file.routes.iter().enumerate() {
        let path = format!("routes[{at}]");
        let route = one(context, &path, given, upstreams, reserved, &guard);
        let credentials = match &given.credentials {
            Some(own) => {
                credentials::resolve(context, &format!("{path}.credentials"), own, route.session.space())
            }
            None => upstream_credentials(context, file, &route, upstreams),
        };
        let name = given.name.as_ref();
        if name.is_some() && file.routes[..at].iter().any(|earlier| earlier.name.as_ref() == name) {
            context
                .error(&format!("{path}.name"), format!("another route is called `{}` already", route.name));
        }
        routes.push(Route { name: name.cloned().unwrap_or(path), credentials, ..route });
    }
    for (index, unused) in upstreams.iter().enumerate() {
        if routes.iter().all(|route| route.upstream != index) && !context.document.is_damaged("routes") {
            context
                .warn(&format!("upstreams.{}", unused.name), format!("no route leads to `{}`", unused.name));
        }
    }
    check_reach(context, &routes);
    access::check_methods(context, file, &routes);
    routes
}

/// What the upstream of a route wants to be told.
fn upstream_credentials(
    context: &mut Context,
    file: &File,
    route: &Route,
    upstreams: &[Settings],
) -> Option<Arc<Credentials>> {
    let name = &upstreams.get(route.upstream)?.name;
    let (at, given) = match &file.upstream {
        Some(short) => ("upstream".to_owned(), &short.0),
        None => (format!("upstreams.{name}"), &file.upstreams.get(name)?.0),
    };
    let at = format!("{at}.credentials");
    let given = given.credentials.as_ref()?;
    // Said once, however many routes lead there.
    let before = context.found.len();
    let is_known = context.found.iter().any(|found| found.key.starts_with(&at));
    let found = credentials::resolve(context, &at, given, route.session.space());
    if is_known {
        context.found.truncate(before);
    }
    found
}

/// Every route must be reachable; one with a mistake of its own says nothing about others.
fn check_reach(context: &mut Context, routes: &[Route]) {
    for (at, by) in Routes::unreachable(routes) {
        let earlier = format!("routes[{by}]");
        let parts = ["path", "host", "methods"].map(|part| format!("{earlier}.{part}"));
        let wrong = |found: &Diagnostic| parts.iter().any(|part| found.key.starts_with(part));
        if context.found.iter().any(wrong) || context.document.is_damaged(&earlier) {
            continue;
        }
        let line = context.document.place(&earlier, Part::Value).line;
        let message = format!(
            "unreachable: `{}` on line {line} takes every request before this route\n\
             put the narrower route first; the first match wins",
            routes[by].name
        );
        context.error(&format!("routes[{at}]"), message);
    }
}

fn everything(upstreams: &[Settings]) -> Route {
    let space = upstreams.first().map(|upstream| space_of(&upstream.name)).unwrap_or_default();
    Route {
        name: "default".to_owned(),
        host: HostPattern::Any,
        path: "/".to_owned(),
        methods: Vec::new(),
        access: Access::Login,
        upstream: 0,
        strip_prefix: None,
        keep_encoded_slash: false,
        activity: true,
        session: Rights::new(&space, None, None, false),
        session_headers: Vec::new(),
        credentials: None,
    }
}

fn one(
    context: &mut Context,
    at: &str,
    given: &file::Route,
    upstreams: &[Settings],
    reserved: &str,
    guard: &Guard,
) -> Route {
    let path = match &given.path {
        Some(path) => checked_path(context, &format!("{at}.path"), path),
        None => "/".to_owned(),
    };
    if format!("{}/", path.trim_end_matches('/')).starts_with(reserved) {
        let message =
            format!("everything under `{reserved}` belongs to the gateway itself\nsee `reserved_prefix`");
        context.error(&format!("{at}.path"), message);
    }
    let strip_prefix = given.strip_prefix.as_ref().map(|prefix| {
        let place = format!("{at}.strip_prefix");
        let prefix = checked_path(context, &place, prefix);
        let whole = |path: &str| format!("{}/", path.trim_end_matches('/'));
        if !whole(&path).starts_with(&whole(&prefix)) {
            context.error(
                &place,
                format!("no path of this route starts with `{prefix}`\nthe route's path is `{path}`"),
            );
        }
        prefix
    });
    let access = access::resolve(context, &format!("{at}.access"), &given.access.0);
    let upstream = upstream(context, at, given.upstream.as_deref(), upstreams);
    if !access.looks_at_sessions() {
        warn_without_sessions(context, at, given);
    }
    let session = rights::rights(context, at, given.session.as_ref(), upstream, upstreams);
    let session_headers = rights::headers(context, at, &given.session_headers, &session, guard);
    Route {
        name: String::new(),
        host: given
            .host
            .as_ref()
            .map_or(HostPattern::Any, |host| host_pattern(context, &format!("{at}.host"), host)),
        methods: methods(context, &format!("{at}.methods"), &given.methods),
        access,
        upstream,
        keep_encoded_slash: given.encoded_slash == EncodedSlash::Keep,
        path,
        strip_prefix,
        activity: given.activity.0,
        session,
        session_headers,
        credentials: None,
    }
}

/// Nothing about sessions has an effect where they are not looked at.
fn warn_without_sessions(context: &mut Context, at: &str, given: &file::Route) {
    let keys = [("session", given.session.is_some()), ("session_headers", !given.session_headers.is_empty())];
    if let Some((key, _)) = keys.into_iter().find(|(_, is_given)| *is_given) {
        let message =
            "sessions are not looked at on this route, so this has no effect\nwrite `access: optional`";
        context.warn(&format!("{at}.{key}"), message);
    }
}

/// What stands in a path as it is; everything else is compared percent-encoded.
const PLAIN: &AsciiSet = CONTROLS;

/// A path in normal form, or an error that shows it.
pub(super) fn checked_path(context: &mut Context, at: &str, given: &str) -> String {
    if given.contains(['?', '#', '*']) {
        let message =
            format!("`{given}` is more than a path\na path is a prefix: no query, fragment or wildcard");
        context.error(at, message);
        return "/".to_owned();
    }
    let written = utf8_percent_encode(given, PLAIN).to_string();
    match NormalPath::parse(&written) {
        Ok(normal) if normal.has_encoded_slash() => {
            context.error(at, format!("`{given}` holds an encoded slash, which no route is compared with"));
        }
        Ok(normal) if normal.as_str() == written => {}
        Ok(normal) => {
            let shown =
                percent_encoding::percent_decode_str(normal.as_str()).decode_utf8_lossy().into_owned();
            context.error(
                at,
                format!("`{given}` is not in normal form, so no request would match\nwrite `{shown}`"),
            );
        }
        Err(InvalidPath::Relative) => {
            context.error(at, format!("`{given}` does not start with a slash\nwrite `/{given}`"));
        }
        Err(error) => context.error(at, format!("`{given}` is not a path: {error}")),
    }
    given.to_owned()
}

fn host_pattern(context: &mut Context, at: &str, given: &str) -> HostPattern {
    let (name, wide) = match given.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (given, false),
    };
    match Host::parse(name) {
        Some(host) if host.port().is_some() => {
            let bare = given.rsplit_once(':').map_or(given, |(bare, _)| bare);
            context.error(at, format!("`{given}` has a port; routes look at the name only\nwrite `{bare}`"));
        }
        Some(host) if wide => return HostPattern::Suffix(format!(".{}", host.name())),
        Some(host) => return HostPattern::Exact(host.name().to_owned()),
        None if given == "*" => context.error(at, "leave `host` out for every host"),
        None => {
            let message = format!("`{given}` is not a host\nwrite `app.example.com` or `*.example.com`");
            context.error(at, message);
        }
    }
    HostPattern::Exact(given.to_owned())
}

pub(super) fn methods(context: &mut Context, at: &str, given: &[String]) -> Vec<Method> {
    let mut methods = Vec::new();
    for (index, name) in given.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match Method::from_bytes(name.as_bytes()) {
            Ok(Method::CONNECT | Method::TRACE) => context.error(&at, format!("{name} is never served")),
            Ok(_) if *name != name.to_ascii_uppercase() => {
                let message = format!("methods are in upper case\nwrite `{}`", name.to_ascii_uppercase());
                context.error(&at, message);
            }
            Ok(method) => methods.push(method),
            Err(_) => context.error(&at, format!("`{name}` is not a method")),
        }
    }
    methods
}

fn upstream(context: &mut Context, at: &str, given: Option<&str>, upstreams: &[Settings]) -> usize {
    let Some(given) = given else {
        if upstreams.len() > 1 {
            context.missing(at, "a route without an upstream, and there are several\nadd `upstream: …`");
        }
        return 0;
    };
    if let Some(found) = upstreams.iter().position(|upstream| upstream.name == given) {
        return found;
    }
    if !context.document.is_damaged("upstreams") {
        let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        let hint = match names.as_slice() {
            [upstreams::SHORT] => Some("there is only one: leave it out".to_owned()),
            names => did_you_mean(given, names).or_else(|| listed(names)),
        };
        let hint = hint.map(|hint| format!("\n{hint}")).unwrap_or_default();
        context.error(&format!("{at}.upstream"), format!("no upstream is called `{given}`{hint}"));
    }
    0
}

/// `reserved_prefix:`, which starts and ends with a slash.
pub(super) fn reserved_prefix(context: &mut Context, given: Option<&str>) -> String {
    let given = given.unwrap_or("/_cloakroom/");
    let prefix = checked_path(context, "reserved_prefix", given);
    if prefix.trim_matches('/').is_empty() || !prefix.is_ascii() {
        context.error(
            "reserved_prefix",
            "the gateway's own pages need a place of their own\nwrite `/_cloakroom/`",
        );
        return "/_cloakroom/".to_owned();
    }
    format!("{}/", prefix.trim_end_matches('/'))
}
