//! Settings of the login: page, users, throttle.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::login::factor::FactorSettings;
use crate::login::ldap::LdapSettings;
use crate::login::looks::Looks;
use crate::login::replay::ReplaySettings;
use crate::login::upstream::Application;
use crate::login::{basic, bearer, client_certificate, trusted_header};

use crate::login::oidc::settings::OidcSettings;

/// `login:`
#[derive(Clone, Debug)]
pub struct Settings {
    /// Heading of the page (default `Cloakroom`).
    pub title: String,
    /// Languages to offer, first choice for browsers that name none of them.
    pub languages: Languages,
    /// `login.remember_name_for` (default 365 d); zero hides the box.
    pub remember_name: Duration,
    /// `login.local`, when configured.
    pub local: Option<LocalSettings>,
    /// `login.ldap`, when configured.
    pub ldap: Option<LdapSettings>,
    /// `login.basic`, when configured.
    pub basic: Option<basic::Settings>,
    /// `login.bearer`, when configured.
    pub bearer: Option<bearer::Settings>,
    /// `login.trusted_header`, when configured.
    pub trusted_header: Option<trusted_header::Settings>,
    /// `login.client_certificate`, when configured.
    pub client_certificate: Option<client_certificate::Settings>,
    /// `login.oidc`
    pub oidc: OidcSettings,
    /// `login.throttle`.
    pub throttle: ThrottleSettings,
    /// `login.replay_body` and its like.
    pub replay: ReplaySettings,
    /// `login.upstream`.
    pub applications: Vec<Application>,
    /// `login.pages_dir` and `login.logo`.
    pub looks: Looks,
}

impl Settings {
    /// Whether people can come in by another way than a provider of `login.oidc`.
    pub fn has_others_than_oidc(&self) -> bool {
        let passwords = self.local.is_some() || self.ldap.is_some();
        let vouched = self.trusted_header.is_some() || self.client_certificate.is_some();
        passwords || vouched || !self.applications.is_empty()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: String::new(),
            languages: Languages::default(),
            remember_name: Duration::from_secs(365 * 86_400),
            local: None,
            ldap: None,
            basic: None,
            bearer: None,
            trusted_header: None,
            client_certificate: None,
            oidc: OidcSettings::default(),
            throttle: ThrottleSettings::default(),
            replay: ReplaySettings::default(),
            applications: Vec::new(),
            looks: Looks::default(),
        }
    }
}

/// `login.languages`: `auto` follows `Accept-Language`; otherwise always the named one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Languages {
    /// By `Accept-Language`.
    #[default]
    Auto,
    /// Always English.
    English,
    /// Always Korean.
    Korean,
}

/// `login.local`
#[derive(Clone, Debug, Default)]
pub struct LocalSettings {
    /// Users in the configuration.
    pub users: Vec<LocalUser>,
    /// More users, in a file of the same form, read again when it changes.
    pub users_file: Option<PathBuf>,
    /// `login.local.totp`, when configured.
    pub totp: Option<FactorSettings>,
}

/// One user.
#[derive(Clone, Debug)]
pub struct LocalUser {
    /// Name.
    pub name: String,
    /// argon2id (`$argon2id$…`) or bcrypt (`$2y$…`) hash.
    pub password: SecretString,
    /// E-mail address.
    pub email: Option<String>,
    /// Name for people.
    pub full_name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// `disabled: true` keeps the entry and refuses the login.
    pub disabled: bool,
}

/// `login.throttle`: failed attempts in a window.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleSettings {
    /// Default 5 in 15 minutes.
    pub per_user: (u32, Duration),
    /// Default 50 in 15 minutes.
    pub per_ip: (u32, Duration),
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        let window = Duration::from_secs(15 * 60);
        Self { per_user: (5, window), per_ip: (50, window) }
    }
}
