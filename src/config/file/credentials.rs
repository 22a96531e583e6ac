//! Credentials: `credentials:` of an upstream or a route, and the file of people's own, as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never shows a password.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::brief::FromWord;

/// What an application that wants a password or a token is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `basic` or `bearer`")]
pub struct Credentials {
    /// `Authorization: Basic`, in the place of the client's own.
    pub basic: Option<BasicCredentials>,
    /// `Authorization: Bearer`, in the place of the client's own: the token that the OpenID provider gave at the login.
    pub bearer: Option<BearerWord>,
}

/// Which of a provider's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BearerWord {
    /// The access token.
    AccessToken,
    /// The ID token.
    IdToken,
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `user` and `password`")]
pub struct BasicCredentials {
    /// The user's name there: a text with `{user}`, `{email}` or `{claims.NAME}`, or the same for all.
    pub user: String,
    /// The same password for all.
    pub password: Option<Secret>,
    /// The password is in the session, under this key, such as `shared.legacy-password`.
    pub from_session: Option<String>,
    /// The password is in the session, where the login method keeps it under this name.
    pub from_login: Option<String>,
    /// A YAML file with a password, or a map of `user` and `password`, for each person; it goes first.
    pub users_file: Option<String>,
}

impl Default for BasicCredentials {
    fn default() -> Self {
        Self {
            user: "{user}".to_owned(),
            password: None,
            from_session: None,
            from_login: None,
            users_file: None,
        }
    }
}

/// What one person is called by an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `user` and `password`")]
pub struct OwnCredentials {
    /// The user's name there, if it is not the usual one.
    pub user: Option<String>,
    /// The password there.
    pub password: Option<Secret>,
}

impl FromWord for OwnCredentials {
    type Map = Self;
    const WANTED: &'static str = "a password, or a map with `user` and `password`";

    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Self { password: Some(Secret(word.into())), ..Self::default() })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}
