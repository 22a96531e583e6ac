//! OpenID Connect: which providers people may log in at.
//!
//! Comes in: `login.oidc:` as written, and what browsers see of the gateway. Goes out: settings. Never asks a provider:
//! it may be away while the gateway starts.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::{Context, certificate, claims, is_local};
use crate::config::file::{ClientAuthWord, Oidc, Secret};
use crate::gateway::settings::PublicUrl;
use crate::login::oidc::settings::{Allow, ClientAuth, OidcSettings, ProviderSettings};
use crate::login::outside::is_safe;
use crate::server::{ListenAddress, ListenerSettings};
use crate::session::StoreKind;

/// What else decides about providers.
pub(super) struct Surroundings<'a> {
    pub public_url: Option<&'a PublicUrl>,
    pub listeners: &'a [ListenerSettings],
    pub store: StoreKind,
    /// There are other ways to log in.
    pub others: bool,
}

/// `login.oidc:`
pub(super) fn resolve(context: &mut Context, given: &[Oidc], around: &Surroundings<'_>) -> OidcSettings {
    if !given.is_empty() {
        check_surroundings(context, around);
    }
    let others = around.others || given.len() > 1;
    let mut names = BTreeSet::new();
    let providers = given.iter().enumerate().map(|(at, oidc)| {
        let provider = provider(context, &format!("login.oidc[{at}]"), oidc, others);
        if provider.refresh && around.store == StoreKind::Cookie {
            let message =
                "tokens have no room in cookies\nuse another `session.store`, or leave `refresh` out";
            context.error(&format!("login.oidc[{at}].refresh"), message);
        }
        if !provider.name.is_empty() && !names.insert(provider.name.clone()) {
            let message = format!("another provider is called `{}` already", provider.name);
            context.error(&format!("login.oidc[{at}].name"), message);
        }
        provider
    });
    let providers: Vec<_> = providers.collect();
    for (at, provider) in providers.iter().enumerate() {
        if providers[..at].iter().any(|other| other.prefix == provider.prefix) {
            context.warn(
                &format!("login.oidc[{at}]"),
                "user names begin as those of another provider: one name at both is one user\nleave `prefix` out",
            );
        }
    }
    OidcSettings { providers, origin: around.public_url.map(PublicUrl::origin), tells_access: false }
}

fn check_surroundings(context: &mut Context, around: &Surroundings<'_>) {
    const AT: &str = "login.oidc";
    let here = |listener: &ListenerSettings| match &listener.address {
        ListenAddress::Tcp(address) => is_local(address),
        ListenAddress::Unix(_) => false,
    };
    if around.public_url.is_none() && !around.listeners.iter().all(here) {
        context.missing(
            AT,
            "providers send people back to an address that must be known\nadd `public_url: https://app.example.com`",
        );
    }
    match around.store {
        StoreKind::Django => context.key_error(
            AT,
            "with `session.store: django` people log in at the Django site only\nleave `oidc` out",
        ),
        StoreKind::Cookie => context.warn(
            AT,
            "sessions sealed in cookies cannot be ended by a provider\nuse another `session.store` if it is to",
        ),
        _ => {}
    }
}

