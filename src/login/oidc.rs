//! OpenID Connect: people prove who they are elsewhere, and a provider says so (OpenID Connect Core 1.0).
//!
//! Comes in: providers as configured. Goes out: where to send people ([`flow`]), who came back ([`claims`]), and whom a
//! provider has signed out ([`logout`]). What is under way is in the browser: a [`stub`] in a cookie, and a sealed [`state`]
//! that travels with it. Never asks a provider before somebody wants to log in there: a provider that is away holds
//! nobody up who is signed in already.

use std::sync::Arc;

use secrecy::SecretString;

use crate::login::issuer::{Issuer, KeySource};
use crate::login::oidc::noted::Keeps;
use crate::login::oidc::settings::{ClientAuth, OidcSettings, ProviderSettings};
use crate::login::oidc::used::Used;
use crate::login::outside::{ClientSecret, Outside, OutsideError};

pub mod claims;
pub mod failure;
pub mod flow;
pub mod logout;
pub mod noted;
pub mod settings;
pub mod state;
pub mod stub;
pub mod tokens;
pub mod used;

/// All providers.
#[derive(Debug, Default)]
pub struct Oidc {
    providers: Vec<Provider>,
    renews: bool,
    /// Applications are told the access token.
    tells_access: bool,
    /// What browsers see of us, where that is configured.
    origin: Option<String>,
    /// States and logout tokens that were shown.
    used: Arc<Used>,
}

/// One provider.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    issuer: Issuer,
    outside: Outside,
    secret: Option<ClientSecret>,
    /// Who tokens are for: us.
    audience: [String; 1],
}

impl Oidc {
    /// Providers as configured; what was shown once before stays `used`.
    pub fn new(settings: OidcSettings, used: Arc<Used>) -> Result<Self, OutsideError> {
        let OidcSettings { providers, origin, tells_access } = settings;
        let renews = providers.iter().any(|provider| provider.refresh);
        let providers = providers.into_iter().map(Provider::new).collect::<Result<_, _>>()?;
        Ok(Self { providers, renews, tells_access, origin, used })
    }

    /// In the order of the page.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The one of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// Whether sessions of any of them go on only for as long as they do there.
    #[inline]
    pub fn renews(&self) -> bool {
        self.renews
    }

    /// Which tokens of a provider's are kept.
    pub fn keeps(&self, provider: &Provider) -> Keeps {
        Keeps { access: self.tells_access, refresh: provider.settings.refresh }
    }

    /// What browsers see of us, where that is configured.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// What was shown once.
    pub fn used(&self) -> &Used {
        &self.used
    }
}

impl Provider {
    fn new(settings: ProviderSettings) -> Result<Self, OutsideError> {
        let outside = Outside::new(&settings.authorities)?;
        let secret = settings.client_secret.clone().map(|secret: SecretString| match settings.client_auth {
            ClientAuth::Basic => ClientSecret::Basic(secret),
            ClientAuth::Post => ClientSecret::Post(secret),
        });
        let issuer = Issuer::new(&settings.issuer, KeySource::Discovery, outside.clone());
        let audience = [settings.client_id.clone()];
        Ok(Self { settings, issuer, outside, secret, audience })
    }

    /// What it is called in addresses.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What people are shown.
    pub fn title(&self) -> &str {
        &self.settings.title
    }

    /// How it is configured.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}
