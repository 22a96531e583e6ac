//! LDAP: which directory knows the people.
//!
//! Comes in: `login.ldap:` as written. Goes out: settings of the directory. Never shows a password, never connects, and
//! never lets a password travel in plain text unless that was asked for.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Context, certificate};
use crate::config::file::{Ldap, Secret};
use crate::headers::Host;
use crate::login::ldap::LdapSettings;
use crate::login::ldap::settings::{Attributes, Groups, People};

const AT: &str = "login.ldap";

/// What somebody can wait for.
const LONGEST: Duration = Duration::from_secs(60);

/// Finds people where nothing else is said.
const USER_FILTER: &str = "(&(objectClass=person)(uid={user}))";

/// Settings of the directory.
pub(super) fn resolve(context: &mut Context, given: &Ldap) -> LdapSettings {
    let servers = servers(context, given);
    let secure = given.start_tls.0 || servers.iter().any(|server| server.starts_with("ldaps:"));
    let ca = given.ca.as_deref();
    let ca = ca.map(|ca| certificate::authorities(context, &format!("{AT}.ca"), ca));
    if ca.is_some() && !secure {
        context.error(
            &format!("{AT}.ca"),
            "TLS is for `ldaps` or `start_tls`, and there is neither\nwrite `ldaps://…` or `start_tls: true`",
        );
    }
    if given.timeout.0.is_zero() || given.timeout.0 > LONGEST {
        let message =
            format!("`{}` is no time to wait for a directory\nwrite a duration such as `5s`", given.timeout);
        context.error(&format!("{AT}.timeout"), message);
    }
    let people = people(context, given);
    attributes(context, given);
    LdapSettings {
        servers,
        start_tls: given.start_tls.0,
        ca,
        timeout: given.timeout.0,
        connections: context.number(&format!("{AT}.connections"), given.connections.0, 1),
        groups: groups(context, given),
        people,
        attributes: Attributes {
            user: given.attributes.user.clone(),
            email: given.attributes.email.clone(),
            name: given.attributes.name.clone(),
        },
    }
}

fn servers(context: &mut Context, given: &Ldap) -> Vec<String> {
    if given.servers.is_empty() {
        context.missing(AT, "the server is missing\nadd `servers: [ldaps://ldap.example.com]`");
    }
    let mut servers = Vec::new();
    for (n, url) in given.servers.iter().enumerate() {
        match server(url, given) {
            Ok(server) => servers.push(server),
            Err(why) => context.error(&format!("{AT}.servers[{n}]"), why),
        }
    }
    let secure = |server: &String| server.starts_with("ldaps:");
    if given.start_tls.0 && !servers.is_empty() && servers.iter().all(secure) {
        context.error(
            &format!("{AT}.start_tls"),
            "`ldaps` is TLS from the first byte on\nleave out `start_tls`, or write `ldap://…`",
        );
    }
    servers
}

/// A server with its port, or what is wrong with it and what to do.
fn server(url: &str, given: &Ldap) -> Result<String, String> {
    const FORM: &str = "this is not a server\nwrite `ldaps://host:636`, or `ldap://host:389`";
    let (scheme, place) = url.split_once("://").ok_or(FORM)?;
    let port = match scheme {
        "ldap" => 389,
        "ldaps" => 636,
        _ => return Err(FORM.to_owned()),
    };
    let place = place.trim_end_matches('/');
    if place.contains(['/', '?', '@']) {
        return Err("a server is a host and a port\nwrite the rest under `ldap:`, such as `base:`".to_owned());
    }
    let host = Host::parse(place).ok_or(FORM)?;
    let is_tls = scheme == "ldaps" || given.start_tls.0;
    if is_tls && host.name().starts_with('[') {
        return Err(
            "certificates of directories are not checked against IPv6 addresses\nwrite its name".to_owned()
        );
    }
    if !is_tls && !is_here(host.name()) && !given.allow_insecure.0 {
        let message = format!(
            "passwords could be read on the way to {}\nwrite `ldaps://…`, or add `start_tls: true`; \
             `allow_insecure: true` goes without",
            host.name()
        );
        return Err(message);
    }
    Ok(format!("{scheme}://{}:{}", host.name(), host.port().unwrap_or(port)))
}

fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn people(context: &mut Context, given: &Ldap) -> People {
    if let Some(dn) = &given.user_dn {
        for (key, set) in [
            ("bind_dn", given.bind_dn.is_some()),
            ("bind_password", given.bind_password.is_some()),
            ("user_filter", given.user_filter.is_some()),
        ] {
            if set {
                let message = "this is for a search, and with `user_dn` there is none\nkeep one of the two";
                context.error(&format!("{AT}.{key}"), message);
            }
        }
        if !dn.contains("{user}") || !dn.contains('=') {
            context.error(
                &format!("{AT}.user_dn"),
                "this names nobody\nwrite `{user}` where the name belongs: `uid={user},ou=people,dc=example,dc=com`",
            );
        }
        return People::Bind { dn: dn.clone() };
    }
    if given.base.as_deref().unwrap_or_default().is_empty() {
        context.missing(
            AT,
            "where to look for people is missing\nadd `base: ou=people,dc=example,dc=com`, or `user_dn`",
        );
    }
    let filter = given.user_filter.as_deref().unwrap_or(USER_FILTER);
    check_filter(context, "user_filter", filter, &["{user}"]);
    let password = given.bind_password.as_ref().map(|Secret(password)| password);
    let account = match (&given.bind_dn, password) {
        // A bind without a password is an anonymous one, whatever name it has.
        (Some(dn), Some(password)) if !password.expose_secret().is_empty() && !dn.is_empty() => {
            Some((dn.clone(), password.clone()))
        }
        (None, None) => None,
        (Some(_), _) => {
            context.missing(AT, "`bind_dn` needs its password\nadd `bind_password`");
            None
        }
        (None, Some(_)) => {
            context.missing(AT, "whose password `bind_password` is is missing\nadd `bind_dn`");
            None
        }
    };
    People::Search { account, base: given.base.clone().unwrap_or_default(), filter: filter.to_owned() }
}

fn groups(context: &mut Context, given: &Ldap) -> Groups {
    let mut base = given.group_base.clone().filter(|base| !base.is_empty());
    if let Some(filter) = &given.group_filter {
        let places: &[&str] = if given.nested_groups.0 { &["{dn}"] } else { &["{dn}", "{user}"] };
        check_filter(context, "group_filter", filter, places);
        base = base.or_else(|| given.base.clone().filter(|base| !base.is_empty()));
        if base.is_none() {
            context.missing(AT, "where to look for groups is missing\nadd `group_base`");
        }
    }
    Groups {
        base,
        filter: given.group_filter.clone(),
        name: given.group_name.clone(),
        nested: given.nested_groups.0,
    }
}

/// A filter must be one, and must look for somebody: with one of these places in it.
fn check_filter(context: &mut Context, key: &str, filter: &str, places: &[&str]) {
    let at = format!("{AT}.{key}");
    if !places.iter().any(|place| filter.contains(place)) {
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        let message = format!("this finds the same for everybody\nwrite {} in it", places.join(" or "));
        context.error(&at, message);
    }
    let sample = filter.replace("{user}", "a").replace("{dn}", "cn=a");
    if sample.contains(['{', '}']) {
        context
            .error(&at, "only `{user}` and `{dn}` are filled in\nwrite a brace itself as `\\7b` or `\\7d`");
    } else if ldap3::parse_filter(&sample).is_err() {
        context.error(
            &at,
            "this is not a filter (RFC 4515)\nwrite one such as `(&(objectClass=person)(uid={user}))`",
        );
    }
}

