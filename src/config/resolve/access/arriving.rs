//! Arriving: what rules look at in requests, held against the requests that can come at all.
//!
//! Comes in: all routes, and the listeners. Goes out: a diagnostic for each method that never comes, and for networks where
//! no client has an address. Never minds methods below `not`.

use http::Method;

use super::each_map;
use crate::config::document::Part;
use crate::config::file::{self, File, OnlyMap};
use crate::config::resolve::Context;
use crate::route::{Route, Routes};
use crate::server::{ListenAddress, ListenerSettings};

/// Where every client comes over a Unix socket, none has an address, and no network is ever the right one.
pub(in crate::config::resolve) fn check_addresses(
    context: &mut Context,
    file: &File,
    listeners: &[ListenerSettings],
) {
    let unix = |listener: &ListenerSettings| matches!(listener.address, ListenAddress::Unix(_));
    if listeners.is_empty() || !listeners.iter().all(unix) {
        return;
    }
    for (index, route) in file.routes.iter().enumerate() {
        let file::Access::Only(map) = &route.access.0 else { continue };
        each_map(&format!("routes[{index}].access"), map, false, &mut |at, map: &OnlyMap, _| {
            if !map.networks.is_empty() {
                let message = "this never holds, and neither does its `not`: every client comes over a Unix socket, \
                               which tells no address\nlisten on TCP, or leave it out";
                context.warn(&format!("{at}.networks"), message);
            }
        });
    }
}

/// Every method that a rule names should be one that can come to its route.
pub(in crate::config::resolve) fn check_methods(context: &mut Context, file: &File, routes: &[Route]) {
    for (index, (given, route)) in file.routes.iter().zip(routes).enumerate() {
        let file::Access::Only(map) = &given.access.0 else { continue };
        let mut named = Vec::new();
        each_map(&format!("routes[{index}].access"), map, false, &mut |at, map, not| {
            let methods = map.methods.iter().enumerate().filter(|_| !not);
            named.extend(methods.map(|(n, method)| (format!("{at}.methods[{n}]"), method.clone())));
        });
        for (at, name) in named {
            let Ok(method) = Method::from_bytes(name.as_bytes()) else { continue };
            if context
                .found
                .iter()
                .any(|found| found.key == at || found.key.starts_with(&format!("routes[{index}].methods")))
            {
                continue;
            }
            if !route.takes(&method) {
                let message = format!(
                    "`{name}` never comes here: `methods` of the route does not name it\nadd it there, or leave it out here"
                );
                context.error(&at, message);
            } else if let Some(earlier) = Routes::taken_before(routes, index, &method) {
                let line = context.document.place(&format!("routes[{earlier}]"), Part::Value).line;
                let message = format!(
                    "`{name}` never comes here: `{}` on line {line} takes it before this route\n\
                     put the narrower route first; the first match wins",
                    routes[earlier].name
                );
                context.error(&at, message);
            }
        }
    }
}