fn provider(context: &mut Context, at: &str, given: &Oidc, others: bool) -> ProviderSettings {
    let name = name(context, at, given);
    let client_id = given.client_id.clone().unwrap_or_default();
    if client_id.is_empty() {
        context.missing(at, "the client is missing\nadd `client_id:` as the provider knows it");
    }
    if given.client_secret.is_none() && given.client_auth != ClientAuthWord::default() {
        context.error(&format!("{at}.client_auth"), "there is no secret to show\nadd `client_secret:`");
    }
    if let Some(post_logout) = &given.post_logout
        && !Url::parse(post_logout).is_ok_and(|url| is_safe(&url))
    {
        context.error(
            &format!("{at}.post_logout"),
            "this is not an address to go to\nwrite `https://www.example.com/`",
        );
    }
    let prefix = given.prefix.clone().unwrap_or(if others { format!("{name}:") } else { String::new() });
    if prefix.len() > 64 || prefix.chars().any(char::is_control) {
        context.error(&format!("{at}.prefix"), "a prefix is at most 64 bytes of text on one line");
    }
    ProviderSettings {
        title: given.title.clone().unwrap_or_else(|| name.clone()),
        issuer: issuer(context, at, given),
        client_id,
        client_secret: given.client_secret.as_ref().map(|Secret(secret)| secret.clone()),
        client_auth: match given.client_auth {
            ClientAuthWord::Basic => ClientAuth::Basic,
            ClientAuthWord::Post => ClientAuth::Post,
        },
        scopes: scopes(context, at, &given.scopes),
        claims: claims::names(context, &format!("{at}.claims"), &given.claims),
        prefix,
        allow: allow(context, at, given),
        authorities: authorities(context, at, given.ca.as_deref()),
        sign_out_there: given.sign_out_there.0,
        post_logout: given.post_logout.clone(),
        refresh: given.refresh.0,
        name,
    }
}

fn name(context: &mut Context, at: &str, given: &Oidc) -> String {
    let Some(name) = given.name.clone() else {
        context.missing(at, "a provider without a name\nadd `name: company`");
        return String::new();
    };
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
        let message = format!(
            "`{name}` cannot stand in an address\nuse 1 to 32 lower-case letters, digits, `-` and `_`; `title:` is for people"
        );
        context.error(&format!("{at}.name"), message);
    }
    if given
        .title
        .as_ref()
        .is_some_and(|title| title.trim().is_empty() || title.chars().any(char::is_control))
    {
        context.error(&format!("{at}.title"), "a title is text on one line");
    }
    name
}

fn issuer(context: &mut Context, at: &str, given: &Oidc) -> String {
    let Some(issuer) = given.issuer.clone() else {
        context.missing(at, "the issuer is missing\nadd `issuer: https://id.example.com`");
        return String::new();
    };
    let at = format!("{at}.issuer");
    match Url::parse(&issuer) {
        Ok(url) if !is_safe(&url) => {
            context.error(
                &at,
                "a provider is reached by https; http is for this machine only\nwrite `https://…`",
            );
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            context.error(&at, "an issuer has neither a query nor a fragment");
        }
        Ok(_) if issuer.ends_with("/.well-known/openid-configuration") => {
            context.error(&at, "this is where the provider describes itself\nleave `/.well-known/…` out");
        }
        Ok(_) => {}
        Err(_) => context.error(&at, "this is not an address\nwrite `https://id.example.com`"),
    }
    issuer
}

fn scopes(context: &mut Context, at: &str, given: &[String]) -> Vec<String> {
    // RFC 6749, section 3.3.
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    for (index, scope) in given.iter().enumerate() {
        if scope.is_empty() || !scope.bytes().all(fits) {
            context.error(&format!("{at}.scopes[{index}]"), "a scope is one word");
        }
    }
    let openid = (!given.iter().any(|scope| scope == "openid")).then(|| "openid".to_owned());
    openid.into_iter().chain(given.iter().cloned()).collect()
}

fn allow(context: &mut Context, at: &str, given: &Oidc) -> Allow {
    for (index, domain) in given.allow.email_domains.iter().enumerate() {
        if domain.is_empty() || domain.contains('@') || domain.starts_with('.') || domain.contains('*') {
            context.error(
                &format!("{at}.allow.email_domains[{index}]"),
                "this is not what stands behind the `@`\nwrite `example.com`",
            );
        }
    }
    Allow {
        email_domains: given.allow.email_domains.iter().map(|domain| domain.to_lowercase()).collect(),
        groups: given.allow.groups.clone(),
        users: given.allow.users.clone(),
    }
}

fn authorities(context: &mut Context, at: &str, given: Option<&str>) -> Vec<Vec<u8>> {
    let Some(given) = given else { return Vec::new() };
    let file = certificate::authorities(context, &format!("{at}.ca"), given);
    // What cannot be read was reported.
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.unwrap_or_default().iter().map(|certificate| certificate.to_vec()).collect()
}
