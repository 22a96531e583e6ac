//! Application: login pages of applications.
//!
//! Comes in: `login.upstream:` as written, and the routes. Goes out: what a request and its answer are held against. Never
//! accepts a page that nobody can reach who is not logged in, nor one where sessions are not looked at.

use http::{HeaderName, Method, StatusCode};

use super::{Context, routes};
use crate::access::Access;
use crate::config::file::{ApplicationLogin, ApplicationLogout, GroupsFrom, UserFrom};
use crate::config::units::Count;
use crate::headers::{Host, NormalPath};
use crate::login::upstream::{Application, Logout, Source, Success};
use crate::route::{Route, Routes};
use crate::session::StoreKind;

/// `login.upstream:`
pub(super) fn resolve(
    context: &mut Context,
    given: &[ApplicationLogin],
    routes: &[Route],
    store: StoreKind,
) -> Vec<Application> {
    if store == StoreKind::Django && !given.is_empty() {
        let message = "sessions are those of a Django site, where nobody can be logged in from here\n\
                       people who log in there are known already: take `upstream` out";
        context.error("login.upstream", message);
    }
    let routes = Routes::new(routes.to_vec());
    let each = given.iter().enumerate();
    each.map(|(n, given)| one(context, &format!("login.upstream[{n}]"), given, &routes)).collect()
}

fn one(context: &mut Context, at: &str, given: &ApplicationLogin, routes: &Routes) -> Application {
    let host = given.host.as_ref().map(|host| match Host::parse(host) {
        Some(parsed) if parsed.port().is_none() => parsed.name().to_owned(),
        _ => {
            context
                .error(&format!("{at}.host"), format!("`{host}` is not the name of a host, without a port"));
            String::new()
        }
    });
    let path = match &given.path {
        Some(path) => routes::checked_path(context, &format!("{at}.path"), path),
        None => {
            context.missing(
                at,
                "no `path`\nwrite the one that the login form is sent to: `path: /accounts/login/`",
            );
            String::new()
        }
    };
    let method = given
        .method
        .as_deref()
        .map_or(Some(Method::POST), |text| method(context, &format!("{at}.method"), text));
    let method = method.unwrap_or(Method::POST);
    let login_page = given.login_page.as_deref();
    let login_page = login_page.map(|page| routes::checked_path(context, &format!("{at}.login_page"), page));
    let logout = given.logout.as_ref().map(|given| logout(context, &format!("{at}.logout"), given));
    let here = Reach { routes, host: host.as_deref() };
    here.check(context, &format!("{at}.path"), &path, &method, true);
    if let Some(page) = &login_page {
        here.check(context, &format!("{at}.login_page"), page, &Method::GET, true);
    }
    if let Some(logout) = &logout {
        let method = logout.method.clone().unwrap_or(Method::POST);
        here.check(context, &format!("{at}.logout.path"), &logout.path, &method, false);
    }
    Application {
        success: success(context, at, given),
        failure: given
            .failure
            .as_ref()
            .and_then(|failure| status(context, &format!("{at}.failure"), failure.status)),
        user_from: source(context, at, given.user_from.as_ref()),
        groups_from: given.groups_from.as_ref().and_then(|from| groups(context, at, from)),
        return_parameter: parameter(context, at, given.return_parameter.as_deref()),
        host,
        path,
        method,
        login_page,
        logout,
    }
}

fn logout(context: &mut Context, at: &str, given: &ApplicationLogout) -> Logout {
    let place = format!("{at}.path");
    let path = given.path.as_deref().map(|path| routes::checked_path(context, &place, path));
    if path.is_none() {
        context.missing(at, "no `path`\nwrite the one that logs out: `path: /accounts/logout/`");
    }
    let method = given.method.as_deref().and_then(|text| method(context, &format!("{at}.method"), text));
    Logout { path: path.unwrap_or_default(), method }
}

fn groups(context: &mut Context, at: &str, given: &GroupsFrom) -> Option<String> {
    let at = format!("{at}.groups_from");
    if given.header.is_none() {
        context.missing(&at, "no `header`\nwrite `groups_from: { header: X-Logged-In-Groups }`");
    }
    header(context, &format!("{at}.header"), given.header.as_deref()?)
}

/// Which routes lead to pages on one host.
struct Reach<'a> {
    routes: &'a Routes,
    host: Option<&'a str>,
}

