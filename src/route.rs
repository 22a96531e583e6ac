//! Route: where to? First match of host, path prefix and method.
//!
//! Comes in: a host, a normal path and a method. Goes out: the route, or why there is none. Paths are compared decoded
//! and by case: `/Admin` is not `/admin`, so an application that folds case must have its whole tree under one rule.
//! Never looks at headers or queries.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use crate::access::Access;
use crate::headers::NormalPath;
use crate::headers::credentials::Credentials;
use crate::session::protocol::SessionHeader;
use crate::session::rights::Rights;

/// One entry of `routes:`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name for logs: `routes[3]` or the operator's `name:`.
    pub name: String,
    /// Exact host, `*.` and a suffix, or any.
    pub host: HostPattern,
    /// Prefix by segments: `/admin` and `/admin/` both match `/admin` and `/admin/x`, never `/administrator`.
    pub path: String,
    /// Allowed methods; empty: all.
    pub methods: Vec<Method>,
    /// Who may pass.
    pub access: Access,
    /// Index into the table of upstreams.
    pub upstream: usize,
    /// Prefix taken off the path before it goes to the upstream.
    pub strip_prefix: Option<String>,
    /// `encoded_slash: keep`: `%2F` is passed on instead of refused.
    pub keep_encoded_slash: bool,
    /// Whether a request extends its session.
    pub activity: bool,
    /// What the upstream may know and change of sessions.
    pub session: Rights,
    /// Keys of the session that are told as headers of their own.
    pub session_headers: Vec<SessionHeader>,
    /// What is said to an application that wants a password or a token.
    pub credentials: Option<Arc<Credentials>>,
}

/// The names of all headers that sessions are told under.
pub fn session_headers(routes: &[Route]) -> Vec<String> {
    routes.iter().flat_map(|route| &route.session_headers).map(|header| header.name.clone()).collect()
}

/// Which hosts a route answers for. Hosts are compared in lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// Exactly this host.
    Exact(String),
    /// `*.example.com`: one or more labels before the suffix, which is kept with its leading dot.
    Suffix(String),
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No route matches: 404.
    #[error("no route matches")]
    Unknown,
    /// The path holds `%2F`, and the route does not keep it: 400.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// A server that cuts parameters off or decodes slashes would see a path of another route: 400.
    #[error("the path can be read in two ways that lead to different routes")]
    Ambiguous,
}

/// All routes, ready to be searched.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    /// For each route its path, decoded, without a slash at its end.
    prefixes: Vec<Box<[u8]>>,
    /// For each exact host the routes that answer for it, in order.
    by_host: HashMap<String, Vec<usize>>,
    /// For all other hosts: routes with a suffix, or for any host, in order.
    elsewhere: Vec<usize>,
}

impl Routes {
    /// Prepares routes for searching; their order decides.
    pub fn new(routes: Vec<Route>) -> Self {
        let answering = |host: &str| -> Vec<usize> {
            let candidates = routes.iter().enumerate().filter(|(_, route)| route.host.matches(host));
            candidates.map(|(index, _)| index).collect()
        };
        let exact = routes.iter().filter_map(|route| match &route.host {
            HostPattern::Exact(host) => Some(host),
            HostPattern::Any | HostPattern::Suffix(_) => None,
        });
        let by_host = exact.map(|host| (host.clone(), answering(host))).collect();
        let open = |route: &Route| !matches!(route.host, HostPattern::Exact(_));
        let elsewhere = (0..routes.len()).filter(|&index| open(&routes[index])).collect();
        let prefixes = routes.iter().map(|route| prefix(&route.path).into()).collect();
        Self { routes, prefixes, by_host, elsewhere }
    }

    /// The first route that matches, if every known way of reading the path leads to it. `host` is in lower case and
    /// without port.
    pub fn find(&self, host: &str, path: &NormalPath, method: &Method) -> Result<&Route, NoRoute> {
        let found = self.first(host, &path.decoded(), method).ok_or(NoRoute::Unknown)?;
        let route = &self.routes[found];
        if path.has_encoded_slash() && !route.keep_encoded_slash {
            return Err(NoRoute::EncodedSlash);
        }
        if path.has_other_readings() && self.first(host, &path.loosely_decoded(), method) != Some(found) {
            return Err(NoRoute::Ambiguous);
        }
        Ok(route)
    }

