//! People: rules over users and groups, held against those who can log in.
//!
//! Comes in: routes, and the users of the configuration. Goes out: nothing but diagnostics. Never says a name is wrong
//! that may be in a file of users, which can change at any time.

use std::collections::BTreeSet;

use super::Context;
use super::access::each_map;
use crate::access::Access;
use crate::config::file::{self, File};
use crate::config::typed::did_you_mean;
use crate::login::{LocalUser, Settings};
use crate::route::Route;
use crate::session::StoreKind;

/// Routes that need a login need somebody who can log in, and rules should name people there are.
pub(super) fn check(
    context: &mut Context,
    file: &File,
    routes: &[Route],
    login: &Settings,
    store: StoreKind,
) {
    let (users, has_file) = match &login.local {
        Some(local) => (local.users.as_slice(), local.users_file.is_some()),
        None => (&[] as &[LocalUser], false),
    };
    // Nor does the configuration say who is in a directory, at a provider, or comes by way of a proxy, with a certificate
    // or with a token.
    let vouched =
        login.bearer.is_some() || login.trusted_header.is_some() || login.client_certificate.is_some();
    let at_provider = !login.oidc.providers.is_empty();
    let has_others = has_file || login.ldap.is_some() || vouched || at_provider;
    if !users.is_empty() && !has_others {
        let names: BTreeSet<&str> = users.iter().map(|user| user.name.as_str()).collect();
        let groups: BTreeSet<&str> =
            users.iter().flat_map(|user| user.groups.iter().map(String::as_str)).collect();
        for (at, route) in file.routes.iter().enumerate() {
            let file::Access::Only(map) = &route.access.0 else { continue };
            each_map(&format!("routes[{at}].access"), map, false, &mut |at, map, _| {
                unknown(context, &format!("{at}.users"), "user is called", &map.users, &names);
                unknown(context, &format!("{at}.groups"), "user is in the group", &map.groups, &groups);
            });
        }
    }
    // People may log in elsewhere: at a provider or a Django site, on a page of an application, or before they come here.
    let elsewhere = vouched || at_provider || store == StoreKind::Django || !login.applications.is_empty();
    if elsewhere || routes.iter().any(|route| route.session.may_log_in()) {
        return;
    }
    let needing = routes.iter().position(|route| match &route.access {
        Access::Login => true,
        Access::Only(rule) => rule.looks_at_people(),
        Access::Public | Access::Optional => false,
    });
    let damaged = ["login", "login.local", "login.local.users", "login.ldap"]
        .iter()
        .any(|at| context.document.is_damaged(at));
    if let (true, false, false, Some(at)) = (users.is_empty(), has_others, damaged, needing) {
        let name = &routes[at].name;
        let message = format!(
            "login is needed (route `{name}`), and nobody can log in\n\
             add `login: {{ local: {{ users: {{ alice: \"…\" }} }} }}` with a hash from `cloakroom hash-password`, or \
             `access: public` to the route"
        );
        context.key_error(&format!("routes[{at}]"), message);
    }
}

fn unknown(context: &mut Context, at: &str, what: &str, named: &[String], known: &BTreeSet<&str>) {
    let known: Vec<&str> = known.iter().copied().collect();
    for (index, name) in named.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_str())) {
        let hint = did_you_mean(name, &known).map(|hint| format!("\n{hint}")).unwrap_or_default();
        context.warn(&format!("{at}[{index}]"), format!("no {what} `{name}`{hint}"));
    }
}
