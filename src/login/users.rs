//! Users: whose passwords we know.
//!
//! Comes in: users of the configuration and, where there is one, of a file that is read again when it changes. Goes out:
//! an account by its exact name, and hashes that make a wrong name cost as much as a wrong password. Never half a file:
//! one that cannot be read leaves everything as it was.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::Identity;
use crate::login::LocalUser;
use crate::login::password::Cost;
use crate::session::accounts::Accounts;
use crate::session::record::EndReason;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the users file anew. Knows the file's form, so that this module need not; an error is a text for the log.
pub type UsersSource = Box<dyn Fn() -> Result<Vec<LocalUser>, String> + Send + Sync>;

/// All users, as of now.
pub struct Users {
    fixed: Vec<LocalUser>,
    file: Option<File>,
    table: ArcSwap<Table>,
    changes: AtomicU64,
}

struct File {
    path: PathBuf,
    source: UsersSource,
    /// What was found when it was last read, whether well or not.
    seen: Mutex<Seen>,
}

/// The contents of a file, as far as it must be known that they have changed.
#[derive(Debug, Default, PartialEq, Eq)]
enum Seen {
    /// Not looked at yet.
    #[default]
    Nothing,
    /// There was no file, or it could not be read.
    Missing,
    /// SHA-256 of them.
    Contents(Vec<u8>),
}

