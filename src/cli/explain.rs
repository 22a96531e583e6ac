//! `cloakroom explain`: what becomes of a request, without sending one.
//!
//! Comes in: a method, a URL, and who is asking. Goes out: the route, the rule with what each part of it says, the answer, and
//! what the application would receive; 0 when the request reaches it, 1 when it does not. Asks the same functions that requests go through, and
//! never connects to anything.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use http::{Method, Version};

use super::ConfigArgs;
use crate::access::{Access, Asking, Denied};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config};
use crate::headers::credentials::{Bearer, Credentials};
use crate::headers::{
    BadRequest, Host, HostChoice, Inbound, Rules, assertion, credentials, inbound, outgoing,
};
use crate::identity::Identity;
use crate::message::{Fields, RequestHead};
use crate::peer::{Peer, Scheme};
use crate::route::{Route, Routes, session_headers};
use crate::server::ListenAddress;
use crate::session::record::Session;
use crate::upstream::{self, HostHeader, Server};

pub use asker::{Asker, Client};

mod asker;
mod tree;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method, such as GET
    pub method: String,
    /// The URL as a browser shows it, or only a path
    pub url: String,
    /// Who is asking.
    #[command(flatten)]
    pub asker: Asker,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Explains a request.
pub fn run(args: Args) -> ExitCode {
    let source = match args.config.source() {
        Ok(source) => source,
        Err(error) => return super::failed(&format_args!("cannot read standard input: {error}")),
    };
    let config = match config::inspect(&source) {
        Ok(config) => config,
        Err(problems) => return super::bad_configuration(&problems),
    };
    let mut text = String::new();
    let reaches = match explain(&config, &args, Clock::System.now(), &mut text) {
        Ok(reaches) => reaches,
        Err(why) => return super::failed(&why),
    };
    match super::print(&text) {
        ExitCode::SUCCESS if !reaches => ExitCode::FAILURE,
        code => code,
    }
}

/// Writes down what becomes of a request; whether it reaches the application.
fn explain(config: &Config, args: &Args, now: Timestamp, text: &mut String) -> Result<bool, String> {
    let method = Method::from_bytes(args.method.as_bytes())
        .map_err(|_| format!("`{}` is not a method", args.method))?;
    let (scheme, host, target) = split(&args.url, config)?;
    let rules = Rules::new(
        config.identity.clone(),
        &session_headers(&config.routes),
        config.headers.clone(),
        config.trusted_proxies.clone(),
    );
    let request = match arrive(&rules, method, (scheme, host), target, args.asker.address()) {
        Ok(request) => request,
        Err(refused) => {
            line(text, "answer", &format!("{}: {refused}", refused.status()));
            return Ok(false);
        }
    };
    line(text, "request", &format!("{} {}", request.method, request.path.as_str()));
    line(text, "host", request.host.name());
    let own = config.reserved_prefix.trim_end_matches('/');
    let path = request.path.as_str();
    if path == own || path.starts_with(&config.reserved_prefix) {
        line(text, "answer", "one of the gateway's own pages");
        return Ok(false);
    }
    let routes = Routes::new(config.routes.clone());
    let route = match routes.find(request.host.name(), &request.path, &request.method) {
        Ok(route) => route,
        Err(why) => {
            line(text, "route", "none");
            line(text, "answer", &format!("refused: {why}"));
            return Ok(false);
        }
    };
    line(text, "route", &describe(route));
    line(text, "access", &tree::in_a_line(&route.access));
    let (session, notes) = args.asker.session(config, now)?;
    notes.iter().for_each(|note| line(text, "note", note));
    line(text, "visitor", &visitor(session.as_deref(), now));
    let method = request.method.clone();
    let asking = Asking::with(session.as_deref(), request.client.ip, &method);
    parts(text, &route.access, &asking, now);
    match route.access.admit(asking, now) {
        Err(denied) => {
            line(text, "answer", answer(denied));
            Ok(false)
        }
        Ok(pass) => {
            let upstream = &config.upstreams[route.upstream];
            let fixed = fixed_host(upstream);
            let choice = fixed.as_deref().map_or(HostChoice::Preserve, HostChoice::Name);
            let mut head = outgoing(request, route.strip_prefix.as_deref(), &pass, choice, &rules);
            add_proofs(&mut head.fields, config, route, pass.identity());
            line(text, "upstream", &format!("{} ({})", upstream.name, servers(upstream)));
            received(text, &head);
            Ok(true)
        }
    }
}

