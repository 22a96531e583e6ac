//! OpenID Connect: `login.oidc:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never shows a secret, and never asks anybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClaimNames;
use super::login::Secret;
use crate::config::units::Switch;

/// A provider of logins by OpenID Connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `name`, `issuer` and `client_id`")]
pub struct Oidc {
    /// What it is called in addresses: lower-case letters, digits, `-` and `_`.
    pub name: Option<String>,
    /// What people are shown. Default: the name.
    pub title: Option<String>,
    /// Its own word for itself, to the letter: `https://id.example.com`.
    pub issuer: Option<String>,
    /// What it knows the gateway by.
    pub client_id: Option<String>,
    /// What the gateway proves that with. Default: none, as of a public client.
    pub client_secret: Option<Secret>,
    /// How the secret is shown: `basic` or `post`.
    pub client_auth: ClientAuthWord,
    /// What it is asked for; `openid` always is.
    pub scopes: Vec<String>,
    /// Which of its claims mean what.
    pub claims: ClaimNames,
    /// What user names begin with. Default: nothing where this is the only way to log in, otherwise the name and a colon.
    pub prefix: Option<String>,
    /// Who may log in, of those it knows. Default: everybody.
    pub allow: OidcAllow,
    /// Authorities (PEM) to trust besides the system's.
    pub ca: Option<String>,
    /// Whoever signs out is sent on to sign out there, too, where it has a page for that.
    pub sign_out_there: Switch,
    /// Where it sends people afterwards. Default: to our page for that.
    pub post_logout: Option<String>,
    /// Sessions go on only for as long as they do there: it is asked when an access token has run out.
    pub refresh: Switch,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            name: None,
            title: None,
            issuer: None,
            client_id: None,
            client_secret: None,
            client_auth: ClientAuthWord::Basic,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            claims: ClaimNames::default(),
            prefix: None,
            allow: OidcAllow::default(),
            ca: None,
            sign_out_there: Switch(true),
            post_logout: None,
            refresh: Switch(false),
        }
    }
}

/// How a client's secret is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthWord {
    /// In the `Authorization` field: `client_secret_basic`.
    #[default]
    Basic,
    /// In the form: `client_secret_post`.
    Post,
}

/// Who may log in; empty lists are no condition. `users` and `groups` together mean: named, or in a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `email_domains`, `groups` or `users`")]
pub struct OidcAllow {
    /// Domains of e-mail addresses, such as `example.com`; not those below them.
    pub email_domains: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// User names as the provider says them, without the prefix.
    pub users: Vec<String>,
}
