//! Route: `routes:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never checks a path.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Access, Credentials};
use crate::config::brief::Brief;
use crate::config::units::Switch;

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
    /// Who may: `public`, `optional`, `login`, or a map of conditions that hold together.
    pub access: Brief<Access>,
    /// The name of the upstream; not needed when there is only one.
    pub upstream: Option<String>,
    /// Taken off the front of the path before the application sees it.
    pub strip_prefix: Option<String>,
    /// What becomes of `%2F` in a path.
    pub encoded_slash: EncodedSlash,
    /// Whether a request extends its session; `false` for what asks by itself again and again.
    #[serde(default = "yes")]
    pub activity: Switch,
    /// What the upstream may know and change of sessions. Absent: its own keys and `shared.` keys.
    pub session: Option<RouteSession>,
    /// Keys of the session that the upstream is told as headers of their own: `X-Theme: shared.theme`.
    pub session_headers: BTreeMap<String, String>,
    /// The user and password that the application wants here; otherwise those of its upstream.
    pub credentials: Option<Credentials>,
}

fn yes() -> Switch {
    Switch(true)
}

/// What an upstream may know and change of sessions. A key is written as the upstream says it: `theme` is its own,
/// `shared.theme` is everybody's, `shop.theme` is that of the upstream `shop`; `*` in the place of the name means all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of `read`, `write` and `login`")]
pub struct RouteSession {
    /// Keys it is told. Absent: its own and `shared.` keys.
    pub read: Option<Vec<String>>,
    /// Keys it may change. Absent: its own and `shared.` keys.
    pub write: Option<Vec<String>>,
    /// Whether it may log people in, by `Session-Login`.
    pub login: Switch,
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
