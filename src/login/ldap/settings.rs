//! Settings: which directory, and how people are found in it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// `login.ldap`
#[derive(Clone, Debug)]
pub struct LdapSettings {
    /// `ldap://host:port` or `ldaps://host:port`; the next is asked when one cannot be reached.
    pub servers: Vec<String>,
    /// Plain connections turn to TLS before anything is said (RFC 4511, section 4.14).
    pub start_tls: bool,
    /// Authorities that a server's certificate may come from; otherwise those of the system.
    pub ca: Option<PathBuf>,
    /// The longest that one question may take (default 5 s).
    pub timeout: Duration,
    /// So many people are looked up at the same time, and so many connections are kept (default 8).
    pub connections: usize,
    /// How an entry is found, and proved.
    pub people: People,
    /// Which attributes say what.
    pub attributes: Attributes,
    /// Where groups come from.
    pub groups: Groups,
}

/// How an entry is found.
#[derive(Clone, Debug)]
pub enum People {
    /// An account searches for it, then the person binds.
    Search {
        /// The account, and its password; `None` searches without one.
        account: Option<(String, SecretString)>,
        /// Below this entry.
        base: String,
        /// With `{user}` in it.
        filter: String,
    },
    /// The person binds under a name that is made of what they typed: `uid={user},ou=people,…`
    Bind {
        /// With `{user}` in it.
        dn: String,
    },
}

/// Which attributes say what.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// The user name as it is known from then on, however it was typed (default `uid`).
    pub user: String,
    /// The e-mail address (default `mail`).
    pub email: String,
    /// The name for people (default `cn`).
    pub name: String,
}

/// Where groups come from.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Only groups below this entry count; searches begin here.
    pub base: Option<String>,
    /// Finds the groups of `{dn}` or `{user}`; without it, `memberOf` of the entry names them.
    pub filter: Option<String>,
    /// The attribute that a group is called by (default `cn`).
    pub name: String,
    /// Whether members of a group belong to the groups it belongs to.
    pub nested: bool,
}
