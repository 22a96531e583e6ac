//! Logout: who signs out here signs out there, and the other way round.
//!
//! Comes in: somebody who has signed out, or a provider's word that somebody has. Goes out: where to send them
//! (OpenID Connect RP-Initiated Logout 1.0), or which sessions are over (Back-Channel Logout 1.0). Never takes a token for
//! that which could be for something else, and none twice.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::clock::Timestamp;
use crate::login::issuer::{IssuerError, Unproven};
use crate::login::oidc::Provider;
use crate::login::oidc::used::Used;
use crate::login::token::{LEEWAY, Wanted};

/// The event that a logout token tells of.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token is sent at once: an older one is not taken.
const OLDEST: Duration = Duration::from_secs(300);

/// Whose sessions are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// All of this person, unless one is named.
    pub sub: Option<String>,
    /// The one that the provider calls so.
    pub sid: Option<String>,
}

/// Why a logout token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It proves nothing.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// It says too little, or too much.
    #[error("{0}")]
    Claim(&'static str),
    /// It was taken before.
    #[error("it was shown before")]
    Again,
}

impl NotTaken {
    /// Whether it may be taken a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unproven(Unproven::Issuer(IssuerError::Outside { .. } | IssuerError::Lately(_))))
    }
}

impl Provider {
    /// Where somebody who has signed out here signs out there; `None` where that is not wanted, not known, or not possible.
    pub async fn exit(&self, id_token: Option<&str>, our_page: &str) -> Option<Url> {
        if !self.settings.sign_out_there {
            return None;
        }
        // Whoever wants to leave does not wait for what is known already.
        let known = match self.issuer.known() {
            Some(known) => known,
            None => {
                let asked = self.issuer.ask().await.inspect_err(|error| {
                    tracing::warn!(provider = self.name(), "signed out here only: {error}");
                });
                asked.ok()?
            }
        };
        let mut url = known.metadata.as_ref()?.end_session_endpoint.clone()?;
        let back = self.settings.post_logout.as_deref().unwrap_or(our_page);
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", back);
        if let Some(id_token) = id_token {
            url.query_pairs_mut().append_pair("id_token_hint", id_token);
        }
        Some(url)
    }

    /// Whom a logout token signs out (Back-Channel Logout, section 2.6).
    pub async fn signed_out(&self, token: &str, used: &Used, now: Timestamp) -> Result<SignedOut, NotTaken> {
        let wanted = Wanted {
            issuer: &self.settings.issuer,
            audiences: &self.audience,
            algorithms: &[],
            expires: false,
        };
        let claims = self.issuer.verify(token, &wanted, now).await?;
        let issued = claims.time("iat").ok_or(NotTaken::Claim("it has no `iat`"))?;
        if now.since(issued) > OLDEST + LEEWAY {
            return Err(NotTaken::Claim("it is older than five minutes"));
        }
        let event = claims.0.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(NotTaken::Claim("its `events` tell of no logout"));
        }
        if claims.0.contains_key("nonce") {
            return Err(NotTaken::Claim("it has a `nonce`, as tokens for logins do"));
        }
        let text = |name| claims.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let out = SignedOut { sub: text("sub"), sid: text("sid") };
        if out.sub.is_none() && out.sid.is_none() {
            return Err(NotTaken::Claim("it names neither `sub` nor `sid`"));
        }
        let name = text("jti").ok_or(NotTaken::Claim("it has no `jti`"))?;
        // From the future by as much as clocks may differ, it is good for that much longer.
        let lasting = OLDEST + 2 * LEEWAY;
        match used.is_first(&["logout", &self.settings.issuer, &name], lasting, now) {
            true => Ok(out),
            false => Err(NotTaken::Again),
        }
    }
}
