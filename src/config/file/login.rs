//! Login: `login:` and the file of users as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never shows a hash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ldap::Ldap;
use super::oidc::Oidc;
use super::totp::Totp;
use super::{Basic, Bearer, ClientCertificate, TrustedHeader};
use crate::config::brief::{Brief, FromWord};
use crate::config::units::{Duration, Rate, Size, Switch};

mod application;
mod logo;

pub use application::{
    ApplicationLogin, ApplicationLogout, FailureAnswer, GroupsFrom, SuccessAnswer, UserFrom,
};
pub use logo::Logo;

/// How people log in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub struct Login {
    /// Heading of the login page.
    pub title: String,
    /// Languages of the pages: `auto` follows the browser, as does a list of several; `en` and `ko` are fixed.
    pub languages: LoginLanguages,
    /// For how long a browser remembers the user name of those who tick the box; `0s` hides the box.
    pub remember_name_for: Duration,
    /// Users with passwords.
    pub local: Option<Local>,
    /// Users of a directory, such as OpenLDAP or Active Directory.
    pub ldap: Option<Ldap>,
    /// HTTP Basic, for API clients.
    pub basic: Option<Basic>,
    /// Tokens of configured issuers, for API clients.
    pub bearer: Option<Bearer>,
    /// The user header of a proxy before this gateway.
    pub trusted_header: Option<TrustedHeader>,
    /// Certificates of clients.
    pub client_certificate: Option<ClientCertificate>,
    /// Providers where people log in by OpenID Connect.
    pub oidc: Vec<Oidc>,
    /// How many wrong passwords are allowed.
    pub throttle: Throttle,
    /// The largest body of a request that waits for its login and is then offered to be sent; `0` keeps none.
    pub replay_body: Size,
    /// The most that all such requests together may take of memory.
    pub replay_total: Size,
    /// For how long they wait.
    pub replay_for: Duration,
    /// The application's own login pages.
    pub upstream: Vec<ApplicationLogin>,
    /// A directory with templates that take the place of the gateway's own pages, and a `style.css`.
    pub pages_dir: Option<String>,
    /// A picture in the place of the title: a file, SVG or PNG, or a map of `file` and `alt`.
    pub logo: Option<Brief<Logo>>,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            title: "Cloakroom".to_owned(),
            languages: LoginLanguages(vec![LoginLanguage::Auto]),
            remember_name_for: Duration::seconds(365 * 86_400),
            local: None,
            ldap: None,
            basic: None,
            bearer: None,
            trusted_header: None,
            client_certificate: None,
            oidc: Vec::new(),
            throttle: Throttle::default(),
            replay_body: Size(64 << 10),
            replay_total: Size(16 << 20),
            replay_for: Duration::seconds(600),
            upstream: Vec::new(),
            pages_dir: None,
            logo: None,
        }
    }
}

/// One language, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoginLanguages(pub Vec<LoginLanguage>);

impl<'de> Deserialize<'de> for LoginLanguages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = LoginLanguages;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`auto`, `en`, `ko`, or a list of them")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        LoginLanguage::deserialize(word.into_deserializer()).map(|one| LoginLanguages(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(LoginLanguages)
    }
}

impl JsonSchema for LoginLanguages {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LoginLanguages".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<LoginLanguage>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoginLanguage {
    /// What the browser asks for.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// English.
    #[serde(rename = "en")]
    English,
    /// Korean.
    #[serde(rename = "ko")]
    Korean,
}

/// Users with passwords.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `users` or `users_file`")]
pub struct Local {
    /// Users by name. The value is a password hash (`cloakroom hash-password`), or a map.
    pub users: BTreeMap<String, Brief<User>>,
    /// A YAML file with more users in the same form; read again when it changes.
    pub users_file: Option<String>,
    /// A second factor: codes of an authenticator app, after the password.
    pub totp: Option<Totp>,
}

/// How many wrong passwords are allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of rates")]
pub struct Throttle {
    /// For one user: `5/15m` is five in 15 minutes.
    pub per_user: Rate,
    /// From one address.
    pub per_ip: Rate,
}

impl Default for Throttle {
    fn default() -> Self {
        let window = std::time::Duration::from_secs(15 * 60);
        Self { per_user: Rate(5, window), per_ip: Rate(50, window) }
    }
}

/// One user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `password`")]
pub struct User {
    /// Hash of the password: argon2id, or bcrypt as htpasswd writes it.
    pub password: Option<Secret>,
    /// E-mail address.
    pub email: Option<String>,
    /// Name for people.
    pub name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Keeps the entry and refuses the login.
    pub disabled: Switch,
}

impl FromWord for User {
    type Map = Self;
    const WANTED: &'static str = "a password hash, or a map with `password`";

    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Self { password: Some(Secret(word.into())), ..Self::default() })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}

/// Text that is never shown.
#[derive(Clone)]
pub struct Secret(pub SecretString);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.expose_secret().as_bytes().ct_eq(other.0.expose_secret().as_bytes()).into()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor).map(Secret)
    }
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = SecretString;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretString, E> {
        Ok(text.into())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<SecretString, E> {
        Err(E::custom("this is read as a number\nput it in quotes: \"…\""))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<SecretString, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<SecretString, E> {
        self.visit_u64(0)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
