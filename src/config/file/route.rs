//! Route: `routes:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never checks a path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::brief::{Brief, FromWord};
use crate::config::units::Duration;

/// What goes where, and who may.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `path`, `access` and `upstream`")]
pub struct Route {
    /// Its name in logs; otherwise its number.
    pub name: Option<String>,
    /// Only for this host: `app.example.com`, or `*.example.com` for everything below it. Absent: every host.
    pub host: Option<String>,
    /// Only for paths below this one, whole segments: `/admin/` means `/admin` and `/admin/x`, not `/administrator`.
    #[serde(default = "everything")]
    pub path: Option<String>,
    /// Only for these methods. Empty: all.
    pub methods: Vec<String>,
    /// Who may: `public`, `optional`, `login`, or a map of `users`, `groups` and `within`.
    pub access: Brief<Access>,
    /// The name of the upstream; not needed when there is only one.
    pub upstream: Option<String>,
    /// Taken off the front of the path before the application sees it.
    pub strip_prefix: Option<String>,
    /// What becomes of `%2F` in a path.
    pub encoded_slash: EncodedSlash,
}

fn everything() -> Option<String> {
    Some("/".to_owned())
}

/// What becomes of an encoded slash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// The request is answered 400.
    #[default]
    Refuse,
    /// It is passed on as it is.
    Keep,
}

/// Who may use a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anybody; sessions are not looked at.
    Public,
    /// Anybody; who is logged in is passed on.
    Optional,
    /// Anybody who is logged in.
    #[default]
    Login,
    /// Some of those who are logged in.
    #[serde(untagged)]
    Only(OnlyMap),
}

/// Some of those who are logged in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of `users`, `groups` and `within`")]
pub struct OnlyMap {
    /// These users.
    pub users: Vec<String>,
    /// Members of these groups.
    pub groups: Vec<String>,
    /// Only when the login is not older than this.
    pub within: Option<Duration>,
}

impl FromWord for Access {
    type Map = OnlyMap;
    const WANTED: &'static str = "`public`, `optional`, `login`, or a map of `users`, `groups` and `within`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "public" => Ok(Access::Public),
            "optional" => Ok(Access::Optional),
            "login" => Ok(Access::Login),
            _ => Err(format!("unknown variant `{word}`, expected one of `public`, `optional`, `login`")),
        }
    }

    fn from_map(map: OnlyMap) -> Self {
        Access::Only(map)
    }
}
