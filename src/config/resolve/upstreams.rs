//! Upstreams: applications and where they run.
//!
//! Comes in: `upstream:` or `upstreams:` as written. Goes out: settings in the order of their names; their place in the
//! list is what routes point to. Never connects.

use std::net::{IpAddr, SocketAddr};

use super::{Context, certificate};
use crate::config::file::{BalanceWord, File, Upstream, UpstreamTls};
use crate::headers::Host;
use crate::server::{ListenAddress, ListenerSettings};
use crate::upstream::{Balance, HostHeader, Server, Settings, Tls};

/// The name of the upstream given in short form.
pub(super) const SHORT: &str = "default";

/// All upstreams.
pub(super) fn resolve(context: &mut Context, file: &File, listeners: &[ListenerSettings]) -> Vec<Settings> {
    if file.upstream.is_some() && !file.upstreams.is_empty() {
        context.key_error(
            "upstream",
            "`upstream` is the short form of `upstreams`; only one of them can be there\n\
             move this one under `upstreams` and give it a name",
        );
    }
    if let Some(short) = &file.upstream {
        return vec![one(context, "upstream", SHORT, &short.0, listeners)];
    }
    if file.upstreams.is_empty() {
        context.missing("upstreams", "no upstream: there is nothing to put the gateway in front of\nadd `upstream: http://127.0.0.1:3000`");
    }
    let named = file.upstreams.iter();
    named
        .map(|(name, upstream)| {
            let path = format!("upstreams.{name}");
            one(context, &path, name, &upstream.0, listeners)
        })
        .collect()
}

fn one(
    context: &mut Context,
    path: &str,
    name: &str,
    given: &Upstream,
    own: &[ListenerSettings],
) -> Settings {
    let mut servers: Vec<Server> = Vec::new();
    if given.servers.is_empty() {
        context.missing(path, "an upstream without a server\nadd `servers: [http://127.0.0.1:3000]`");
    }
    for (at, text) in given.servers.iter().enumerate() {
        let path = format!("{path}.servers[{at}]");
        match parse_server(text) {
            Ok(server) if servers.contains(&server) => {
                context.error(&path, format!("`{text}` is listed twice"))
            }
            Ok(server) if is_own(&server, own) => {
                context.error(
                    &path,
                    "this is an address the gateway itself listens on: requests would go in circles",
                );
            }
            Ok(Server::Unix(socket)) => servers.push(Server::Unix(context.directory.join(socket))),
            Ok(server) => servers.push(server),
            Err(why) => context.error(&path, format!("`{text}` is not a server: {why}")),
        }
    }
    let secure = servers.iter().any(|server| matches!(server, Server::Https(..)));
    let tls = tls(context, &format!("{path}.tls"), &given.tls);
    if given.tls != UpstreamTls::default() && !servers.is_empty() && !secure {
        context.error(
            &format!("{path}.tls"),
            "TLS is for servers by `https`, and there is none\nwrite `https://…`",
        );
    }
    Settings {
        name: name.to_owned(),
        balance: match given.balance {
            BalanceWord::LeastRequests => Balance::LeastRequests,
            BalanceWord::RoundRobin => Balance::RoundRobin,
        },
        host: host(context, &format!("{path}.host"), &given.host),
        connections: context.number(&format!("{path}.connections"), given.connections.0, 1),
        keep_alive: context.number(&format!("{path}.keep_alive"), given.keep_alive.0, 0),
        connect_timeout: given.timeouts.connect.0,
        response_timeout: given.timeouts.response.0,
        idle_timeout: given.timeouts.idle.0,
        retries: context.number(&format!("{path}.retries"), given.retries.0, 0),
        audience: given.audience.clone().filter(|audience| !audience.is_empty()),
        servers,
        tls,
    }
}

/// `http://host:port`, `https://host:port` or `unix:/path`; or what is wrong with it, and a hint.
fn parse_server(text: &str) -> Result<Server, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path {
            "" => Err("the path is missing\nwrite `unix:/run/app.sock`".to_owned()),
            path => Ok(Server::Unix(path.into())),
        };
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("the scheme is missing\nwrite `http://{text}`"));
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let bare = authority.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(format!("a server has no path; paths belong to routes\nwrite `{scheme}://{bare}`"));
    }
    let host =
        Host::parse(authority).ok_or("the host or port is not valid\nwrite `http://127.0.0.1:3000`")?;
    let name = host.name().to_owned();
    match scheme {
        "http" => Ok(Server::Http(name, host.port().unwrap_or(80))),
        "https" => Ok(Server::Https(name, host.port().unwrap_or(443))),
        _ => Err(format!("the scheme `{scheme}` is not known\nwrite `http://…`, `https://…` or `unix:/…`")),
    }
}

/// Whether a server is one of our own listeners.
fn is_own(server: &Server, listeners: &[ListenerSettings]) -> bool {
    listeners.iter().any(|listener| match (&listener.address, server) {
        (ListenAddress::Unix(ours), Server::Unix(theirs)) => ours == theirs,
        (ListenAddress::Tcp(ours), Server::Http(host, port) | Server::Https(host, port)) => {
            ours.port() == *port && *port != 0 && reaches(host, ours)
        }
        _ => false,
    })
}

fn reaches(host: &str, ours: &SocketAddr) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    match address {
        Some(address) => address == ours.ip() || ours.ip().is_unspecified() && address.is_loopback(),
        None => host == "localhost" && (ours.ip().is_loopback() || ours.ip().is_unspecified()),
    }
}

fn host(context: &mut Context, path: &str, given: &str) -> HostHeader {
    match given {
        "preserve" => HostHeader::Preserve,
        "upstream" => HostHeader::Upstream,
        name => {
            if Host::parse(name).is_none() {
                let message = format!(
                    "`{name}` is not a host name\nwrite `preserve`, `upstream` or a name such as `app.internal`"
                );
                context.error(path, message);
            }
            HostHeader::Fixed(name.to_owned())
        }
    }
}

fn tls(context: &mut Context, path: &str, given: &UpstreamTls) -> Tls {
    let client = match (&given.cert, &given.key) {
        (Some(cert), Some(key)) => Some(certificate::pair(context, path, cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            context.missing(path, "a certificate needs its key\nadd `key`");
            None
        }
        (None, Some(_)) => {
            context.missing(path, "a key needs its certificate\nadd `cert`");
            None
        }
    };
    if let Some(name) = &given.server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        context.error(&format!("{path}.server_name"), format!("`{name}` is not a host name"));
    }
    let ca = given.ca.as_deref().map(|ca| certificate::authorities(context, &format!("{path}.ca"), ca));
    Tls { ca, server_name: given.server_name.clone(), client }
}