/// Says where proof would stand, without showing any.
fn add_proofs(fields: &mut Fields, config: &Config, route: &Route, identity: Option<&Identity>) {
    let said = route.credentials.as_deref().map(|credentials| match credentials {
        Credentials::Basic(_) => "Basic (a user and a password)",
        Credentials::Bearer(Bearer::AccessToken) => "Bearer (the provider's access token)",
        Credentials::Bearer(Bearer::IdToken) => "Bearer (the provider's ID token)",
    });
    if let Some(said) = said {
        fields.set(credentials::NAME, said);
    }
    if config.assertion.is_some() && identity.is_some() {
        fields.append(assertion::NAME, "(signed for each request)");
    }
}

fn parts(text: &mut String, access: &Access, asking: &Asking<'_>, now: Timestamp) {
    let Access::Only(rule) = access else { return };
    for (at, said) in tree::lines(rule, asking, now).iter().enumerate() {
        line(text, if at == 0 { "rule" } else { "" }, said);
    }
}

fn received(text: &mut String, head: &RequestHead) {
    text.push_str("the application receives:\n");
    let _ = writeln!(text, "    {} {} HTTP/1.1", head.method, head.target);
    for (name, value) in head.fields.iter() {
        let _ = writeln!(text, "    {name}: {}", String::from_utf8_lossy(value));
    }
}

fn line(text: &mut String, what: &str, value: &str) {
    let _ = writeln!(text, "{what:<10}{value}");
}

/// Scheme, host and target of what was typed: a URL, or a path on our own site. Browsers keep fragments to themselves.
fn split(url: &str, config: &Config) -> Result<(Scheme, String, String), String> {
    let url = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ if url.starts_with('/') || url == "*" => {
            let (scheme, host) = own_site(config);
            return Ok((scheme, host, url.to_owned()));
        }
        _ => return Err(format!("`{url}` is neither a URL (https://host/path) nor a path (/path)")),
    };
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((scheme, host.to_owned(), format!("{slash}{target}")))
}

/// How browsers reach us: by `public_url`, or else by the first listener.
fn own_site(config: &Config) -> (Scheme, String) {
    if let Some(url) = &config.public_url {
        return (url.scheme, url.authority.clone());
    }
    let Some(listener) = config.listeners.first() else { return (Scheme::Http, "localhost".to_owned()) };
    let scheme = if listener.tls.is_some() { Scheme::Https } else { Scheme::Http };
    match listener.address {
        ListenAddress::Tcp(address) if address.port() != scheme.default_port() => {
            (scheme, format!("localhost:{}", address.port()))
        }
        _ => (scheme, "localhost".to_owned()),
    }
}

/// The request as the gateway would take it in, from a client at this address.
fn arrive(
    rules: &Rules,
    method: Method,
    site: (Scheme, String),
    target: String,
    client: Option<IpAddr>,
) -> Result<Inbound, BadRequest> {
    let (scheme, host) = site;
    let port = Host::parse(&host).and_then(|host| host.port()).unwrap_or(scheme.default_port());
    let mut fields = Fields::new();
    fields.append("Host", &host);
    let head = RequestHead { method, target, version: Version::HTTP_11, fields };
    let remote = client.map(|address| (address, 50_000).into());
    let peer = Peer { remote, local_port: client.map(|_| port), scheme, certificate: None };
    inbound(head, &peer, rules, || "(made for each request)".into())
}

fn describe(route: &Route) -> String {
    let methods: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
    let methods = if methods.is_empty() { "every method".to_owned() } else { methods.join(", ") };
    format!("{} (host {}, path {}, {methods})", route.name, host(route), route.path)
}

fn host(route: &Route) -> String {
    use crate::route::HostPattern;
    match &route.host {
        HostPattern::Any => "any".to_owned(),
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
    }
}

