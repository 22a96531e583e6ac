//! Methods: those that a rule names, held against those that come to its route.
//!
//! Comes in: all routes. Goes out: a diagnostic for each method that never comes. Never minds what stands below `not`.

use http::Method;

use super::each_map;
use crate::config::document::Part;
use crate::config::file::{self, File};
use crate::config::resolve::Context;
use crate::route::{Route, Routes};

/// Every method that a rule names should be one that can come to its route.
pub(in crate::config::resolve) fn check(context: &mut Context, file: &File, routes: &[Route]) {
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
