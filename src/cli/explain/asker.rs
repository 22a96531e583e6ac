//! Asker: who a request is said to come from.
//!
//! Comes in: options of the command line, and the users of the configuration. Goes out: a session as a login would make it,
//! or nobody. Never asks anybody for a password, and never looks at sessions that there are.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::units::Duration;
use crate::config::{self, Config};
use crate::identity::Identity;
use crate::login::LocalUser;
use crate::session::draft::Draft;
use crate::session::memory::{Crowding, MemoryStore, Room};
use crate::session::record::Session;

/// Who is asking, and from where.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Asker {
    /// Who is logged in; nobody without it
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The user's groups; without this, those in the configuration
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "user")]
    pub groups: Option<Vec<String>>,
    /// What a login method says about the user, such as department=finance; may come several times
    #[arg(long, value_name = "NAME=VALUE", requires = "user", value_parser = claim)]
    pub claim: Vec<(String, String)>,
    /// How long ago the user logged in, such as 20m; without this, just now
    #[arg(long, value_name = "DURATION", requires = "user")]
    pub login_age: Option<Duration>,
    /// The client's address, or `unix` for a client without one; without this, an address for documentation
    #[arg(long, value_name = "ADDRESS", value_parser = client)]
    pub from: Option<Client>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An address.
    At(IpAddr),
    /// A Unix socket, which tells none.
    Unix,
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a name and a value: department=finance")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn client(text: &str) -> Result<Client, String> {
    match text {
        "unix" => Ok(Client::Unix),
        text => text.parse().map(Client::At).map_err(|_| "write an address, or `unix`".to_owned()),
    }
}

impl Asker {
    /// The address the request comes from; by default one for documentation (RFC 5737).
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.from {
            None => Some([192, 0, 2, 1].into()),
            Some(Client::At(address)) => Some(address),
            Some(Client::Unix) => None,
        }
    }

    /// The session of whoever is logged in, and what there is to note about them.
    pub(super) fn session(
        &self,
        config: &Config,
        now: Timestamp,
    ) -> Result<(Option<Arc<Session>>, Vec<String>), String> {
        let Some(user) = &self.user else { return Ok((None, Vec::new())) };
        let users = users(config)?;
        let known = users.iter().find(|known| known.name == *user);
        let mut notes = Vec::new();
        if known.is_none() {
            notes.push(format!("nobody called {user} can sign in with a password of this configuration"));
        }
        let groups = match (&self.groups, known) {
            (Some(groups), _) => groups.clone(),
            (None, Some(known)) => known.groups.clone(),
            (None, None) => Vec::new(),
        };
        let email = known.and_then(|known| known.email.as_deref());
        let name = known.and_then(|known| known.full_name.as_deref());
        let claims = self.claim.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let identity = Identity::new(user, email, name, &groups)
            .and_then(|identity| identity.with_claims(claims))
            .map_err(|why| why.to_string())?;
        let (age, longest) = (self.login_age.unwrap_or_default().0, config.session.absolute);
        if age > longest {
            let longest = Duration(longest);
            notes.push(format!(
                "such a session has ended, unless {user} is remembered: `absolute_timeout` is {longest}"
            ));
        }
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let then = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(age));
        let store = MemoryStore::new(Room { sessions: 2, bytes: 1 << 20 }, Crowding::Ends);
        let (_, session) = store.create(Draft::signed_in(identity, false, then));
        Ok((Some(session), notes))
    }
}

/// Everybody who can sign in: from the configuration, and from its file of users.
fn users(config: &Config) -> Result<Vec<LocalUser>, String> {
    let Some(local) = &config.login.local else { return Ok(Vec::new()) };
    let mut users = local.users.clone();
    if let Some(path) = &local.users_file {
        users.extend(config::users::load(path).map_err(|problems| problems.to_string())?);
    }
    Ok(users)
}
