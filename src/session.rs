//! Session: who?
//!
//! Comes in: what a request showed under our cookie's name, and what a response wants remembered. Goes out: a [`Visitor`],
//! with a session or without, and [`Ticket`]s: `Set-Cookie` values that hand out an id or take one back. Every change of
//! rights makes a new session under a new id. Never adopts an id from outside, never looks one up whose MAC is wrong, never
//! shows one to anybody but its holder.
//!
//! Sessions are kept in [`memory`]; where a [`shared`] store keeps them for good, the memory holds those in use. With
//! [`sealed`] cookies nothing is kept at all, and with [`django`] the sessions are those of a Django site.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::accounts::Accounts;
use crate::session::keys::Keys;
use crate::session::lifetime::Lifetime;
use crate::session::record::{EndReason, Session};
use crate::session::sealed::Sealed;
use crate::session::stored::Stored;

pub mod accounts;
mod breaker;
pub mod bridge;
#[cfg(test)]
mod contract;
pub mod cookie;
pub mod data;
pub mod django;
pub mod draft;
pub mod edit;
pub mod id;
mod index;
pub mod keeper;
pub mod keys;
pub mod lifetime;
pub mod memory;
mod noted;
pub mod notes;
pub mod origin;
mod people;
pub mod protocol;
mod racks;
mod recognise;
pub mod record;
pub mod redis;
pub mod rights;
pub mod roster;
pub mod sealed;
pub mod settings;
mod settle;
pub mod shared;
pub mod sign;
pub mod snapshot;
pub mod sql;
pub mod store;
pub mod stored;
pub mod ticket;
pub mod turn;
pub mod visitor;

pub use keeper::{Keeper, Storage};
pub use recognise::{Memo, Presented, Recognition};
pub use settings::{CookieSettings, Create, Key, SameSite, Settings, StoreKind};
pub use settle::{Occasion, Settled};
pub use ticket::Ticket;
pub use visitor::{Guest, Means, Visitor};

/// The cloakroom: recognises visitors, hands out tickets, takes them back. A new configuration makes a new one around
/// the same keeper.
#[derive(Debug)]
pub struct Sessions {
    settings: Settings,
    lifetime: Lifetime,
    keys: Arc<Keys>,
    /// Where sessions are sealed in cookies.
    sealed: Option<Sealed>,
    keeper: Arc<Keeper>,
    accounts: Arc<dyn Accounts>,
    serial: u64,
}

/// In the last minute of a session, and once in so many seconds, other gateways are asked whether it is in use there.
const LAST_MINUTE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: u64 = 5;

/// Tells the `Sessions` of one process apart, so that a memo made with keys that are gone is not believed.
static SERIAL: AtomicU64 = AtomicU64::new(1);

