//! LDAP: `login.ldap:` as written.
//!
//! Comes in: YAML. Goes out: a plain struct with defaults. Never connects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::login::Secret;
use crate::config::units::{Count, Duration, Switch};

/// Users of a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `servers`")]
pub struct Ldap {
    /// `ldaps://host:636` with TLS, or `ldap://host:389`; the next is asked when one does not answer.
    pub servers: Vec<String>,
    /// Turn to TLS on `ldap://` before anything else is said.
    pub start_tls: Switch,
    /// A file of authorities whose certificate the servers must have. Default: those of the system.
    pub ca: Option<String>,
    /// Allow plain `ldap://` beyond this machine. Passwords can be read on the way.
    pub allow_insecure: Switch,
    /// The longest that one question may take.
    pub timeout: Duration,
    /// So many people are looked up at the same time, and so many connections are kept.
    pub connections: Count,
    /// The account that searches; without it the search is anonymous.
    pub bind_dn: Option<String>,
    /// Its password.
    pub bind_password: Option<Secret>,
    /// Where the search begins.
    pub base: Option<String>,
    /// Finds the one entry of `{user}`. Default: `(&(objectClass=person)(uid={user}))`.
    pub user_filter: Option<String>,
    /// In place of a search: the entry's name, such as `uid={user},ou=people,dc=example,dc=com`.
    pub user_dn: Option<String>,
    /// Which attributes of an entry say what.
    pub attributes: LdapAttributes,
    /// Finds the groups of `{dn}`, the entry, or of `{user}`, its user name. Default: `memberOf` of the entry names them.
    pub group_filter: Option<String>,
    /// Only groups below this entry count. Default: all of them, and a search begins at `base`.
    pub group_base: Option<String>,
    /// The attribute that a group is called by.
    pub group_name: String,
    /// Members of a group also belong to the groups that the group belongs to.
    pub nested_groups: Switch,
}

impl Default for Ldap {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            start_tls: Switch(false),
            ca: None,
            allow_insecure: Switch(false),
            timeout: Duration::seconds(5),
            connections: Count(8),
            bind_dn: None,
            bind_password: None,
            base: None,
            user_filter: None,
            user_dn: None,
            attributes: LdapAttributes::default(),
            group_filter: None,
            group_base: None,
            group_name: "cn".to_owned(),
            nested_groups: Switch(false),
        }
    }
}

/// Which attributes of an entry say what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of attributes")]
pub struct LdapAttributes {
    /// The user name, in the spelling that counts from then on.
    pub user: String,
    /// The e-mail address.
    pub email: String,
    /// The name for people.
    pub name: String,
}

impl Default for LdapAttributes {
    fn default() -> Self {
        Self { user: "uid".to_owned(), email: "mail".to_owned(), name: "cn".to_owned() }
    }
}
