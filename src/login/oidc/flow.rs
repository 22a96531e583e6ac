//! Flow: the way to a provider and back, by code and with proof (OpenID Connect Core, section 3.1; RFC 7636).
//!
//! Comes in: a login that somebody begins, and the answer they come back with. Goes out: where to send them, and what the
//! provider says of them, verified. Never takes anything from the answer but a code, which is worth something only
//! together with what the browser kept.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::clock::Timestamp;
use crate::login::form::field;
use crate::login::issuer::Metadata;
use crate::login::oidc::Provider;
use crate::login::oidc::claims::{completed, leave_out};
use crate::login::oidc::failure::Failure;
use crate::login::oidc::state::State;
use crate::login::oidc::stub::Stub;
use crate::login::oidc::tokens::Tokens;
use crate::login::outside::OutsideError;
use crate::login::token::{Claims, LEEWAY, Wanted};

/// Somebody whom the provider knows.
pub struct Known {
    /// What it says of them.
    pub claims: Claims,
    /// What it gives for them, an ID token among it.
    pub tokens: Tokens,
}

impl Provider {
    /// Where to send somebody to log in.
    pub async fn entrance(
        &self,
        redirect_uri: &str,
        (stub, state, sealed): (&Stub, &State, &str),
    ) -> Result<Url, Failure> {
        let known = self.issuer.ask().await?;
        let endpoint = known.metadata.as_ref().and_then(|metadata| metadata.authorization_endpoint.clone());
        let mut url = endpoint.ok_or(Failure::NoEndpoint("authorization_endpoint"))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", sealed)
            .append_pair("nonce", &stub.nonce())
            .append_pair("code_challenge", &stub.challenge())
            .append_pair("code_challenge_method", "S256");
        if state.fresh {
            // The one is for providers that do not know the other, which has them say when it was.
            url.query_pairs_mut().append_pair("prompt", "login").append_pair("max_age", "0");
        }
        Ok(url)
    }

    /// Who has come back with this answer.
    pub async fn come_back(
        &self,
        answer: &str,
        redirect_uri: &str,
        (stub, state): (&Stub, &State),
        now: Timestamp,
    ) -> Result<Known, Failure> {
        let known = self.issuer.ask().await?;
        let metadata = known.metadata.as_ref().ok_or(Failure::NoEndpoint("token_endpoint"))?;
        let code = self.code(answer, metadata)?;
        let tokens = self.redeem(&code, redirect_uri, &stub.verifier(), metadata).await?;
        let id_token = tokens.id.as_ref().ok_or(Failure::NoIdToken)?;
        let claims = self.id_token(id_token.expose_secret(), stub, state, now).await?;
        let claims = match (&tokens.access, &metadata.userinfo_endpoint) {
            (Some(token), Some(url)) if leave_out(&claims, &self.settings.claims) => {
                self.asked(claims, url, token).await?
            }
            _ => claims,
        };
        Ok(Known { claims, tokens })
    }

    /// The code in an answer, if it comes from this provider and from no other (RFC 9207, section 2.4).
    fn code(&self, answer: &str, metadata: &Metadata) -> Result<String, Failure> {
        let said = |name| field(answer.as_bytes(), name);
        match said("iss") {
            Some(issuer) if issuer != self.settings.issuer => return Err(Failure::OtherIssuer),
            None if metadata.authorization_response_iss_parameter_supported => {
                return Err(Failure::OtherIssuer);
            }
            _ => {}
        }
        if let Some(error) = said("error") {
            let error = plain(&error);
            return Err(match error.as_str() {
                "access_denied" | "consent_required" | "interaction_required" | "login_required" => {
                    Failure::Denied(error)
                }
                "temporarily_unavailable" | "server_error" => Failure::Busy(error),
                _ => Failure::Reported(error),
            });
        }
        said("code").filter(|code| !code.is_empty()).ok_or(Failure::NoCode)
    }

