//! Headers: names of the identity headers, changes to responses, trusted proxies.
//!
//! Comes in: names and values as written. Goes out: names and values that can be sent. Never lets two facts share a
//! header.

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::Context;
use crate::config::file::{Headers, Identity, IdentityEncoding};
use crate::headers::template::{Encoding, Template, separates};
use crate::headers::{IdentityNames, ResponseHeaders};

/// Folded names with a meaning of their own, in requests.
const TAKEN: [&str; 22] = [
    "authorization",
    "connection",
    "content_length",
    "content_type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep_alive",
    "origin",
    "proxy",
    "referer",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
    "via",
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_port",
    "x_forwarded_proto",
    "x_request_id",
];

/// Folded names that only the gateway sets in responses.
const OURS: [&str; 9] = [
    "connection",
    "content_length",
    "keep_alive",
    "set_cookie",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
    "x_request_id",
];

/// The name, the address and the user of somebody fit into this, however long they are.
const LEAST_ROOM: usize = 4096;

/// `identity:`
pub(super) fn identity(context: &mut Context, given: &Identity) -> IdentityNames {
    let headers = &given.headers;
    let four = [
        ("user", &headers.user),
        ("email", &headers.email),
        ("groups", &headers.groups),
        ("name", &headers.name),
    ];
    let mut names: Vec<(String, &str, &str)> =
        four.map(|(key, name)| (format!("identity.headers.{key}"), key, name.as_str())).into();
    names.extend(
        given
            .extra_headers
            .keys()
            .map(|name| (format!("identity.extra_headers.{name}"), name.as_str(), name.as_str())),
    );
    for (at, (path, key, name)) in names.iter().enumerate() {
        let folded = fold(name);
        let wrong = if HeaderName::from_bytes(name.as_bytes()).is_err() {
            Some(format!("`{name}` is not a header name\nwrite letters, digits and `-`"))
        } else if is_taken(name) || folded == "x_auth_assertion" {
            Some(format!("`{name}` has a meaning of its own\nchoose another, such as `X-Auth-User`"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            name_error(context, path, wrong);
        } else if let Some((theirs, other, spelled)) =
            names[..at].iter().find(|(_, _, other)| fold(other) == folded)
        {
            let (path, name, other) =
                if context.document.has(path) { (path, name, other) } else { (theirs, spelled, key) };
            let message = format!(
                "applications cannot tell `{name}` from the name for `{other}`\n\
                 upper and lower case, `-` and `_` are the same to many of them"
            );
            name_error(context, path, message);
        }
    }
    if !separates(&given.groups_separator) {
        let message = "this does not separate groups\nwrite punctuation such as `,` or `; `, without letters, digits or `%`";
        context.error("identity.groups_separator", message);
    }
    check_templates(context, given);
    names_of(context.number("identity.max_bytes", given.max_bytes.0, LEAST_ROOM), given)
}

/// An error about a name, which stands in the place of a value or of a key.
fn name_error(context: &mut Context, path: &str, message: String) {
    match path.starts_with("identity.extra_headers.") {
        true => context.key_error(path, message),
        false => context.error(path, message),
    }
}

/// Templates that can be read, and sent.
fn check_templates(context: &mut Context, given: &Identity) {
    for (name, text) in &given.extra_headers {
        let path = format!("identity.extra_headers.{name}");
        match Template::parse(text) {
            Err(why) => context.error(&path, why.to_string()),
            Ok(template) if !template.suits(encoding(given.encoding)) => {
                let message = "a character beyond ASCII, which is not sent with `encoding: percent`\nwrite ASCII, or `encoding: rfc8187`";
                context.error(&path, message);
            }
            Ok(_) => {}
        }
    }
}

fn encoding(given: IdentityEncoding) -> Encoding {
    match given {
        IdentityEncoding::Percent => Encoding::Percent,
        IdentityEncoding::Rfc8187 => Encoding::Rfc8187,
        IdentityEncoding::Utf8 => Encoding::Utf8,
    }
}

/// The names as they are written.
pub(super) fn names_of(max_bytes: usize, given: &Identity) -> IdentityNames {
    let headers = given.headers.clone();
    let template = |(name, text): (&String, &String)| Some((name.clone(), Template::parse(text).ok()?));
    IdentityNames {
        user: headers.user,
        email: headers.email,
        groups: headers.groups,
        name: headers.name,
        extra: given.extra_headers.iter().filter_map(template).collect(),
        separator: given.groups_separator.clone(),
        encoding: encoding(given.encoding),
        max_bytes,
    }
}

/// Whether a name has a meaning of its own in requests.
pub(super) fn is_taken(name: &str) -> bool {
    let folded = fold(name);
    TAKEN.contains(&folded.as_str()) || folded.starts_with("session_")
}

/// `headers:`
pub(super) fn response(context: &mut Context, given: &Headers, https: bool) -> ResponseHeaders {
    let mut set: Vec<(String, String)> = Vec::new();
    for (name, value) in &given.response.set {
        let path = format!("headers.response.set.{name}");
        check_name(context, &path, name);
        if HeaderValue::from_str(value).is_err() || value.trim() != value {
            let message = "this cannot be sent as a header value\nwrite visible ASCII, without line breaks or spaces at the ends";
            context.error(&path, message);
        }
        if set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            context.key_error(&path, format!("`{name}` is set twice"));
        }
        set.push((name.clone(), value.clone()));
    }
    for (at, name) in given.response.remove.iter().enumerate() {
        let path = format!("headers.response.remove[{at}]");
        check_name(context, &path, name);
        if set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            context.error(
                &path,
                format!("`{name}` is both set and removed\n`set` replaces what the application said"),
            );
        }
    }
    if given.hsts.is_some() && !https {
        context.warn("headers.hsts", "there is no https, so this has no effect");
    }
    let hsts = given.hsts.map(|age| age.0);
    ResponseHeaders { set, remove: given.response.remove.clone(), hsts, via: given.via.0 }
}

fn check_name(context: &mut Context, path: &str, name: &str) {
    let folded = fold(name);
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        context.key_error(path, format!("`{name}` is not a header name\nwrite letters, digits and `-`"));
    } else if OURS.contains(&folded.as_str()) || folded.starts_with("session_") {
        context.key_error(path, format!("`{name}` is the gateway's own to set"));
    }
}

/// `trusted_proxies:`; `tls_in_front`: somebody else speaks https for us.
pub(super) fn trusted_proxies(context: &mut Context, given: &[String], tls_in_front: bool) -> Vec<IpNet> {
    if given.is_empty() && tls_in_front {
        context.warn(
            "public_url",
            "TLS ends in front of this gateway, and no proxy is trusted: applications are told plain http\n\
             add `trusted_proxies` with the proxy's address",
        );
    }
    let mut networks = Vec::new();
    for (at, text) in given.iter().enumerate() {
        let path = format!("trusted_proxies[{at}]");
        match network(text) {
            Ok(network) => {
                if network.prefix_len() == 0 {
                    let message =
                        "this trusts everybody: any client can claim any address\nname the proxies' networks";
                    context.warn(&path, message);
                }
                networks.push(network);
            }
            Err(message) => context.error(&path, message),
        }
    }
    networks
}

/// A network, or one address; or what is wrong with it.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
    network
        .map(|network| network.trunc())
        .map_err(|_| format!("`{text}` is not a network\nwrite `10.0.0.0/8`, `fd00::/8` or an address"))
}

/// As applications read names: lower case, `_` for everything that is not a letter or digit.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}