    /// Pairs of a route that can never be reached, and the first earlier route that takes all of its requests.
    pub fn unreachable(routes: &[Route]) -> Vec<(usize, usize)> {
        let covering = |(index, route): (usize, &Route)| {
            let earlier = routes[..index].iter().position(|earlier| earlier.covers(route))?;
            Some((index, earlier))
        };
        routes.iter().enumerate().filter_map(covering).collect()
    }

    /// The first route before the one at `index` that takes every request with this method that would come to it.
    pub fn taken_before(routes: &[Route], index: usize, method: &Method) -> Option<usize> {
        let route = &routes[index];
        routes[..index].iter().position(|earlier| earlier.takes(method) && earlier.is_around(route))
    }

    /// All routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    fn first(&self, host: &str, path: &[u8], method: &Method) -> Option<usize> {
        let candidates = self.by_host.get(host).unwrap_or(&self.elsewhere);
        candidates.iter().copied().find(|&index| {
            let route = &self.routes[index];
            is_under(path, &self.prefixes[index]) && route.takes(method) && route.host.matches(host)
        })
    }
}

impl Route {
    /// Whether the method is allowed. HEAD is, where GET is.
    pub fn takes(&self, method: &Method) -> bool {
        let listed = |method: &Method| self.methods.contains(method);
        self.methods.is_empty() || listed(method) || *method == Method::HEAD && listed(&Method::GET)
    }

    /// Whether every request for `other` would match this route.
    fn covers(&self, other: &Route) -> bool {
        let methods = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|method| self.takes(method));
        methods && self.is_around(other)
    }

    /// Whether every host and path of `other` is one of this route.
    fn is_around(&self, other: &Route) -> bool {
        self.host.covers(&other.host) && is_under(&prefix(&other.path), &prefix(&self.path))
    }
}

impl HostPattern {
    /// Whether it answers for a host, given in lower case and without port.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(exact) => exact == host,
            HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }

    /// Whether it answers for every host of `other`.
    fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Any, _) => true,
            (_, HostPattern::Any) => false,
            (_, HostPattern::Exact(host)) => self.matches(host),
            (HostPattern::Suffix(wide), HostPattern::Suffix(narrow)) => narrow.ends_with(wide.as_str()),
            (HostPattern::Exact(_), HostPattern::Suffix(_)) => false,
        }
    }
}

/// A route's path as it is compared: decoded, without a slash at its end.
fn prefix(path: &str) -> Vec<u8> {
    let mut prefix: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    while prefix.last() == Some(&b'/') {
        prefix.pop();
    }
    prefix
}

