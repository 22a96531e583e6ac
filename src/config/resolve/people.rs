//! People: rules over users and groups, held against those who can log in.
//!
//! Comes in: routes, and the users of the configuration. Goes out: nothing but diagnostics. Never says a name is wrong
//! that may be in a file of users, which can change at any time.

use std::collections::BTreeSet;

use super::Context;
use crate::access::Access;
use crate::config::typed::did_you_mean;
use crate::login::{LocalUser, Settings};
use crate::route::Route;
use crate::session::StoreKind;

/// Routes that need a login need somebody who can log in, and rules should name people there are.
pub(super) fn check(context: &mut Context, routes: &[Route], login: &Settings, store: StoreKind) {
    let (users, has_file) = match &login.local {
        Some(local) => (local.users.as_slice(), local.users_file.is_some()),
        None => (&[] as &[LocalUser], false),
    };
    let others = [login.bearer.is_some(), login.trusted_header.is_some(), login.client_certificate.is_some()];
    let others = others.contains(&true);
    if !users.is_empty() && !has_file && !others {
        let names: BTreeSet<&str> = users.iter().map(|user| user.name.as_str()).collect();
        let groups: BTreeSet<&str> =
            users.iter().flat_map(|user| user.groups.iter().map(String::as_str)).collect();
        for (at, route) in routes.iter().enumerate() {
            let Access::Only(only) = &route.access else { continue };
            unknown(context, &format!("routes[{at}].access.users"), "user is called", &only.users, &names);
            unknown(
                context,
                &format!("routes[{at}].access.groups"),
                "user is in the group",
                &only.groups,
                &groups,
            );
        }
    }
    // People may log in elsewhere: at a Django site, on a page of an application, or before they come here.
    if others || store == StoreKind::Django || routes.iter().any(|route| route.session.may_log_in()) {
        return;
    }
    let needing = routes.iter().position(|route| matches!(route.access, Access::Login | Access::Only(_)));
    let damaged =
        ["login", "login.local", "login.local.users"].iter().any(|at| context.document.is_damaged(at));
    if let (true, false, false, Some(at)) = (users.is_empty(), has_file, damaged, needing) {
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
