//! Bearer: a token of a trusted issuer with each request (RFC 6750, RFC 9068).
//!
//! Comes in: `Authorization: Bearer`. Goes out: who the token is about. What was found genuine is remembered by a keyed
//! digest for a minute, and never beyond the token's own end. Never asks an issuer that is not configured for anything, never
//! takes a token that is bound to a key (RFC 7800), and never makes a session of one.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::identity::{Identity, InvalidIdentity};
use crate::login::authorization;
use crate::login::issuer::{Issuer, KeySource, Unproven};
use crate::login::outside::{Outside, OutsideError};
use crate::login::person::Person;
use crate::login::token::{ClaimNames, Claims, Wanted, claimed_issuer};
use crate::login::vouch::{Answer, Look, Rejected, Voucher, Why};
use crate::message::Fields;
use crate::session::{Guest, Means};

/// How long a token that was found genuine is not looked at again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Tokens remembered; the longest unused go first.
const ROOM: u64 = 10_000;

const SCHEME: &str = "Bearer";

/// `login.bearer`
#[derive(Clone, Debug)]
pub struct Settings {
    /// What clients are told they need a token for.
    pub realm: String,
    /// Whether the application sees the field, too.
    pub pass_on: bool,
    /// Whose tokens count.
    pub issuers: Vec<IssuerSettings>,
}

/// One issuer of tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its own word for itself.
    pub issuer: String,
    /// What it calls us: one of these is among a token's audiences.
    pub audiences: Vec<String>,
    /// Which algorithms count; empty: all that prove a private key.
    pub algorithms: Vec<String>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Authorities (DER) to trust besides the system's.
    pub authorities: Vec<Vec<u8>>,
    /// What user names begin with.
    pub prefix: String,
    /// Which claims mean what.
    pub claims: ClaimNames,
    /// Claims that must be there, each with all of these values.
    pub required: Vec<(String, Vec<String>)>,
}

/// Tokens of trusted issuers.
pub struct Bearer {
    issuers: Vec<(Issuer, IssuerSettings)>,
    realm: String,
    challenge: String,
    pass_on: bool,
    key: hmac::Key,
    known: Cache<Digest, Known>,
}

type Digest = [u8; 32];

/// Whom a genuine token is about.
#[derive(Clone)]
struct Known {
    guest: Guest,
    until: Timestamp,
}

impl Bearer {
    /// As configured. Nobody is asked for keys yet.
    pub fn new(settings: Settings) -> Result<Self, OutsideError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the operating system's generator works once the system is up");
        let issuer = |settings: IssuerSettings| {
            let outside = Outside::new(&settings.authorities)?;
            Ok((Issuer::new(&settings.issuer, settings.keys.clone(), outside), settings))
        };
        let cache = Cache::builder().max_capacity(ROOM).eviction_policy(EvictionPolicy::lru());
        Ok(Self {
            issuers: settings.issuers.into_iter().map(issuer).collect::<Result<_, _>>()?,
            challenge: format!("Bearer realm=\"{}\"", settings.realm),
            realm: settings.realm,
            pass_on: settings.pass_on,
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            known: cache.time_to_live(REMEMBERED).build(),
        })
    }

    fn digest(&self, token: &str) -> Digest {
        *hmac::sign(&self.key, token.as_bytes()).as_ref().first_chunk().expect("a SHA-256 is 32 bytes long")
    }

    fn recall(&self, token: &str, now: Timestamp) -> Option<Guest> {
        self.known.get(&self.digest(token)).filter(|known| now < known.until).map(|known| known.guest)
    }

    /// The issuer that a token says it comes from, if it is one of ours.
    fn issuer_of(&self, token: &str) -> Option<&(Issuer, IssuerSettings)> {
        let claimed = claimed_issuer(token)?;
        self.issuers.iter().find(|(issuer, _)| issuer.name() == claimed)
    }

    /// The last word about a token.
    fn judge(
        &self,
        token: &str,
        settings: &IssuerSettings,
        verified: Result<Claims, Unproven>,
        now: Timestamp,
    ) -> Look {
        let claims = match verified {
            Ok(claims) => claims,
            Err(Unproven::Token(wrong)) => return self.invalid(&wrong),
            Err(Unproven::Issuer(error)) => {
                return Rejected::look(Why::Busy(error.to_string()), &*self.challenge);
            }
        };
        if let Err(wrong) = is_for_bearers(token, &claims) {
            return self.invalid(&wrong);
        }
        if let Some((claim, value)) = missing(&claims, &settings.required) {
            let scope = if claim == "scope" { format!(", scope=\"{value}\"") } else { String::new() };
            let challenge = format!("Bearer realm=\"{}\", error=\"insufficient_scope\"{scope}", self.realm);
            return Rejected::look(Why::Scope(format!("`{claim}` is not `{value}`")), challenge);
        }
        let identity = match person(&claims, settings) {
            Ok(identity) => identity,
            Err(error) => return self.invalid(&error),
        };
        let authenticated_at = claims.time("auth_time").or_else(|| claims.time("iat"));
        let authenticated_at = authenticated_at.unwrap_or(Timestamp::from_unix_millis(0)).min(now);
        let guest = Guest { identity, authenticated_at, by: Means::Token, credential: 0 };
        let end = claims.time("exp").unwrap_or(now);
        let known = Known { guest: guest.clone(), until: end.min(now.plus(REMEMBERED)) };
        self.known.insert(self.digest(token), known);
        Look::Is(guest)
    }

    fn invalid(&self, wrong: &dyn fmt::Display) -> Look {
        let challenge = format!("Bearer realm=\"{}\", error=\"invalid_token\"", self.realm);
        Rejected::look(Why::Token(wrong.to_string()), challenge)
    }
}

