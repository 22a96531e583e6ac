//! Bearer: `login.bearer:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never asks anybody.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimNames, Words};
use crate::config::units::Switch;

/// Tokens (JWT) of configured issuers with each request, for API clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `issuers`")]
pub struct Bearer {
    /// Whose tokens count.
    pub issuers: Vec<BearerIssuer>,
    /// What clients are told they need a token for.
    pub realm: String,
    /// The application sees the `Authorization` header, too.
    pub pass_on: Switch,
}

impl Default for Bearer {
    fn default() -> Self {
        Self { issuers: Vec::new(), realm: "cloakroom".to_owned(), pass_on: Switch(false) }
    }
}

/// One issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `issuer` and `audience`")]
pub struct BearerIssuer {
    /// Its own word for itself (`iss`), to the letter.
    pub issuer: Option<String>,
    /// What it calls this gateway, or its applications: one of these is among a token's `aud`.
    pub audience: Words,
    /// Algorithms that count, such as `ES256`. Default: all that prove a private key.
    pub algorithms: Vec<String>,
    /// Where its keys are. Default: where its metadata (OpenID Connect Discovery) say.
    pub jwks_uri: Option<String>,
    /// A file with its keys (JSON Web Key Set): it is never asked for any.
    pub jwks_file: Option<String>,
    /// Authorities (PEM) to trust besides the system's.
    pub ca: Option<String>,
    /// What the names of its users begin with.
    pub prefix: String,
    /// Which claims mean what.
    pub claims: ClaimNames,
    /// Claims that must be there, each with all of these values, such as `scope: [orders.read]`.
    pub required: BTreeMap<String, Words>,
}
