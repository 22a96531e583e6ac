//! Client certificate: the connection has proved who it is.
//!
//! Comes in: a certificate whose chain the handshake has verified (RFC 5280). Goes out: who it names. Never looks at one that
//! has expired since, and never takes a name that is not there exactly where it is looked for.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::AttributeTypeAndValue;

use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::identity::Identity;
use crate::login::vouch::{Look, Voucher};
use crate::session::{Guest, Means};

/// `login.client_certificate`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the user's name stands.
    pub user: Place,
    /// Groups of everybody who comes with a certificate.
    pub groups: Vec<String>,
    /// The organizational units of the subject are groups, too.
    pub units: bool,
}

/// Where a name stands in a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The subject's common name (CN).
    #[default]
    CommonName,
    /// The subject's user id (UID).
    UserId,
    /// The first e-mail address of the alternative names.
    Email,
    /// The first DNS name there.
    Dns,
    /// The first URI there, as SPIFFE has it.
    Uri,
}

/// A certificate that names nobody.
#[derive(Debug, thiserror::Error)]
pub enum Nameless {
    /// It is no certificate that can be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It has expired, or does not count yet.
    #[error("it is not valid now")]
    NotNow,
    /// There is no name where it should be, or more than one.
    #[error("there is not exactly one name where the configuration looks for it ({0:?})")]
    NoName(Place),
    /// The name cannot be said in headers.
    #[error(transparent)]
    Identity(#[from] crate::identity::InvalidIdentity),
}

/// Who a certificate names.
#[derive(Debug)]
pub struct ClientCertificate(Settings);

impl ClientCertificate {
    /// As configured.
    pub fn new(settings: Settings) -> Self {
        Self(settings)
    }

    /// Who the certificate names.
    pub fn identity(&self, der: &[u8], now: Timestamp) -> Result<Identity, Nameless> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| Nameless::Unreadable(error.to_string()))?;
        let seconds = i64::try_from(now.unix_seconds()).unwrap_or(i64::MAX);
        let validity = certificate.validity();
        if seconds < validity.not_before.timestamp() || seconds > validity.not_after.timestamp() {
            return Err(Nameless::NotNow);
        }
        let alternatives = alternatives(&certificate)?;
        let subject = certificate.subject();
        let email = alternatives.iter().find_map(|name| of_kind(name, Place::Email));
        let common_name = only(subject.iter_common_name());
        let user = match self.0.user {
            Place::CommonName => common_name,
            Place::UserId => only(subject.iter_by_oid(&x509_parser::oid_registry::OID_USERID)),
            place => alternatives.iter().find_map(|name| of_kind(name, place)),
        };
        let user = user.ok_or(Nameless::NoName(self.0.user))?;
        let mut groups = self.0.groups.clone();
        if self.0.units {
            let units = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok());
            groups.extend(units.map(str::to_owned));
        }
        let name = common_name.filter(|name| *name != user);
        Ok(Identity::new(user, email, name, &groups)?)
    }
}

impl Voucher for ClientCertificate {
    fn look(&self, request: &Inbound, logged_in: Option<&Identity>, now: Timestamp) -> Look {
        let Some(certificate) = request.certificate.as_ref().filter(|_| logged_in.is_none()) else {
            return Look::Nothing;
        };
        match self.identity(certificate.der(), now) {
            Ok(identity) => {
                Look::Is(Guest { identity, authenticated_at: now, by: Means::Certificate, credential: 0 })
            }
            Err(error) => {
                tracing::warn!("a client's certificate names nobody: {error}");
                Look::Nothing
            }
        }
    }
}

/// The names in `subjectAltName` (RFC 5280, section 4.2.1.6).
fn alternatives<'a>(certificate: &'a X509Certificate<'a>) -> Result<&'a [GeneralName<'a>], Nameless> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => Ok(&extension.value.general_names),
        Ok(None) => Ok(&[]),
        Err(error) => Err(Nameless::Unreadable(error.to_string())),
    }
}

fn of_kind<'a>(name: &GeneralName<'a>, place: Place) -> Option<&'a str> {
    match (name, place) {
        (GeneralName::RFC822Name(email), Place::Email) => Some(email),
        (GeneralName::DNSName(dns), Place::Dns) => Some(dns),
        (GeneralName::URI(uri), Place::Uri) => Some(uri),
        _ => None,
    }
}

/// The text of the only attribute there is.
fn only<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<&'a str> {
    let first = attributes.next()?.as_str().ok()?;
    attributes.next().is_none().then_some(first)
}
