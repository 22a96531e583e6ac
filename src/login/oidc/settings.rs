//! Settings of the logins by OpenID Connect.

use secrecy::SecretString;

use crate::login::token::ClaimNames;

/// `login.oidc:`
#[derive(Clone, Debug, Default)]
pub struct OidcSettings {
    /// In the order of the page.
    pub providers: Vec<ProviderSettings>,
    /// `scheme://host[:port]` of `public_url`; without it addresses of ours are made only for browsers on this machine.
    pub origin: Option<String>,
    /// An application is told the access token.
    pub tells_access: bool,
}

/// One provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// What it is called in addresses.
    pub name: String,
    /// What people are shown.
    pub title: String,
    /// Its own word for itself.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: String,
    /// What we prove that with; none: a public client.
    pub client_secret: Option<SecretString>,
    /// How that is shown.
    pub client_auth: ClientAuth,
    /// What it is asked for, `openid` among them.
    pub scopes: Vec<String>,
    /// Which of its claims mean what.
    pub claims: ClaimNames,
    /// What user names begin with.
    pub prefix: String,
    /// Who may log in.
    pub allow: Allow,
    /// Authorities (DER) to trust besides the system's.
    pub authorities: Vec<Vec<u8>>,
    /// Whoever signs out is sent on to sign out there.
    pub sign_out_there: bool,
    /// Where it sends people afterwards; none: to our page for that.
    pub post_logout: Option<String>,
    /// Sessions go on only for as long as they do there.
    pub refresh: bool,
}

/// How a client's secret is shown (OpenID Connect Core, section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`
    #[default]
    Basic,
    /// `client_secret_post`
    Post,
}

/// Who may log in; empty lists are no condition. `users` and `groups` together mean: named, or in a group.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// Domains of e-mail addresses, in lower case.
    pub email_domains: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// User names without their prefix.
    pub users: Vec<String>,
}
