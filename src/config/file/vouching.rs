//! Vouching: `login:` methods where the request itself proves who is asking, as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Switch;

/// HTTP Basic, for API clients: a user name and a password with each request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map, or `{}` for the defaults")]
pub struct Basic {
    /// What clients are told they need a password for.
    pub realm: String,
    /// The application sees the `Authorization` header, too.
    pub pass_on: Switch,
}

impl Default for Basic {
    fn default() -> Self {
        Self { realm: "cloakroom".to_owned(), pass_on: Switch(false) }
    }
}

/// The user header of a proxy before this gateway; believed only from `trusted_proxies`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `user`")]
pub struct TrustedHeader {
    /// Header with the user's name.
    pub user: Option<String>,
    /// Header with the e-mail address.
    pub email: Option<String>,
    /// Header with the groups, comma-separated.
    pub groups: Option<String>,
    /// Header with the name for people.
    pub name: Option<String>,
    /// The values are percent-encoded, as another Cloakroom writes them.
    pub percent_encoded: Switch,
    /// Where people sign out, such as `https://sso.example.com/logout`.
    pub logout_url: Option<String>,
}

/// Certificates of clients, on listeners with `tls.client_ca`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map, or `{}` for the defaults")]
pub struct ClientCertificate {
    /// Where the user's name stands: `common_name`, `user_id`, `email`, `dns` or `uri`.
    pub user: CertificatePlace,
    /// Groups of everybody who comes with a certificate.
    pub groups: Vec<String>,
    /// The organizational units (OU) of the subject are groups, too.
    pub organizational_units: Switch,
}

/// Where a name stands in a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificatePlace {
    /// The common name of the subject.
    #[default]
    CommonName,
    /// The user id (UID) of the subject.
    UserId,
    /// The first e-mail address of the alternative names.
    Email,
    /// The first DNS name of the alternative names.
    Dns,
    /// The first URI of the alternative names.
    Uri,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Nobody gets in without.
    #[default]
    Required,
    /// Whoever has one shows it.
    Optional,
}