impl Reach<'_> {
    /// A page must be one where sessions are looked at; one that logs in must be open to those who are not logged in.
    fn check(&self, context: &mut Context, at: &str, path: &str, method: &Method, logs_in: bool) {
        if context.document.is_damaged("routes")
            || context.found.iter().any(|found| found.key.starts_with("routes"))
        {
            return;
        }
        let Ok(normal) = NormalPath::parse(percent_encoded(path)) else { return };
        let Ok(route) = self.routes.find(self.host.unwrap_or_default(), &normal, method) else {
            let message = format!("no route takes `{method} {path}`\nadd one, or name its host with `host:`");
            return context.error(at, message);
        };
        let name = &route.name;
        match &route.access {
            Access::Optional => {}
            Access::Public => {
                let message = format!(
                    "sessions are not looked at there: route `{name}` is public\nwrite `access: optional`"
                );
                context.error(at, message);
            }
            Access::Login | Access::Only(_) if logs_in => {
                let message = format!(
                    "nobody comes there to log in: route `{name}` needs a login\n\
                     put a route before it: `{{ path: {path}, access: optional }}`"
                );
                context.error(at, message);
            }
            Access::Login | Access::Only(_) => {}
        }
    }
}

fn percent_encoded(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS).to_string()
}

fn method(context: &mut Context, at: &str, text: &str) -> Option<Method> {
    let method = Method::from_bytes(text.as_bytes()).ok();
    let method =
        method.filter(|method| method.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-'));
    if method.is_none() {
        context.error(at, format!("`{text}` is not a method\nwrite it in capitals, such as POST"));
    }
    method
}

fn success(context: &mut Context, at: &str, given: &ApplicationLogin) -> Success {
    let place = format!("{at}.success");
    let Some(success) = &given.success else {
        context.missing(at, "no `success`: which answer says that the password was right?\nwrite `success: { status: 302, cookie: sessionid }`");
        return Success { status: StatusCode::FOUND, cookie: None };
    };
    if success.status.is_none() {
        context.missing(&place, "no `status`\nwrite `success: { status: 302, cookie: sessionid }`");
    }
    if let Some(cookie) = &success.cookie
        && HeaderName::from_bytes(cookie.as_bytes()).is_err()
    {
        context.error(&format!("{place}.cookie"), format!("`{cookie}` is not the name of a cookie"));
    }
    let status = status(context, &place, success.status).unwrap_or(StatusCode::FOUND);
    let by_header = given.user_from.as_ref().is_some_and(|from| from.header.is_some());
    if success.cookie.is_none() && !by_header && status == StatusCode::OK {
        let message = "a wrong password is usually answered with 200, too\nname the cookie that only a login sets: `cookie: sessionid`";
        context.error(&place, message);
    }
    Success { status, cookie: success.cookie.clone() }
}

fn status(context: &mut Context, at: &str, given: Option<Count>) -> Option<StatusCode> {
    let number = given?.0;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    let status = status.filter(|status| (200..500).contains(&status.as_u16()));
    if status.is_none() {
        context.error(
            &format!("{at}.status"),
            format!("`{number}` is not the status of such an answer\nit is between 200 and 499"),
        );
    }
    status
}

fn source(context: &mut Context, at: &str, given: Option<&UserFrom>) -> Source {
    const WANTED: &str = "write `user_from: { field: username }`, or `{ header: X-Logged-In-User }`";
    let place = format!("{at}.user_from");
    match given.map(|from| (from.field.as_deref(), from.header.as_deref())) {
        Some((Some(field), None)) if !field.is_empty() && !field.contains(['[', '"', '\\']) => {
            Source::Field(field.to_owned())
        }
        Some((Some(field), None)) => {
            context.error(&format!("{place}.field"), format!("`{field}` cannot be read from a form"));
            Source::Field(String::new())
        }
        Some((None, Some(name))) => {
            Source::Header(header(context, &format!("{place}.header"), name).unwrap_or_default())
        }
        Some((Some(_), Some(_))) => {
            context.error(&place, format!("both `field` and `header`\n{WANTED}"));
            Source::Field(String::new())
        }
        Some((None, None)) => {
            context.missing(&place, format!("neither `field` nor `header`\n{WANTED}"));
            Source::Field(String::new())
        }
        None => {
            context.missing(at, format!("no `user_from`: who has logged in?\n{WANTED}"));
            Source::Field(String::new())
        }
    }
}

fn header(context: &mut Context, at: &str, name: &str) -> Option<String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        context.error(
            at,
            format!("`{name}` is not the name of a header\nwrite a name such as `X-Logged-In-User`"),
        );
        return None;
    }
    Some(name.to_owned())
}

fn parameter(context: &mut Context, at: &str, given: Option<&str>) -> String {
    let name = given.unwrap_or("next");
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)) {
        context.error(
            &format!("{at}.return_parameter"),
            format!("`{name}` is not the name of a query parameter"),
        );
    }
    name.to_owned()
}
