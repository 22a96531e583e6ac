//! Certificate: PEM files that can be read and belong together.
//!
//! Comes in: file names. Goes out: paths whose content has been looked at. Never keeps a key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::Context;

/// A certificate chain and its key, given under `path` as `cert` and `key`.
pub(super) fn pair(context: &mut Context, path: &str, cert: &str, key: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (context.file(cert), context.file(key));
    let chain = chain(context, &format!("{path}.cert"), &cert);
    let key_path = format!("{path}.key");
    let private = match PrivateKeyDer::from_pem_file(&key) {
        Ok(private) => Some(private),
        Err(error) => {
            let why = explain(error, "it holds no private key");
            context.error(&key_path, format!("cannot use {}: {why}", key.display()));
            None
        }
    };
    if let (Some(chain), Some(private)) = (chain, private) {
        match any_supported_type(&private)
            .map(|signer| CertifiedKey::new(chain, Arc::clone(&signer)).keys_match())
        {
            Ok(Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown))) => {}
            Ok(Err(rustls::Error::InconsistentKeys(_))) => {
                let message = format!("the key {} does not belong to {}", key.display(), cert.display());
                context.error(&key_path, message);
            }
            Ok(Err(error)) => context.error(&format!("{path}.cert"), format!("cannot use it: {error}")),
            Err(error) => context.error(&key_path, format!("cannot use {}: {error}", key.display())),
        }
    }
    (cert, key)
}

/// A file of authorities to trust.
pub(super) fn authorities(context: &mut Context, path: &str, given: &str) -> PathBuf {
    let file = context.file(given);
    if let Some(certificates) = chain(context, path, &file) {
        let mut roots = rustls::RootCertStore::empty();
        let broken = certificates.into_iter().find_map(|certificate| roots.add(certificate).err());
        if let Some(error) = broken {
            context.error(path, format!("cannot trust {}: {error}", file.display()));
        }
    }
    file
}

fn chain(context: &mut Context, path: &str, file: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let why = match read {
        Ok(chain) if !chain.is_empty() => return Some(chain),
        Ok(_) => "it holds no certificate".to_owned(),
        Err(error) => explain(error, "it holds no certificate"),
    };
    context.error(path, format!("cannot use {}: {why}", file.display()));
    None
}

fn explain(error: rustls::pki_types::pem::Error, nothing: &str) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => nothing.to_owned(),
        other => format!("not valid PEM ({other:?})"),
    }
}