impl IssuerSettings {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            issuer: &self.issuer,
            audiences: &self.audiences,
            algorithms: &self.algorithms,
            expires: true,
        }
    }
}

impl Voucher for Bearer {
    fn look(&self, request: &Inbound, _: Option<&Identity>, now: Timestamp) -> Look {
        let token = match authorization::of(&request.fields, SCHEME) {
            None => return Look::Nothing,
            Some(Err(_)) => return self.invalid(&"the Authorization field is malformed"),
            Some(Ok(token)) => token,
        };
        if let Some(guest) = self.recall(token, now) {
            return Look::Is(guest);
        }
        let Some((issuer, settings)) = self.issuer_of(token) else {
            return self.invalid(&"it is no token of an issuer that is trusted");
        };
        match issuer.verify_now(token, &settings.wanted(), now) {
            Some(verdict) => self.judge(token, settings, verdict.map_err(Unproven::Token), now),
            None => Look::Wait,
        }
    }

    fn ask<'a>(&'a self, request: &'a Inbound, now: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let Some(Ok(token)) = authorization::of(&request.fields, SCHEME) else { return Look::Nothing };
            let Some((issuer, settings)) = self.issuer_of(token) else { return Look::Nothing };
            let verified = issuer.verify(token, &settings.wanted(), now).await;
            self.judge(token, settings, verified, now)
        })
    }

    fn challenge(&self) -> Option<&str> {
        Some(&self.challenge)
    }

    fn clean(&self, fields: &mut Fields) {
        if !self.pass_on {
            authorization::take(fields, SCHEME);
        }
    }
}

/// Whether whoever holds a genuine token may use it: one of another kind, or one that is bound to a key, proves nothing alone.
fn is_for_bearers(token: &str, claims: &Claims) -> Result<(), &'static str> {
    let head = token.split('.').next().and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    let head: Option<Value> = head.and_then(|head| serde_json::from_slice(&head).ok());
    let kind = head.as_ref().and_then(|head| head.get("typ"));
    let is_usual = kind.is_none_or(|kind| {
        let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
        matches!(kind.trim_start_matches("application/"), "jwt" | "at+jwt")
    });
    match claims.0.contains_key("cnf") {
        _ if !is_usual => Err("it is no access token"),
        true => Err("it is bound to a key"),
        false => Ok(()),
    }
}

/// The first value that is wanted and not there. A scope is a list with spaces (RFC 8693, section 4.2).
fn missing<'r>(claims: &Claims, required: &'r [(String, Vec<String>)]) -> Option<(&'r str, &'r str)> {
    required.iter().find_map(|(claim, values)| {
        let mut said = claims.texts(claim);
        if matches!(claim.as_str(), "scope" | "scp") {
            said = said.iter().flat_map(|text| text.split(' ')).map(str::to_owned).collect();
        }
        let value = values.iter().find(|value| !said.contains(value))?;
        Some((claim.as_str(), value.as_str()))
    })
}

/// Whom a token is about.
fn person(claims: &Claims, settings: &IssuerSettings) -> Result<Identity, Nobody> {
    let names = &settings.claims;
    let person = Person::of(claims, names).ok_or_else(|| Nobody::NoUser(names.user.clone()))?;
    Ok(person.into_identity(&settings.prefix)?)
}

#[derive(Debug, thiserror::Error)]
enum Nobody {
    #[error("it has no `{0}`")]
    NoUser(String),
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.issuers.iter().map(|(issuer, _)| issuer.name()).collect();
        write!(f, "Bearer({})", issuers.join(", "))
    }
}
