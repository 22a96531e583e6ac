//! Local: people prove who they are with a password of ours.
//!
//! Comes in: a user name and a password as typed. Goes out: who it is, or that it is wrong. Unknown, disabled and mistaken
//! take the same time. Never counts attempts, never logs what was typed.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::login::LocalSettings;
use crate::login::password::Checker;
use crate::login::passwords::Verdict;
use crate::login::users::{Users, UsersError, UsersSource};

/// `login.local`, ready to be asked.
#[derive(Debug)]
pub struct Local {
    users: Arc<Users>,
    checker: Checker,
}

impl Local {
    /// Reads the users and starts the threads that check passwords.
    pub fn new(settings: LocalSettings, source: Option<UsersSource>) -> Result<Self, UsersError> {
        let file: Option<(PathBuf, UsersSource)> = settings.users_file.zip(source);
        let users = Users::new(settings.users, file)?;
        Ok(Self { users, checker: Checker::new().map_err(UsersError::Thread)? })
    }

    /// The people who may log in here.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// How often the people who may log in have changed since the start.
    pub fn changes(&self) -> u64 {
        self.users.changes()
    }

    /// How many passwords were looked at since the start.
    pub fn checks(&self) -> u64 {
        self.checker.asked()
    }

    /// Tries a user name and a password. A disabled user is one we know: no other method may let them in.
    pub async fn try_password(&self, user: &str, password: Zeroizing<String>) -> Verdict {
        let candidate = self.users.candidate(user);
        match (self.checker.check(candidate.hashes, password).await, candidate.identity) {
            (Err(_), _) => Verdict::Busy,
            (Ok(true), Some((identity, credential))) => Verdict::Welcome(identity, credential),
            (Ok(_), _) if candidate.is_known => Verdict::Wrong,
            (Ok(_), _) => Verdict::Unknown,
        }
    }
}
