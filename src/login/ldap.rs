//! LDAP: people prove who they are with a password of a directory's.
//!
//! Comes in: a user name and a password as typed. Goes out: who it is in the directory's own spelling, with groups, or that
//! it is wrong, or that the directory is away. Never binds without a password, never says a wrong password is one when the
//! directory did not say so, never logs what was typed. Connections have a thread of their own.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::login::passwords::{Tries, Verdict};
use connections::Connections;
use directory::{Directory, Proof};
use failure::Failure;
use settings::People;

mod connections;
mod directory;
mod failure;
pub mod settings;
mod template;

pub use settings::LdapSettings;

/// So many may wait for their turn.
const MOST_WAITING: usize = 64;

/// One attempt takes no longer than so many questions may.
const LONGEST: u32 = 6;

/// `login.ldap`, ready to be asked.
#[derive(Debug)]
pub struct Ldap {
    directory: Arc<Directory>,
    is_direct: bool,
    turns: Semaphore,
    queue: Semaphore,
    longest: Duration,
    runtime: Option<Runtime>,
}

/// Why a directory cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// A PEM file could not be read.
    #[error("{0}: {1}")]
    File(String, rustls_pki_types::pem::Error),
    /// The TLS library refused the certificates.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Ldap {
    /// Starts the thread that speaks with the directory. Nothing is connected yet: one that is away may come.
    pub fn new(settings: &LdapSettings) -> Result<Self, LdapError> {
        let is_secure =
            settings.start_tls || settings.servers.iter().any(|server| server.starts_with("ldaps"));
        let tls = is_secure.then(|| client_config(settings)).transpose()?;
        let account = match &settings.people {
            People::Search { account, .. } => account.clone(),
            People::Bind { .. } => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ldap")
            .enable_all()
            .build()
            .map_err(LdapError::Thread)?;
        let connections = Connections::new(settings, account, tls.map(Arc::new));
        Ok(Self {
            directory: Arc::new(Directory::new(settings, connections)),
            is_direct: matches!(settings.people, People::Bind { .. }),
            turns: Semaphore::new(settings.connections),
            queue: Semaphore::new(settings.connections + MOST_WAITING),
            longest: settings.timeout.saturating_mul(LONGEST),
            runtime: Some(runtime),
        })
    }

    /// Tries a user name and a password. What the directory calls the user counts as tried, too: whoever is found under
    /// several names has one count.
    pub async fn try_password(
        &self,
        user: &str,
        password: Zeroizing<String>,
        tries: &mut Tries<'_>,
    ) -> Verdict {
        if user.is_empty() || user.len() > 256 || user.chars().any(char::is_control) {
            return Verdict::Unknown;
        }
        // Without a password a bind succeeds and says nothing (RFC 4513, section 5.1.2).
        if password.is_empty() {
            return Verdict::Wrong;
        }
        let Ok(_in_queue) = self.queue.try_acquire() else { return Verdict::Busy };
        let Ok(_turn) = self.turns.acquire().await else { return Verdict::Busy };
        let proof = match self.is_direct {
            true => {
                let (directory, user) = (self.directory.clone(), user.to_owned());
                self.on_thread(async move { directory.bind_direct(&user, &password).await }).await
            }
            false => {
                let (directory, user) = (self.directory.clone(), user.to_owned());
                let found = match self.on_thread(async move { directory.find(&user).await }).await {
                    Ok(Some(found)) => found,
                    Ok(None) => return Verdict::Unknown,
                    Err(error) => return away(&error),
                };
                if let Err(wait) = tries.also(&found.user).await {
                    return Verdict::TooMany(wait);
                }
                let directory = self.directory.clone();
                self.on_thread(async move { directory.prove(&found, &password).await }).await
            }
        };
        match proof {
            Ok(Proof::Is(identity)) => Verdict::Welcome(identity, 0),
            Ok(Proof::IsNot(why)) => {
                if let Some(why) = why {
                    tracing::warn!("the directory refuses a login: {why}");
                }
                Verdict::Wrong
            }
            Err(error) => away(&error),
        }
    }

    /// Does work on the thread of the connections. A defect there is an answer that never came.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let longest = self.longest;
        let limited = async move { tokio::time::timeout(longest, work).await };
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        match runtime.spawn(limited).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::late()),
            Err(defect) => Err(Failure::Unusable(defect.to_string())),
        }
    }
}

impl Drop for Ldap {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn away(error: &Failure) -> Verdict {
    tracing::error!("nobody can log in by `login.ldap`: {error}");
    Verdict::Away
}

fn client_config(settings: &LdapSettings) -> Result<ClientConfig, LdapError> {
    let builder = ClientConfig::builder();
    let builder = match &settings.ca {
        None => builder.with_platform_verifier()?,
        Some(path) => {
            let file_error = |error| LdapError::File(path.display().to_string(), error);
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(file_error)? {
                roots.add(certificate.map_err(file_error)?)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}
