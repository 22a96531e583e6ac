//! Bearer: whose tokens count.
//!
//! Comes in: `login.bearer:` as written. Goes out: its settings, with the keys of files read. Never lets an issuer stand
//! whose tokens anybody could make or use: each needs an audience, and its keys come by https.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use url::Url;

use super::{Context, certificate, claims};
use crate::config::file::{Bearer, BearerIssuer};
use crate::login::bearer::{IssuerSettings, Settings};
use crate::login::issuer::KeySource;
use crate::login::outside::is_safe;
use crate::login::token::{KeySet, is_algorithm};

const AT: &str = "login.bearer";

/// `login.bearer:`
pub(super) fn resolve(context: &mut Context, given: &Bearer) -> Settings {
    if given.issuers.is_empty() {
        context.missing(
            AT,
            "no issuer, so no token counts\nadd `issuers: [{ issuer: https://id.example.com, audience: api }]`",
        );
    }
    super::vouching::check_realm(context, &format!("{AT}.realm"), &given.realm);
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    for (at, given) in given.issuers.iter().enumerate() {
        let path = format!("{AT}.issuers[{at}]");
        let Some(issuer) = issuer(context, &path, given) else { continue };
        if issuers.iter().any(|other| other.issuer == issuer.issuer) {
            let message = format!("`{}` is there already\ngive one entry several audiences", issuer.issuer);
            context.error(&format!("{path}.issuer"), message);
        }
        issuers.push(issuer);
    }
    Settings { realm: given.realm.clone(), pass_on: given.pass_on.0, issuers }
}

fn issuer(context: &mut Context, path: &str, given: &BearerIssuer) -> Option<IssuerSettings> {
    let Some(issuer) = given.issuer.clone().filter(|issuer| !issuer.is_empty()) else {
        context.missing(path, "an issuer without its name\nadd `issuer:`, as its tokens say it in `iss`");
        return None;
    };
    if given.audience.0.iter().all(String::is_empty) {
        let message = "without an audience, every token of this issuer would count, whoever it was made for\n\
                       add `audience:`, as its tokens for this place say it in `aud`";
        context.missing(path, message);
    }
    for (at, name) in given.algorithms.iter().enumerate().filter(|(_, name)| !is_algorithm(name)) {
        let message = format!(
            "`{name}` is not an algorithm that proves a private key\nwrite such as `ES256`, `RS256` or `EdDSA`"
        );
        context.error(&format!("{path}.algorithms[{at}]"), message);
    }
    Some(IssuerSettings {
        keys: keys(context, path, given, &issuer),
        authorities: authorities(context, path, given.ca.as_deref()),
        audiences: given.audience.0.clone(),
        algorithms: given.algorithms.clone(),
        prefix: given.prefix.clone(),
        claims: claims::names(context, &format!("{path}.claims"), &given.claims),
        required: given.required.iter().map(|(claim, words)| (claim.clone(), words.0.clone())).collect(),
        issuer,
    })
}

/// Where the issuer's keys come from.
fn keys(context: &mut Context, path: &str, given: &BearerIssuer, issuer: &str) -> KeySource {
    match (&given.jwks_file, &given.jwks_uri) {
        (Some(_), Some(_)) => {
            context.error(&format!("{path}.jwks_uri"), "its keys are in a file\nkeep one of the two");
            KeySource::Discovery
        }
        (Some(file), None) => fixed(context, &format!("{path}.jwks_file"), file),
        (None, Some(text)) => match Url::parse(text).ok().filter(is_safe) {
            Some(url) => KeySource::At(url),
            None => {
                let message = format!("`{text}` is not a URL by https\nwrite `https://id.example.com/keys`");
                context.error(&format!("{path}.jwks_uri"), message);
                KeySource::Discovery
            }
        },
        (None, None) => {
            if Url::parse(issuer).ok().filter(is_safe).is_none() {
                let message = format!(
                    "`{issuer}` is not a URL by https, so nobody can be asked for its keys\nadd `jwks_uri` or `jwks_file`"
                );
                context.error(&format!("{path}.issuer"), message);
            }
            KeySource::Discovery
        }
    }
}

fn fixed(context: &mut Context, path: &str, file: &str) -> KeySource {
    let file = context.file(file);
    let read = std::fs::read(&file).map_err(|error| error.to_string());
    let set = read.and_then(|text| {
        serde_json::from_slice::<Value>(&text).map_err(|error| format!("it is no JSON: {error}"))
    });
    let usable = set.and_then(|set| match KeySet::of(&set) {
        Some(keys) if !keys.is_empty() => Ok(set),
        Some(_) => Err("it holds no public key that can be used".to_owned()),
        None => Err("it is no JSON Web Key Set: `{ \"keys\": [ … ] }`".to_owned()),
    });
    match usable {
        Ok(set) => KeySource::Fixed(Arc::new(set)),
        Err(why) => {
            context.error(path, format!("cannot use {}: {why}", file.display()));
            KeySource::Discovery
        }
    }
}

fn authorities(context: &mut Context, path: &str, given: Option<&str>) -> Vec<Vec<u8>> {
    let Some(given) = given else { return Vec::new() };
    let file = certificate::authorities(context, &format!("{path}.ca"), given);
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.unwrap_or_default().iter().map(|certificate| certificate.to_vec()).collect()
}
