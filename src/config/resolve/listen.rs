//! Listen: addresses and what is served on them.
//!
//! Comes in: `listen:` as written. Goes out: listeners whose certificates can be read. Never lets plain http out of this
//! machine unasked.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Context, certificate, is_https, is_local};
use crate::config::file::{ClientAuth, File, Listener, ListenerTls, TlsVersion};
use crate::gateway::settings::PublicUrl;
use crate::server::{ClientCertificates, ListenAddress, ListenerSettings, TlsSettings};

/// All listeners.
pub(super) fn resolve(
    context: &mut Context,
    file: &File,
    public_url: Option<&PublicUrl>,
) -> Vec<ListenerSettings> {
    let entries = file.listen.as_ref().map(|listen| listen.0.as_slice()).unwrap_or_default();
    if entries.is_empty() {
        context.missing("", "nothing to listen on\nadd `listen: 127.0.0.1:8080`");
    }
    let mut listeners: Vec<(usize, ListenerSettings)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let path = format!("listen[{at}]");
        let Some(listener) = one(context, &path, &entry.0) else { continue };
        let fixed = !matches!(listener.address, ListenAddress::Tcp(address) if address.port() == 0);
        if fixed && listeners.iter().any(|(_, other)| other.address == listener.address) {
            context.error(&format!("{path}.address"), "another listener has this address already");
        }
        listeners.push((at, listener));
    }
    let https = is_https(public_url) || listeners.iter().any(|(_, listener)| listener.tls.is_some());
    for (at, listener) in &listeners {
        let path = format!("listen[{at}]");
        if listener.redirect_to_https && !https {
            context.error(
                &format!("{path}.redirect_to_https"),
                "there is no https to redirect to\nadd a listener with `tls`, or set `public_url: https://…`",
            );
        }
        if is_open(listener)
            && !is_https(public_url)
            && !file.allow_insecure.0
            && !context.document.is_damaged(&path)
        {
            context.error(&format!("{path}.address"), OPEN);
        }
    }
    listeners.into_iter().map(|(_, listener)| listener).collect()
}

const OPEN: &str = "plain http beyond this machine: cookies and passwords can be read on the way\n\
    add `tls`, or set `public_url: https://…` if TLS ends in front of this gateway, or `redirect_to_https: true`, or \
    `allow_insecure: true` if you mean it";

/// Whether it serves plain http to other machines.
fn is_open(listener: &ListenerSettings) -> bool {
    let beyond = matches!(&listener.address, ListenAddress::Tcp(address) if !is_local(address));
    beyond && listener.tls.is_none() && !listener.redirect_to_https
}

fn one(context: &mut Context, path: &str, entry: &Listener) -> Option<ListenerSettings> {
    let Some(given) = &entry.address else {
        context.missing(path, "a listener without an address\nadd `address: 127.0.0.1:8080`");
        return None;
    };
    let tls = entry.tls.as_ref().map(|tls| resolve_tls(context, &format!("{path}.tls"), tls));
    if tls.is_some() && entry.redirect_to_https.0 {
        let path = format!("{path}.redirect_to_https");
        context.error(&path, "this listener serves https already\nput the redirect on one without `tls`");
    }
    match parse_address(given) {
        Ok(address) => {
            let address = match address {
                ListenAddress::Unix(socket) => ListenAddress::Unix(context.directory.join(socket)),
                tcp @ ListenAddress::Tcp(_) => tcp,
            };
            Some(ListenerSettings { address, tls, redirect_to_https: entry.redirect_to_https.0 })
        }
        Err(hint) => {
            let path = format!("{path}.address");
            context.error(&path, format!("`{given}` is not an address to listen on\n{hint}"));
            None
        }
    }
}

/// `host:port`, `[::1]:port` or `unix:/path`; or a hint.
pub(super) fn parse_address(given: &str) -> Result<ListenAddress, String> {
    if let Some(path) = given.strip_prefix("unix:") {
        return match path {
            "" => Err("write `unix:/run/cloakroom.sock`".to_owned()),
            path => Ok(ListenAddress::Unix(PathBuf::from(path))),
        };
    }
    if let Ok(address) = given.parse::<SocketAddr>() {
        return Ok(ListenAddress::Tcp(address));
    }
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let hint = match given.rsplit_once(':') {
        _ if given.contains("://") => {
            "leave the scheme out: `127.0.0.1:8080`; https is made by `tls`".to_owned()
        }
        None if is_port(given) => {
            format!("write `127.0.0.1:{given}` for this machine, `0.0.0.0:{given}` for all")
        }
        Some(("" | "*", port)) if is_port(port) => {
            format!("write `127.0.0.1:{port}` for this machine, `0.0.0.0:{port}` for all")
        }
        Some(("localhost", port)) if is_port(port) => format!("write `127.0.0.1:{port}`"),
        None if given.parse::<std::net::IpAddr>().is_ok() => format!("add a port: `{given}:8080`"),
        _ => {
            "write an IP address and a port from 0 to 65535: `127.0.0.1:8080`, `[::1]:8080`, or `unix:/path`"
                .to_owned()
        }
    };
    Err(hint)
}

fn resolve_tls(context: &mut Context, path: &str, given: &ListenerTls) -> TlsSettings {
    if given.certificates.is_empty() {
        context.missing(
            path,
            "TLS without a certificate\nadd `certificates: [{ cert: server.crt, key: server.key }]`",
        );
    }
    let mut certificates = Vec::new();
    for (at, pair) in given.certificates.iter().enumerate() {
        let path = format!("{path}.certificates[{at}]");
        match (&pair.cert, &pair.key) {
            (Some(cert), Some(key)) => certificates.push(certificate::pair(context, &path, cert, key)),
            (None, _) => context.missing(&path, "a certificate needs its file\nadd `cert: server.crt`"),
            (_, None) => context.missing(&path, "a certificate needs its key\nadd `key: server.key`"),
        }
    }
    let clients = given.client_ca.as_deref().map(|ca| ClientCertificates {
        ca: certificate::authorities(context, &format!("{path}.client_ca"), ca),
        required: given.client_auth == ClientAuth::Required,
    });
    if clients.is_none() && context.document.has(&format!("{path}.client_auth")) {
        let message = "nobody is asked for a certificate\nadd `client_ca: ca.pem`, whose certificates clients must have";
        context.key_error(&format!("{path}.client_auth"), message);
    }
    TlsSettings { certificates, only_tls13: given.min_version.0 == TlsVersion::Tls13, clients }
}