    async fn redeem(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        metadata: &Metadata,
    ) -> Result<Tokens, Failure> {
        let url = metadata.token_endpoint.as_ref().ok_or(Failure::NoEndpoint("token_endpoint"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let client = (self.settings.client_id.as_str(), self.secret.as_ref());
        self.outside.post(url, &form, client).await.map_err(Failure::Token)
    }

    /// What it gives for a refresh token, if the session goes on there (RFC 6749, section 6; OpenID Connect Core, section 12.2).
    pub async fn renew(
        &self,
        refresh: &SecretString,
        sub: Option<&str>,
        now: Timestamp,
    ) -> Result<Tokens, Failure> {
        let known = self.issuer.ask().await?;
        let endpoint = known.metadata.as_ref().and_then(|metadata| metadata.token_endpoint.as_ref());
        let url = endpoint.ok_or(Failure::NoEndpoint("token_endpoint"))?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let client = (self.settings.client_id.as_str(), self.secret.as_ref());
        let tokens: Tokens = self.outside.post(url, &form, client).await.map_err(Failure::Token)?;
        if let Some(token) = &tokens.id {
            let claims = self.issuer.verify(token.expose_secret(), &self.wanted(), now).await;
            if claims.map_err(Failure::IdToken)?.text("sub") != sub {
                return Err(Failure::Claim("it is about somebody else"));
            }
        }
        Ok(tokens)
    }

    /// What is wanted of every token of its.
    fn wanted(&self) -> Wanted<'_> {
        Wanted { issuer: &self.settings.issuer, audiences: &self.audience, algorithms: &[], expires: true }
    }

    /// What an ID token says, if it is for us and for this login (OpenID Connect Core, section 3.1.3.7).
    async fn id_token(
        &self,
        token: &str,
        stub: &Stub,
        state: &State,
        now: Timestamp,
    ) -> Result<Claims, Failure> {
        let claims = self.issuer.verify(token, &self.wanted(), now).await.map_err(Failure::IdToken)?;
        if claims.text("nonce") != Some(&stub.nonce()) {
            return Err(Failure::Claim("its `nonce` is that of another login"));
        }
        if claims.text("sub").is_none_or(str::is_empty) {
            return Err(Failure::Claim("it has no `sub`"));
        }
        if claims.time("iat").is_none() {
            return Err(Failure::Claim("it has no `iat`"));
        }
        let several = claims.0.get("aud").and_then(|aud| aud.as_array()).is_some_and(|all| all.len() > 1);
        match claims.0.get("azp").map(|azp| azp.as_str()) {
            Some(azp) if azp != Some(&self.settings.client_id) => {
                return Err(Failure::Claim("its `azp` is another client"));
            }
            None if several => return Err(Failure::Claim("it has several audiences and no `azp`")),
            _ => {}
        }
        let proved = claims.time("auth_time");
        if state.fresh && proved.is_some_and(|proved| proved.plus(LEEWAY) < state.begun()) {
            return Err(Failure::Claim("its `auth_time` is older than the login"));
        }
        Ok(claims)
    }

    /// The claims with what the provider tells of the same person on demand (OpenID Connect Core, section 5.3).
    async fn asked(&self, claims: Claims, url: &Url, token: &SecretString) -> Result<Claims, Failure> {
        let more = match self.outside.get_with(url, token).await {
            Ok(Value::Object(more)) => Claims(more),
            Ok(_) => return Err(Failure::Userinfo("it is no object".to_owned())),
            Err(error @ OutsideError::Unreadable(_)) => {
                // A signed answer, say: whoever configures that goes without.
                tracing::warn!(provider = self.name(), "userinfo: {error}");
                return Ok(claims);
            }
            Err(error) => return Err(Failure::Userinfo(error.to_string())),
        };
        if more.text("sub") != claims.text("sub") {
            return Err(Failure::Userinfo("it is about somebody else".to_owned()));
        }
        Ok(completed(claims, more))
    }
}

/// A word of somebody else's, fit for a log.
fn plain(word: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    word.chars().filter(fits).take(64).collect()
}

/// How long a state is remembered once it was shown: as long as it is good.
pub const REMEMBERED: Duration = Duration::from_secs(super::stub::LASTING);
