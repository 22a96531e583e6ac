//! Person: whom claims are about that somebody else vouches for, an OpenID provider or the issuer of a token.
//!
//! Comes in: verified claims, and which of them mean what. Goes out: the person, for whoever judges if they may enter. An
//! e-mail address counts only where it is not denied, and a domain only behind the one `@` of it. Never takes a name from a
//! claim that is not configured for it; a value that cannot be said in a header is left out.

use serde_json::Value;

use crate::identity::{Identity, InvalidIdentity};
use crate::login::token::{ClaimNames, Claims};

/// Bytes of the longest value that is kept.
const LONGEST: usize = 256;

/// Somebody, as they are called elsewhere.
#[derive(Debug)]
pub struct Person {
    /// The user name there.
    pub user: String,
    /// An address that is theirs.
    pub email: Option<String>,
    /// What they are called.
    pub name: Option<String>,
    /// What they belong to.
    pub groups: Vec<String>,
    /// Other claims to keep, by name.
    kept: Vec<(String, String)>,
}

impl Person {
    /// Whom these claims are about; `None` where they do not say what somebody is called.
    pub fn of(claims: &Claims, names: &ClaimNames) -> Option<Self> {
        let email = email(claims, names);
        // Whoever is called by their address must own it.
        let user = match names.user == names.email {
            true => email.clone(),
            false => claims.texts(&names.user).into_iter().next(),
        };
        let kept =
            |name: &String| several(claims, name).into_iter().map(|value| (name.clone(), value)).collect();
        Some(Self {
            user: user.filter(|user| !user.is_empty())?,
            email,
            name: one(claims, &names.name),
            groups: several(claims, &names.groups),
            kept: names.keep.iter().flat_map(|name| -> Vec<_> { kept(name) }).collect(),
        })
    }

    /// The same under a name of their own.
    pub fn into_identity(self, prefix: &str) -> Result<Identity, InvalidIdentity> {
        let user = format!("{prefix}{}", self.user);
        let identity = Identity::new(&user, self.email.as_deref(), self.name.as_deref(), &self.groups)?;
        identity.with_claims(self.kept.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// What stands behind the only `@` of their address.
    pub fn email_domain(&self) -> Option<&str> {
        self.email.as_deref().and_then(domain)
    }
}

/// The e-mail address, unless the provider says that it is not verified, or it is none.
fn email(claims: &Claims, names: &ClaimNames) -> Option<String> {
    let denied = match claims.0.get("email_verified") {
        Some(Value::Bool(verified)) => !verified,
        Some(Value::String(verified)) => verified.eq_ignore_ascii_case("false"),
        Some(_) | None => false,
    };
    one(claims, &names.email).filter(|email| !denied && domain(email).is_some())
}

/// What stands behind the only `@`.
fn domain(email: &str) -> Option<&str> {
    let (local, domain) = email.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@')).then_some(domain)
}

fn one(claims: &Claims, name: &str) -> Option<String> {
    several(claims, name).into_iter().next()
}

/// The values that can be kept; others are left out.
fn several(claims: &Claims, name: &str) -> Vec<String> {
    let mut values = claims.texts(name);
    let all = values.len();
    values
        .retain(|value| !value.is_empty() && value.len() <= LONGEST && !value.chars().any(char::is_control));
    if values.len() < all {
        let left_out = all - values.len();
        tracing::warn!(
            claim = name,
            left_out,
            "values that are empty, too long or no plain text are left out"
        );
    }
    values
}
