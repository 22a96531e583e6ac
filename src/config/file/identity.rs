//! Identity: `identity:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never checks a name or a template.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Duration, Size};

/// How the application is told who is asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `headers`")]
pub struct Identity {
    /// Names of the headers. What a client sends under these names is removed.
    pub headers: IdentityHeaders,
    /// Further headers by name, with what they say: `{user}`, `{email}`, `{name}`, `{groups}`, `{claims.department}`.
    pub extra_headers: BTreeMap<String, String>,
    /// Stands between the members of a list, such as groups; a template may name another: `{groups|;}`.
    pub groups_separator: String,
    /// How characters beyond ASCII are written.
    pub encoding: IdentityEncoding,
    /// The most that all these headers may take; groups that do not fit are left out, and the log says so.
    pub max_bytes: Size,
    /// A signed statement of the same facts, in `X-Auth-Assertion`. Absent: none.
    pub assertion: Option<Assertion>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            headers: IdentityHeaders::default(),
            extra_headers: BTreeMap::new(),
            groups_separator: ",".to_owned(),
            encoding: IdentityEncoding::Percent,
            max_bytes: Size(8 << 10),
            assertion: None,
        }
    }
}

/// Names of the identity headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of header names")]
pub struct IdentityHeaders {
    /// The user's name.
    pub user: String,
    /// The user's e-mail address.
    pub email: String,
    /// The user's groups, comma-separated.
    pub groups: String,
    /// The user's name for people.
    pub name: String,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            user: "X-Auth-User".to_owned(),
            email: "X-Auth-Email".to_owned(),
            groups: "X-Auth-Groups".to_owned(),
            name: "X-Auth-Name".to_owned(),
        }
    }
}

/// How characters beyond ASCII are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityEncoding {
    /// As in URLs: `%EA%B9%80`.
    #[default]
    Percent,
    /// As RFC 8187 has it: `UTF-8''%EA%B9%80`.
    Rfc8187,
    /// As they are, in UTF-8.
    Utf8,
}

/// Signed statements of who is asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map, which may be empty")]
pub struct Assertion {
    /// How they are signed, with the key that is made in `state_dir`.
    pub algorithm: AssertionAlgorithm,
    /// How long one counts, at most `60s`.
    pub lifetime: Duration,
    /// Keys of your own: the first signs, all are published. Without keys one is made in `state_dir`.
    pub keys: Vec<AssertionKey>,
}

impl Default for Assertion {
    fn default() -> Self {
        Self { algorithm: AssertionAlgorithm::EdDsa, lifetime: Duration::seconds(60), keys: Vec::new() }
    }
}

/// How assertions are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssertionAlgorithm {
    /// Ed25519.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// A key that signs assertions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `id` and `file`")]
pub struct AssertionKey {
    /// What tells verifiers which key it is.
    pub id: Option<String>,
    /// PEM file with the private key: Ed25519 or P-256.
    pub file: Option<String>,
}