impl Sessions {
    /// Sessions as configured, kept by `keeper`, of people whom `accounts` knows.
    ///
    /// # Panics
    /// Without a single key: the configuration makes one where none is given.
    pub fn new(settings: Settings, keeper: Arc<Keeper>, accounts: Arc<dyn Accounts>) -> Self {
        let keys = Arc::new(Keys::new(&settings.keys));
        let sealed = (settings.store == StoreKind::Cookie).then(|| Sealed::new(&keys, &settings.cookie));
        Self {
            lifetime: settings.lifetime(),
            keys,
            sealed,
            settings,
            keeper,
            accounts,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// How they are configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name of our cookie; those of the pieces of a sealed session begin with it.
    pub fn cookie_name(&self) -> &str {
        &self.settings.cookie.name
    }

    /// How long sessions may live.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// What signs our tickets and forms.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Who keeps the sessions.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Whether people may ask to stay signed in.
    pub fn can_remember(&self) -> bool {
        !self.lifetime.remember.is_zero()
    }

    /// Whether a session that something without an end belongs to still lives.
    pub fn is_alive(&self, session: &Arc<Session>, now: Timestamp) -> bool {
        self.outlook(session, now).is_ok()
    }

    /// When such a session ends if nothing more happens, or why it has ended.
    pub fn outlook(&self, session: &Arc<Session>, now: Timestamp) -> Result<Timestamp, EndReason> {
        let expires = self.lifetime.expires(session);
        match &*self.keeper {
            Keeper::Shared { shared, .. } => {
                // Another gateway may have seen it since. Whoever asks does so more than once a second.
                let near = expires.since(now) < LAST_MINUTE;
                let in_turn = (now.unix_seconds() + u64::from(session.short())).is_multiple_of(LOOK_AGAIN);
                if session.is_stale() || near && in_turn {
                    shared.look_after(session);
                }
            }
            Keeper::Django { bridge, .. } => {
                if !bridge.counts(session, now) {
                    bridge.look_after(session, now);
                }
                return session.ended().map_or(Ok(expires), Err);
            }
            Keeper::Memory(..) | Keeper::Cookie(_) => {}
        }
        self.lifetime.verdict(session, now).map(|()| expires)
    }

    /// Ends the sessions of people whose account is gone, disabled, or has another password than they logged in with.
    pub fn review(&self) {
        for session in self.keeper.memory().iter() {
            if let Err(reason) = self.accepts(session.identity(), session.credential()) {
                self.end_now(&session, reason);
            }
        }
    }

    /// Takes a session of the process's last life in again, unless it is over by now.
    pub fn take_back_in(&self, stored: Stored, now: Timestamp) -> Option<Arc<Session>> {
        match self.admits(&stored, now) {
            Ok(()) => self.keeper.memory().adopt(stored),
            Err(reason) => {
                self.keeper.memory().ended_elsewhere(&stored.digest, reason);
                None
            }
        }
    }

    /// Whether a session that was kept elsewhere may go on.
    fn admits(&self, stored: &Stored, now: Timestamp) -> Result<(), EndReason> {
        self.lifetime.verdict_stored(stored, now)?;
        self.accepts(stored.identity.as_ref(), stored.credential)
    }

    /// Whether the account of whoever is logged in still stands.
    fn accepts(&self, identity: Option<&Identity>, credential: u64) -> Result<(), EndReason> {
        match identity {
            // A Django site looks after its accounts itself.
            Some(identity) if credential != 0 && !self.is_bridge() => {
                self.accounts.accepts(identity.user(), credential)
            }
            _ => Ok(()),
        }
    }

    /// Whether the sessions are those of a Django site: nothing of them is ours to change.
    pub fn is_bridge(&self) -> bool {
        matches!(&*self.keeper, Keeper::Django { .. })
    }

    /// Ends a session at once, here; a shared store hears of it soon.
    fn end_now(&self, session: &Session, reason: EndReason) {
        let first = match &*self.keeper {
            Keeper::Shared { shared, .. } => {
                let first = session.finish(reason);
                shared.end_soon(session, reason);
                first
            }
            keeper => keeper.memory().end(session, reason),
        };
        if first {
            log_end(session.short(), session.identity(), reason);
        }
    }

    /// A token for a form that does this `deed` to this session: nobody can make it for another one, nor for another deed.
    pub fn csrf_token(&self, session: &Session, deed: &str) -> String {
        self.keys.token(&[b"session", session.digest().bytes(), deed.as_bytes()])
    }

    /// Whether a form's token belongs to this session and this deed.
    pub fn csrf_matches(&self, session: &Session, deed: &str, token: &str) -> bool {
        self.keys.knows(token, &[b"session", session.digest().bytes(), deed.as_bytes()])
    }
}

/// The program log's line about an end that nobody asked for.
fn log_end(short: u32, identity: Option<&Identity>, reason: EndReason) {
    let session = format_args!("{short:08x}");
    let user = identity.map(Identity::user);
    match reason {
        EndReason::Theft => {
            tracing::warn!(
                user,
                session,
                "an id was shown that had been replaced: the session has ended (theft)"
            );
        }
        reason => tracing::info!(user, session, reason = reason.as_str(), "a session has ended"),
    }
}
