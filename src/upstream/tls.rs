//! TLS towards servers: what to trust, whom to be.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt;

use super::connect::ServerTls;
use super::{Server, Settings};

/// Why TLS towards an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("{0}: {1}")]
    File(String, rustls_pki_types::pem::Error),
    /// The TLS library refused certificates or keys.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// Not a host name or IP address.
    #[error("{0:?} is not a name that a certificate can have")]
    Name(String),
}

/// One entry for each server that is reached by TLS.
pub fn for_servers(settings: &Settings) -> Result<Vec<Option<ServerTls>>, TlsError> {
    let is_tls = |server: &Server| matches!(server, Server::Https(..));
    if !settings.servers.iter().any(is_tls) {
        return Ok(vec![None; settings.servers.len()]);
    }
    let config = Arc::new(client_config(settings)?);
    let of_server = |server: &Server| match server {
        Server::Https(host, _) => {
            let name = settings.tls.server_name.as_ref().unwrap_or(host);
            let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name.clone()))?;
            Ok(Some(ServerTls { config: config.clone(), name }))
        }
        Server::Http(..) | Server::Unix(_) => Ok(None),
    };
    settings.servers.iter().map(of_server).collect()
}

fn client_config(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder();
    let builder = match &settings.tls.ca {
        None => builder.with_platform_verifier()?,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = match &settings.tls.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key_error = |error| TlsError::File(key.display().to_string(), error);
            let secret = PrivateKeyDer::from_pem_file(key).map_err(key_error)?;
            builder.with_client_auth_cert(certificates(chain)?, secret)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file_error = |error| TlsError::File(path.display().to_string(), error);
    let certificates = CertificateDer::pem_file_iter(path).map_err(file_error)?;
    certificates.collect::<Result<_, _>>().map_err(file_error)
}
