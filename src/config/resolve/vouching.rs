//! Vouching: login methods where the request itself proves who is asking.
//!
//! Comes in: `login:` as written, and who could say such a thing. Goes out: their settings. Never lets a method stand that
//! nobody could use, nor one that anybody could.

use http::HeaderName;

use super::{Context, bearer, headers};
use crate::config::file::{self, CertificatePlace, File};
use crate::headers::OuterNames;
use crate::login::client_certificate::Place;
use crate::login::{Settings, basic, client_certificate, trusted_header};
use crate::server::ListenerSettings;

/// The methods of `login:` that need nothing but a request.
pub(super) fn resolve(
    context: &mut Context,
    file: &File,
    listeners: &[ListenerSettings],
    login: &mut Settings,
) {
    let given = &file.login;
    let has_passwords = login.local.is_some() || login.ldap.is_some();
    login.basic = given.basic.as_ref().map(|given| basic(context, given, has_passwords));
    login.bearer = given.bearer.as_ref().map(|given| bearer::resolve(context, given));
    login.trusted_header =
        given.trusted_header.as_ref().and_then(|given| trusted_header(context, given, file));
    login.client_certificate =
        given.client_certificate.as_ref().map(|given| client_certificate(context, given, listeners));
}

fn basic(context: &mut Context, given: &file::Basic, has_passwords: bool) -> basic::Settings {
    if !has_passwords {
        context.key_error(
            "login.basic",
            "there are no passwords to compare with\nadd `login.local` with `users:` or `users_file:`, or `login.ldap`",
        );
    }
    check_realm(context, "login.basic.realm", &given.realm);
    basic::Settings { realm: given.realm.clone(), pass_on: given.pass_on.0 }
}

fn trusted_header(
    context: &mut Context,
    given: &file::TrustedHeader,
    file: &File,
) -> Option<trusted_header::Settings> {
    const AT: &str = "login.trusted_header";
    if file.trusted_proxies.is_empty() && !context.document.is_damaged("trusted_proxies") {
        let message = "no proxy is trusted, so nobody is believed\n\
                       add `trusted_proxies` with the address of the proxy that says who is asking";
        context.key_error(AT, message);
    }
    if let Some(url) = &given.logout_url {
        let good = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start))
            && !url.starts_with("//")
            && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if !good {
            let message = format!("`{url}` is not a URL\nwrite `https://sso.example.com/logout`");
            context.error(&format!("{AT}.logout_url"), message);
        }
    }
    let Some(user) = given.user.clone() else {
        context.missing(AT, "whose name stands in no header\nadd `user: Remote-User`");
        return None;
    };
    let names = OuterNames {
        user,
        email: given.email.clone(),
        groups: given.groups.clone(),
        name: given.name.clone(),
    };
    check_names(context, AT, &names);
    let (percent_encoded, logout_url) = (given.percent_encoded.0, given.logout_url.clone());
    Some(trusted_header::Settings { names, percent_encoded, logout_url })
}

fn check_names(context: &mut Context, at: &str, names: &OuterNames) {
    let given = [
        ("user", Some(&names.user)),
        ("email", names.email.as_ref()),
        ("groups", names.groups.as_ref()),
        ("name", names.name.as_ref()),
    ];
    let mut before: Vec<&String> = Vec::new();
    for (key, name) in given.into_iter().filter_map(|(key, name)| Some((key, name?))) {
        let path = format!("{at}.{key}");
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            context.error(&path, format!("`{name}` is not a header name\nwrite letters, digits and `-`"));
        } else if headers::is_taken(name) {
            context.error(&path, format!("`{name}` has a meaning of its own"));
        } else if before.iter().any(|other| crate::headers::is_same_name(other.as_bytes(), name.as_bytes())) {
            context.error(&path, format!("`{name}` says something else already"));
        }
        before.push(name);
    }
}

fn client_certificate(
    context: &mut Context,
    given: &file::ClientCertificate,
    listeners: &[ListenerSettings],
) -> client_certificate::Settings {
    let asked =
        listeners.iter().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some()));
    if !asked && !context.document.is_damaged("listen") {
        let message = "no listener asks for certificates\nadd `client_ca: ca.pem` to the `tls` of a listener";
        context.key_error("login.client_certificate", message);
    }
    let user = match given.user {
        CertificatePlace::CommonName => Place::CommonName,
        CertificatePlace::UserId => Place::UserId,
        CertificatePlace::Email => Place::Email,
        CertificatePlace::Dns => Place::Dns,
        CertificatePlace::Uri => Place::Uri,
    };
    if let Err(why) = crate::identity::Identity::new("user", None, None, &given.groups) {
        context.error("login.client_certificate.groups", why.to_string());
    }
    client_certificate::Settings { user, groups: given.groups.clone(), units: given.organizational_units.0 }
}

/// A realm stands between quotes in a header's value.
pub(super) fn check_realm(context: &mut Context, path: &str, realm: &str) {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
    if realm.is_empty() || !realm.chars().all(plain) {
        let message = "a realm is sent as a header value\nwrite visible ASCII without `\"` and `\\`";
        context.error(path, message);
    }
}