/// Users that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The users file cannot be read, or is wrong.
    #[error("{path}: {reason}")]
    File {
        /// Of the file.
        path: String,
        /// What the source said.
        reason: String,
    },
    /// No thread could be started.
    #[error("cannot start a thread for the login: {0}")]
    Thread(std::io::Error),
    /// Issuers of tokens could not be asked.
    #[error("cannot ask issuers of tokens: {0}")]
    Issuers(#[from] crate::login::outside::OutsideError),
    /// A user cannot be said in headers.
    #[error("user {user:?}: {source}")]
    User {
        /// The name.
        user: String,
        /// What is wrong with it.
        source: crate::identity::InvalidIdentity,
    },
    /// The file of second factors cannot be used.
    #[error("second factors: {0}")]
    Factors(#[from] crate::login::factor::FileError),
    /// The directory of `login.ldap` cannot be used.
    #[error("login.ldap: {0}")]
    Ldap(#[from] crate::login::ldap::LdapError),
}

struct Table {
    accounts: HashMap<Box<str>, Account>,
    costs: Vec<Cost>,
}

#[derive(Clone)]
struct Account {
    hash: SecretString,
    /// A digest of the hash.
    credential: u64,
    identity: Identity,
    disabled: bool,
}

/// What to compute for an attempt, and who it is if the first hash matches.
pub struct Candidate {
    /// One hash of each cost there is, the user's own first: every attempt costs the same.
    pub hashes: Vec<SecretString>,
    /// Who it would be, and a digest of what proves it; `None` for those who are unknown or disabled.
    pub identity: Option<(Identity, u64)>,
    /// Whether there is such a user, disabled or not.
    pub is_known: bool,
}

impl Users {
    /// The users of the configuration, and those of the file, which is watched from now on until this is dropped.
    pub fn new(fixed: Vec<LocalUser>, file: Option<(PathBuf, UsersSource)>) -> Result<Arc<Self>, UsersError> {
        let file = file.map(|(path, source)| File { path, source, seen: Mutex::default() });
        let table = ArcSwap::from_pointee(Table::new(&fixed, &[])?);
        let users = Arc::new(Self { fixed, file, table, changes: AtomicU64::new(0) });
        if users.file.is_some() {
            users.look()?;
            let watched = Arc::downgrade(&users);
            let watcher = thread::Builder::new().name("users".to_owned()).spawn(move || {
                loop {
                    thread::sleep(LOOK_EVERY);
                    let Some(users) = watched.upgrade() else { return };
                    match users.look() {
                        Ok(true) => tracing::info!("the users file has changed and was read"),
                        Ok(false) => {}
                        Err(error) => tracing::error!(%error, "the users file is not taken; the users stay as they were"),
                    }
                }
            });
            watcher.map_err(UsersError::Thread)?;
        }
        Ok(users)
    }

    /// Reads the file if its contents have changed since the last look; true when they have and are in use now.
    pub fn look(&self) -> Result<bool, UsersError> {
        let Some(file) = &self.file else { return Ok(false) };
        let wrong = |reason| UsersError::File { path: file.path.display().to_string(), reason };
        let contents = match std::fs::read(&file.path) {
            Ok(text) => Seen::Contents(digest(&SHA256, &text).as_ref().to_vec()),
            Err(_) => Seen::Missing,
        };
        {
            let mut seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == contents {
                return Ok(false);
            }
            *seen = contents;
        }
        let more = (file.source)().map_err(wrong)?;
        self.table.store(Arc::new(Table::new(&self.fixed, &more)?));
        self.changes.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    /// What to check for somebody who says to be `name`.
    pub fn candidate(&self, name: &str) -> Candidate {
        let table = self.table.load();
        let account = table.accounts.get(name);
        let own = account.map(|account| (Cost::of(account.hash.expose_secret()), account.hash.clone()));
        let (own_cost, own_hash) = own.unzip();
        let others =
            table.costs.iter().filter(|cost| own_cost.as_ref().and_then(Option::as_ref) != Some(cost));
        Candidate {
            hashes: own_hash.into_iter().chain(others.map(Cost::dummy)).collect(),
            identity: account
                .filter(|account| !account.disabled)
                .map(|account| (account.identity.clone(), account.credential)),
            is_known: account.is_some(),
        }
    }

    /// How often the users have changed since the start.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl Accounts for Users {
    fn accepts(&self, user: &str, credential: u64) -> Result<(), EndReason> {
        let table = self.table.load();
        match table.accounts.get(user) {
            Some(account) if account.disabled => Err(EndReason::Disabled),
            Some(account) if account.credential != credential => Err(EndReason::Revoked),
            Some(_) => Ok(()),
            None => Err(EndReason::Disabled),
        }
    }
}

/// A digest of a password's hash: it changes with the password, and tells nothing of either.
fn credential_of(hash: &str) -> u64 {
    let digest = digest(&SHA256, hash.as_bytes());
    u64::from_be_bytes(*digest.as_ref().first_chunk().expect("a SHA-256 is 32 bytes long")).max(1)
}

impl Table {
    /// The configuration's users go before those of the file.
    fn new(fixed: &[LocalUser], more: &[LocalUser]) -> Result<Self, UsersError> {
        let mut accounts = HashMap::new();
        for user in more.iter().chain(fixed) {
            let identity =
                Identity::new(&user.name, user.email.as_deref(), user.full_name.as_deref(), &user.groups)
                    .map_err(|source| UsersError::User { user: user.name.clone(), source })?;
            let credential = credential_of(user.password.expose_secret());
            let account =
                Account { hash: user.password.clone(), credential, identity, disabled: user.disabled };
            accounts.insert(user.name.as_str().into(), account);
        }
        let hashes = accounts.values().map(|account: &Account| account.hash.expose_secret());
        let mut costs: HashSet<_> = hashes.filter_map(Cost::of).collect();
        if costs.is_empty() {
            costs.insert(Cost::usual());
        }
        Ok(Self { accounts, costs: costs.into_iter().collect() })
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({} of them)", self.table.load().accounts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGON2: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAA";
    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    fn user(name: &str, hash: &str) -> LocalUser {
        LocalUser {
            name: name.to_owned(),
            password: SecretString::from(hash),
            email: None,
            full_name: None,
            groups: vec![],
            disabled: false,
        }
    }

    fn costs(candidate: &Candidate) -> HashSet<Cost> {
        candidate.hashes.iter().filter_map(|hash| Cost::of(hash.expose_secret())).collect()
    }

    #[test]
    fn unknown_known_and_disabled_users_cost_the_same() {
        let mut gone = user("gone", BCRYPT);
        gone.disabled = true;
        let users = Users::new(vec![user("alice", ARGON2), user("bob", BCRYPT), gone], None).expect("valid");
        let all = costs(&users.candidate("nobody"));
        assert_eq!(all.len(), 2);
        for name in ["alice", "bob", "gone", "nobody"] {
            let candidate = users.candidate(name);
            assert_eq!(candidate.hashes.len(), 2, "{name}");
            assert_eq!(costs(&candidate), all, "{name}");
            assert_eq!(candidate.identity.is_some(), ["alice", "bob"].contains(&name));
        }
        assert_eq!(users.candidate("alice").hashes[0].expose_secret(), ARGON2);
        assert_eq!(Users::new(vec![], None).expect("valid").candidate("x").hashes.len(), 1);
    }

    #[test]
    fn names_match_exactly() {
        let users = Users::new(vec![user("alice", ARGON2)], None).expect("valid");
        assert!(users.candidate("alice").identity.is_some());
        assert!(users.candidate("Alice").identity.is_none());
    }

    #[test]
    fn a_changed_file_is_taken_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("alice");
        let from = path.clone();
        let source: UsersSource = Box::new(move || {
            let text = std::fs::read_to_string(&from).map_err(|error| error.to_string())?;
            if text == "broken" { Err("line 1".to_owned()) } else { Ok(vec![user(&text, ARGON2)]) }
        });
        let users = Users::new(vec![user("root", ARGON2)], Some((path.clone(), source))).expect("valid");
        let known = |name| users.candidate(name).identity.is_some();
        assert!(known("alice") && known("root"));
        assert!(!users.look().expect("unchanged"));

        write("bobby");
        assert!(users.look().expect("changed"));
        assert!(known("bobby") && known("root") && !known("alice"));

        write("broken");
        assert!(users.look().is_err_and(|error| error.to_string().ends_with("line 1")));
        assert!(!users.look().expect("complained of once"));
        assert!(known("bobby"));

        std::fs::remove_file(&path).expect("removed");
        assert!(users.look().is_err());
        assert!(known("bobby"));
    }

    #[test]
    fn a_user_that_cannot_be_said_in_a_header_is_refused() {
        let refused = Users::new(vec![user("a\r\nb", ARGON2)], None);
        assert!(refused.is_err_and(|error| error.to_string().contains("control character")));
    }
}
