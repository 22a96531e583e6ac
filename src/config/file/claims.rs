//! Claims: `claims:` of a provider or of an issuer of tokens, as written.
//!
//! Comes in: YAML. Goes out: names with defaults. Never looks at a token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of claims; `realm_access.roles` is what stands below another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of claims")]
pub struct ClaimNames {
    /// The user name: one that the issuer gives to nobody else.
    pub user: String,
    /// The e-mail address; it is not taken where `email_verified` is false.
    pub email: String,
    /// The name for people.
    pub name: String,
    /// The groups: a list, or one text.
    pub groups: String,
    /// Others to keep, for rules and headers.
    pub keep: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            email: "email".to_owned(),
            name: "name".to_owned(),
            groups: "groups".to_owned(),
            keep: Vec::new(),
        }
    }
}
