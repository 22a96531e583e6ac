//! Failure: why a login elsewhere came to nothing.
//!
//! Comes in: whatever stood in its way. Goes out: a reason for the log, a status, and one of few sentences for people. Never
//! has a token or a code in it, and of what a provider says only a word.

use http::StatusCode;

use crate::identity::InvalidIdentity;
use crate::login::issuer::{IssuerError, Unproven};
use crate::login::outside::OutsideError;
use crate::login::text::elsewhere::Elsewhere;

/// Why a login elsewhere came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was changed, cut, or made by somebody else.
    #[error("the state is not one of ours")]
    UnknownState,
    /// The login was begun too long ago.
    #[error("the login took longer than ten minutes")]
    TooLate,
    /// The answer of one provider where another's is due.
    #[error("the state belongs to a login at another provider")]
    OtherProvider,
    /// The browser has no cookie for it, or that of another login.
    #[error("the login was not begun in this browser, or the browser keeps no cookies")]
    OtherBrowser,
    /// An answer that was shown before.
    #[error("the state was used already")]
    Used,
    /// RFC 9207: the answer names somebody else, or nobody.
    #[error("`iss` of the answer is not the issuer")]
    OtherIssuer,
    /// Whoever it was did not want to, or may not.
    #[error("the provider refused: {0}")]
    Denied(String),
    /// The provider says that something is wrong.
    #[error("the provider reported: {0}")]
    Reported(String),
    /// The provider says that it cannot do it just now.
    #[error("the provider reported: {0}")]
    Busy(String),
    /// Neither a code nor an error.
    #[error("the answer has no `code`")]
    NoCode,
    /// The provider's description or keys cannot be had.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The description leaves something out.
    #[error("the provider's metadata have no `{0}`")]
    NoEndpoint(&'static str),
    /// The code was not redeemed.
    #[error("the code was not redeemed: {0}")]
    Token(OutsideError),
    /// There is no ID token in what came for the code.
    #[error("the provider gave no ID token")]
    NoIdToken,
    /// The ID token proves nothing.
    #[error("the ID token is refused: {0}")]
    IdToken(Unproven),
    /// What keeps the session going cannot be read any more.
    #[error("the refresh token was concealed with a key that is gone")]
    Lost,
    /// It does not say what it must.
    #[error("the ID token is refused: {0}")]
    Claim(&'static str),
    /// More cannot be had of the person.
    #[error("userinfo is refused: {0}")]
    Userinfo(String),
    /// The person has no name here.
    #[error("the provider does not tell `{0}`, which is to be the user name")]
    NoUser(String),
    /// The person cannot be said in headers.
    #[error("the identity cannot be used: {0}")]
    Unusable(#[from] InvalidIdentity),
    /// `allow` does not name the person.
    #[error("`allow` does not admit this person: {0}")]
    NotAllowed(&'static str),
    /// Addresses of ours are not known.
    #[error(
        "without `public_url` a login elsewhere works only on this machine, by `localhost` or a loopback address"
    )]
    NoAddress,
}

impl Failure {
    /// The status of the page.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownState | Self::TooLate | Self::OtherProvider | Self::NoCode | Self::NoAddress => {
                StatusCode::BAD_REQUEST
            }
            Self::OtherBrowser | Self::Used | Self::OtherIssuer => StatusCode::FORBIDDEN,
            Self::Denied(_) | Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            _ if self.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What people are told.
    pub fn sentence(&self, words: &Elsewhere) -> &'static str {
        match self {
            Self::UnknownState | Self::TooLate | Self::OtherProvider | Self::OtherBrowser | Self::Used => {
                words.begin_again
            }
            Self::Denied(_) => words.denied,
            Self::NotAllowed(_) | Self::Unusable(_) | Self::NoUser(_) => words.not_admitted,
            _ if self.is_passing() => words.away,
            _ => words.not_accepted,
        }
    }

    /// Whether the provider has said that a session is over, or something that is never right.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Token(OutsideError::Refused { error, .. }) => error.as_deref() == Some("invalid_grant"),
            Self::Claim(_) | Self::Lost => true,
            Self::IdToken(Unproven::Token(_)) => true,
            _ => false,
        }
    }

    /// Whether the same may work a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Issuer(error) | Self::IdToken(Unproven::Issuer(error)) => is_away(error),
            Self::Token(error) => error.is_passing(),
            _ => false,
        }
    }
}

fn is_away(error: &IssuerError) -> bool {
    match error {
        IssuerError::Outside { error, .. } => error.is_passing(),
        IssuerError::Lately(_) => true,
        IssuerError::Another { .. } | IssuerError::Missing { .. } => false,
    }
}