/// Whether a path is a prefix or below it, by whole segments.
fn is_under(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, host: &str, path: &str) -> Route {
        let host = match host {
            "" => HostPattern::Any,
            host => host
                .strip_prefix('*')
                .map_or(HostPattern::Exact(host.to_owned()), |suffix| HostPattern::Suffix(suffix.to_owned())),
        };
        Route {
            name: name.to_owned(),
            host,
            path: path.to_owned(),
            methods: Vec::new(),
            access: Access::Login,
            upstream: 0,
            strip_prefix: None,
            keep_encoded_slash: false,
            activity: true,
            session: Rights::new("app", None, None, false),
            session_headers: Vec::new(),
            credentials: None,
        }
    }

    fn find<'a>(routes: &'a Routes, host: &str, path: &str) -> Result<&'a str, NoRoute> {
        let path = NormalPath::parse(path).expect("a valid path");
        routes.find(host, &path, &Method::GET).map(|route| route.name.as_str())
    }

    #[test]
    fn the_first_match_of_host_and_path_wins() {
        let routes = Routes::new(vec![
            route("static", "", "/static/"),
            route("reports", "reports.example.com", "/"),
            route("subdomain", "*.example.com", "/"),
            route("admin", "", "/admin"),
            route("never", "reports.example.com", "/x"),
        ]);
        assert_eq!(find(&routes, "reports.example.com", "/x"), Ok("reports"));
        assert_eq!(find(&routes, "reports.example.com", "/static"), Ok("static"));
        assert_eq!(find(&routes, "a.b.example.com", "/admin"), Ok("subdomain"));
        assert_eq!(find(&routes, "example.com", "/admin/"), Ok("admin"));
        assert_eq!(find(&routes, "badexample.com", "/"), Err(NoRoute::Unknown));
        assert_eq!(find(&routes, "example.com", "/administrator"), Err(NoRoute::Unknown));
        assert_eq!(find(&routes, "example.com", "/Admin"), Err(NoRoute::Unknown));
    }

    #[test]
    fn an_encoded_spelling_does_not_slip_past_a_rule() {
        let routes =
            Routes::new(vec![route("one", "", "/관리/"), route("two", "", "/@a"), route("rest", "", "/")]);
        assert_eq!(find(&routes, "h", "/%EA%B4%80%EB%A6%AC/x"), Ok("one"));
        assert_eq!(find(&routes, "h", "/%ea%b4%80%eb%a6%ac/x"), Ok("one"));
        assert_eq!(find(&routes, "h", "/%40%61/"), Ok("two"));
        assert_eq!(find(&routes, "h", "/x/../@a//b"), Ok("two"));
    }

    #[test]
    fn a_path_with_two_readings_must_lead_to_one_route() {
        let mut keeping = route("rest", "", "/");
        keeping.keep_encoded_slash = true;
        let routes = Routes::new(vec![route("public", "", "/public"), route("admin", "", "/admin"), keeping]);
        assert_eq!(find(&routes, "h", "/shop;jsessionid=1/cart"), Ok("rest"));
        assert_eq!(find(&routes, "h", "/admin/x;a=b"), Ok("admin"));
        for path in ["/admin;x", "/admin;x/y", "/;x/admin", "/admin%3Bx", "/admin%2Fx", "/%2fadmin"] {
            assert_eq!(find(&routes, "h", path), Err(NoRoute::Ambiguous), "{path}");
        }
        assert_eq!(find(&routes, "h", "/repo/a%2Fb"), Ok("rest"));
        assert_eq!(find(&routes, "h", "/public/a%2Fb"), Err(NoRoute::EncodedSlash));
    }

    #[test]
    fn head_is_allowed_where_get_is() {
        let mut reading = route("reading", "", "/");
        reading.methods = vec![Method::GET];
        let routes = Routes::new(vec![reading]);
        let path = NormalPath::parse("/").expect("valid");
        assert!(routes.find("h", &path, &Method::HEAD).is_ok());
        assert_eq!(routes.find("h", &path, &Method::POST).err(), Some(NoRoute::Unknown));
    }

    #[test]
    fn routes_behind_a_wider_one_are_unreachable() {
        let mut reading = route("reading", "", "/docs");
        reading.methods = vec![Method::GET];
        let mut heads = route("heads", "a.b", "/docs/x");
        heads.methods = vec![Method::HEAD];
        let routes = [
            reading,
            heads,
            route("all docs", "", "/docs/"),
            route("narrow", "*.x.b", "/y"),
            route("wide", "*.b", "/"),
            route("host", "a.b", "/z"),
            route("deeper", "*.a.b", "/"),
            route("apex", "b", "/"),
        ];
        assert_eq!(Routes::unreachable(&routes), [(1, 0), (5, 4), (6, 4)]);
    }

    #[test]
    fn a_thousand_routes_are_searched_in_order() {
        let many = (0..1000).map(|n| route(&n.to_string(), &format!("h{}", n % 10), &format!("/p{n}")));
        let routes = Routes::new(many.collect());
        assert_eq!(find(&routes, "h9", "/p999/x"), Ok("999"));
        assert_eq!(find(&routes, "h8", "/p999/x"), Err(NoRoute::Unknown));
    }
}