fn attributes(context: &mut Context, given: &Ldap) {
    let is_one = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';');
        !name.is_empty() && name.bytes().all(allowed)
    };
    for (key, name) in [
        ("attributes.user", &given.attributes.user),
        ("attributes.email", &given.attributes.email),
        ("attributes.name", &given.attributes.name),
        ("group_name", &given.group_name),
    ] {
        if !is_one(name) {
            context.error(
                &format!("{AT}.{key}"),
                format!("`{name}` is not an attribute\nwrite one such as `cn`"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Source, inspect};

    fn read(ldap: &str) -> Result<LdapSettings, Problems> {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\nlogin: {{ ldap: {{ {ldap} }} }}\n"
        );
        let config = inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text })?;
        Ok(config.login.ldap.expect("a directory"))
    }

    #[test]
    fn a_server_and_a_base_are_enough() {
        let settings = read("servers: ['ldaps://dir.example.com'], base: 'dc=example'").expect("accepted");
        assert_eq!(settings.servers, ["ldaps://dir.example.com:636"]);
        assert_eq!((settings.timeout, settings.connections), (Duration::from_secs(5), 8));
        let People::Search { account: None, base, filter } = settings.people else { panic!("a search") };
        assert_eq!((base.as_str(), filter.as_str()), ("dc=example", USER_FILTER));
        assert!(settings.groups.filter.is_none() && settings.groups.name == "cn");
    }

    #[test]
    fn people_may_bind_without_a_search() {
        let settings =
            read("servers: ['ldap://[::1]', 'ldap://localhost:1389'], user_dn: 'uid={user},dc=example'");
        let settings = settings.expect("this machine");
        assert_eq!(settings.servers, ["ldap://[::1]:389", "ldap://localhost:1389"]);
        assert!(matches!(settings.people, People::Bind { .. }));
    }

    #[test]
    fn a_search_for_groups_begins_where_people_are() {
        let settings = read(
            "servers: ['ldaps://d'], base: 'dc=example', group_filter: '(member:1.2.840.113556.1.4.1941:={dn})'",
        )
        .expect("accepted");
        assert_eq!(settings.groups.base.as_deref(), Some("dc=example"));
    }

    #[test]
    fn what_cannot_work_is_said_and_no_password_is_shown() {
        for (given, told) in [
            ("base: 'dc=a'", "the server is missing"),
            (
                "servers: ['ldap://dir.example.com'], base: 'dc=a'",
                "could be read on the way to dir.example.com",
            ),
            ("servers: ['http://a'], base: 'dc=a'", "not a server"),
            ("servers: ['ldaps://a/dc=a?uid'], base: 'dc=a'", "a host and a port"),
            ("servers: ['ldaps://[::1]'], base: 'dc=a'", "IPv6"),
            ("servers: ['ldaps://a'], start_tls: true, base: 'dc=a'", "from the first byte"),
            ("servers: ['ldaps://a']", "where to look for people is missing"),
            ("servers: ['ldaps://a'], base: 'dc=a', bind_dn: 'cn=b'", "add `bind_password`"),
            (
                "servers: ['ldaps://a'], base: 'dc=a', bind_dn: 'cn=b', bind_password: ''",
                "add `bind_password`",
            ),
            ("servers: ['ldaps://a'], base: 'dc=a', bind_password: hidden", "add `bind_dn`"),
            ("servers: ['ldaps://a'], base: 'dc=a', user_filter: '(uid=*)'", "the same for everybody"),
            ("servers: ['ldaps://a'], base: 'dc=a', user_filter: '(uid={user}'", "not a filter"),
            ("servers: ['ldaps://a'], base: 'dc=a', user_filter: '(uid={user}{name})'", "are filled in"),
            ("servers: ['ldaps://a'], user_dn: 'uid=user'", "names nobody"),
            ("servers: ['ldaps://a'], user_dn: 'uid={user}', bind_dn: 'a'", "keep one of the two"),
            (
                "servers: ['ldaps://a'], user_dn: 'uid={user}', group_filter: '(member={dn})'",
                "add `group_base`",
            ),
            (
                "servers: ['ldaps://a'], base: 'dc=a', nested_groups: true, group_filter: '(memberUid={user})'",
                "write `{dn}`",
            ),
            ("servers: ['ldaps://a'], base: 'dc=a', attributes: { user: 'u(id' }", "not an attribute"),
            ("servers: ['ldap://localhost'], base: 'dc=a', ca: /nowhere.pem", "write `ldaps://…`"),
            ("servers: ['ldaps://a'], base: 'dc=a', ca: /nowhere.pem", "nowhere.pem"),
            ("servers: ['ldaps://a'], base: 'dc=a', timeout: 0s", "no time to wait"),
            ("servers: ['ldaps://a'], base: 'dc=a', connections: 0", "too small"),
        ] {
            let problems = read(given).expect_err(given).to_string();
            assert!(problems.contains(told), "{given}: {problems}");
            assert!(!problems.contains("hidden"), "{problems}");
        }
        assert!(read("servers: ['ldap://a'], allow_insecure: true, base: 'dc=a'").is_ok());
    }
}
