//! Route: where to? First match of host, path prefix and method.
//!
//! Comes in: a host, a normal path and a method. Goes out: the route, or none (404). Never looks at headers or queries.

use http::Method;

use crate::access::Access;

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
