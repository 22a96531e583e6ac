//! TLS towards clients: certificates chosen by the name a client asks for.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore, ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{ClientCertificates, TlsSettings};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{}: {error}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// No authority to hold clients' certificates against.
    #[error("{}: {error}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The TLS library refused the settings.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A listener's side of TLS: versions 1.2 and 1.3, HTTP/2 before HTTP/1.1, stateless tickets.
#[derive(Debug)]
pub struct Tls {
    ours: Arc<ServerConfig>,
    theirs: Arc<ServerConfig>,
}

impl Tls {
    /// Reads certificates and keys.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let both: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
        let versions = if settings.only_tls13 { &both[..1] } else { both };
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| !is_cheap(suite.suite()));
        let provider = Arc::new(provider);
        let clients = verifier(settings.clients.as_ref(), &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(ByName::load(settings)?));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        // A connection that is resumed hands out the next one.
        config.send_tls13_tickets = 1;
        let theirs = Arc::new(config.clone());
        config.ignore_client_order = true;
        Ok(Self { ours: Arc::new(config), theirs })
    }

    /// Shakes hands. The order of ciphers is ours, but for a client that would rather not do AES: one without
    /// hardware for it.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let without_aes = prefers_chacha20(start.client_hello().cipher_suites());
        let config = if without_aes { &self.theirs } else { &self.ours };
        start.into_stream(config.clone()).await
    }
}

/// Who judges clients' certificates: nobody, where none is asked for.
fn verifier(
    clients: Option<&ClientCertificates>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(clients) = clients else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let file_error = |error| TlsError::File { path: clients.ca.clone(), error };
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&clients.ca).map_err(file_error)? {
        authorities.add(certificate.map_err(file_error)?)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder
        .build()
        .map_err(|error| TlsError::Authorities { path: clients.ca.clone(), error: error.to_string() })
}

/// AES-128 with SHA-256: SHA-384 has no instructions of its own in most processors, and makes a handshake a fifth dearer.
fn is_cheap(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// Whether the first cipher a client names is ChaCha20; some begin with a value that means nothing (RFC 8701).
fn prefers_chacha20(offered: &[CipherSuite]) -> bool {
    let first = offered.iter().find(|suite| u16::from(**suite) & 0x0f0f != 0x0a0a);
    matches!(
        first,
        Some(
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        )
    )
}

/// Certificates by the names in them.
#[derive(Debug)]
struct ByName {
    names: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl ByName {
    fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut names = HashMap::new();
        let mut first = None;
        for (chain, key) in &settings.certificates {
            let certified = Arc::new(certified_key(chain, key)?);
            for name in names_of(&certified) {
                names.entry(name).or_insert_with(|| certified.clone());
            }
            first.get_or_insert(certified);
        }
        let none = || TlsError::Tls(rustls::Error::General("a listener with tls needs a certificate".into()));
        Ok(Self { names, first: first.ok_or_else(none)? })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let found = name.and_then(|name| {
            let wildcard =
                || name.split_once('.').and_then(|(_, parent)| self.names.get(&format!("*.{parent}")));
            self.names.get(&name).or_else(wildcard)
        });
        Some(found.unwrap_or(&self.first).clone())
    }
}

fn certified_key(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::File { path: path.clone(), error }
    };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(file_error(chain))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(file_error(key))?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(certificates, secret, &provider)
        .map_err(|error| TlsError::Key { path: key.to_owned(), error })
}

/// The DNS names and addresses of a certificate's subjectAltName, in lower case.
fn names_of(certified: &CertifiedKey) -> Vec<String> {
    let parsed = certified.end_entity_cert().ok().and_then(|der| webpki::EndEntityCert::try_from(der).ok());
    parsed
        .map(|certificate| certificate.valid_dns_names().map(str::to_ascii_lowercase).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_put_chacha20_first_choose_the_cipher() {
        const GREASE: CipherSuite = CipherSuite::Unknown(0x3a3a);
        const CHACHA20: CipherSuite = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        const AES: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
        assert!(prefers_chacha20(&[CHACHA20, AES]));
        assert!(prefers_chacha20(&[GREASE, CHACHA20, AES]));
        assert!(!prefers_chacha20(&[GREASE, AES, CHACHA20]));
        assert!(!prefers_chacha20(&[]));
    }
}