fn visitor(session: Option<&Session>, now: Timestamp) -> String {
    let Some((identity, then)) =
        session.and_then(|session| session.identity().zip(session.authenticated_at()))
    else {
        return "nobody is logged in".to_owned();
    };
    let groups: Vec<&str> = identity.groups().collect();
    let groups =
        if groups.is_empty() { "no groups".to_owned() } else { format!("groups {}", groups.join(", ")) };
    let claims: String = identity.claims().map(|(name, value)| format!(", {name} {value}")).collect();
    format!("{} ({groups}{claims}), {}", identity.user(), tree::logged_in(then, now))
}

fn answer(denied: Denied) -> &'static str {
    match denied {
        Denied::LoginNeeded => {
            "login needed: pages are sent to the login page (302, 303), everything else gets 401"
        }
        Denied::LoginTooOld(_) => {
            "a fresh login is needed: pages are sent to the login page, everything else gets 401"
        }
        Denied::NotAllowed => "403: the rule lets nobody like this pass, and logging in would not help",
    }
}

/// The Host that upstreams are told, where it is not the client's.
fn fixed_host(upstream: &upstream::Settings) -> Option<String> {
    match (&upstream.host, upstream.servers.first()?) {
        (HostHeader::Preserve, _) => None,
        (HostHeader::Fixed(name), _) => Some(name.clone()),
        (HostHeader::Upstream, Server::Http(host, 80) | Server::Https(host, 443)) => Some(host.clone()),
        (HostHeader::Upstream, Server::Http(host, port) | Server::Https(host, port)) => {
            Some(format!("{host}:{port}"))
        }
        (HostHeader::Upstream, Server::Unix(_)) => Some("localhost".to_owned()),
    }
}

fn servers(upstream: &upstream::Settings) -> String {
    let shown = upstream.servers.iter().map(|server| match server {
        Server::Http(host, port) => format!("http://{host}:{port}"),
        Server::Https(host, port) => format!("https://{host}:{port}"),
        Server::Unix(path) => format!("unix:{}", path.display()),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, inspect};

    fn explained(url: &str, user: Option<&str>) -> (bool, String) {
        let text = "{ listen: 127.0.0.1:8080, upstream: http://127.0.0.1:3000, routes: [\
                    { path: /open, access: public, strip_prefix: /open }, { path: /, access: { groups: [staff] } }],\
                    login: { local: { users_file: /dev/null } } }";
        let source = Source::Text { name: "test".to_owned(), text: text.to_owned() };
        let config = inspect(&source).unwrap_or_else(|problems| panic!("{problems}"));
        let args = Args {
            method: "GET".to_owned(),
            url: url.to_owned(),
            asker: Asker {
                user: user.map(str::to_owned),
                groups: user.map(|_| vec!["staff".to_owned()]),
                ..Asker::default()
            },
            config: ConfigArgs::default(),
        };
        let mut text = String::new();
        let reaches = explain(&config, &args, Timestamp::from_unix_millis(0), &mut text).expect("a request");
        (reaches, text)
    }

    #[test]
    fn the_route_the_rule_and_what_the_application_receives_are_told() {
        let (reaches, text) = explained("/a/../b?x=1", Some("alice"));
        assert!(reaches);
        for part in ["routes[1]", "only groups staff", "GET /b?x=1 HTTP/1.1", "X-Auth-User: alice"] {
            assert!(text.contains(part), "{text}");
        }
        let (reaches, text) = explained("http://h/open/x#fragment", None);
        assert!(reaches && text.contains("GET /x HTTP/1.1") && text.contains("Host: h"), "{text}");
    }

    #[test]
    fn a_request_that_does_not_reach_the_application_is_told_why() {
        for (url, why) in [
            ("/", "login needed"),
            ("/_cloakroom/login", "the gateway's own pages"),
            ("/a%2Fb", "encoded slash"),
            ("/../../x", "400"),
            ("http://bad host/", "400"),
        ] {
            let (reaches, text) = explained(url, None);
            assert!(!reaches && text.contains(why), "{url}: {text}");
        }
    }
}
