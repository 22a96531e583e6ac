//! Application: `login.upstream:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never looks for the route of a page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Count;

/// The application's own login page: its answer says who has logged in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `path`, `success` and `user_from`")]
pub struct ApplicationLogin {
    /// Only for this host. Absent: every host.
    pub host: Option<String>,
    /// Exact path that the login form is sent to.
    pub path: Option<String>,
    /// The method of that. Absent: POST.
    pub method: Option<String>,
    /// The answer that means success.
    pub success: Option<SuccessAnswer>,
    /// The answer that means failure. Absent: every other answer below 500.
    pub failure: Option<FailureAnswer>,
    /// Where the name of the user stands: `{ field: username }` of the form, or `{ header: X-Logged-In-User }` of the answer.
    pub user_from: Option<UserFrom>,
    /// Where the groups stand, separated by commas: `{ header: X-Logged-In-Groups }` of the answer.
    pub groups_from: Option<GroupsFrom>,
    /// The page that people are sent to who are not logged in. Absent: the gateway's own.
    pub login_page: Option<String>,
    /// The query parameter of that page that says where to go afterwards. Absent: `next`.
    pub return_parameter: Option<String>,
    /// The request that logs out.
    pub logout: Option<ApplicationLogout>,
}

/// The answer that means success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `status` and `cookie`")]
pub struct SuccessAnswer {
    /// Its status, such as 302.
    pub status: Option<Count>,
    /// The cookie that it sets.
    pub cookie: Option<String>,
}

/// The answer that means failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `status`")]
pub struct FailureAnswer {
    /// Its status, such as 200.
    pub status: Option<Count>,
}

/// Where the name of the user stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `field` or `header`")]
pub struct UserFrom {
    /// In this field of the form, as it was typed.
    pub field: Option<String>,
    /// In this header of the answer, which browsers are not shown.
    pub header: Option<String>,
}

/// Where the groups stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `header`")]
pub struct GroupsFrom {
    /// In this header of the answer, which browsers are not shown.
    pub header: Option<String>,
}

/// The request that logs out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `path`")]
pub struct ApplicationLogout {
    /// Its exact path.
    pub path: Option<String>,
    /// Its method. Absent: any.
    pub method: Option<String>,
}
