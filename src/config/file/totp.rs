//! TOTP: `login.local.totp:` as written.
//!
//! Comes in: YAML. Goes out: a plain struct with defaults. Never opens a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Switch;

/// Codes of an authenticator app (RFC 6238), after the password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map, such as `{ required: true }`")]
pub struct Totp {
    /// Everybody must have one: who has none sets it up when signing in. Otherwise it is up to each person.
    pub required: Switch,
    /// Members of these groups must have one.
    pub groups: Vec<String>,
    /// Where it is kept who has one, encrypted with `keys`. Default: `totp.json` in `state_dir`.
    pub file: Option<String>,
    /// What authenticator apps call this place. Default: `login.title`.
    pub issuer: Option<String>,
}
