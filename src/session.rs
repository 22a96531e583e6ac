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

pub mod accounts;
mod breaker;
pub mod cookie;
pub mod data;
pub mod edit;
pub mod django;
pub mod id;
mod index;
pub mod keeper;
pub mod keys;
pub mod lifetime;
pub mod memory;
pub mod origin;
mod people;
pub mod protocol;
mod racks;
mod recognise;
pub mod record;
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

pub use keeper::Keeper;
pub use recognise::{Memo, Presented, Recognition};
pub use settings::{CookieSettings, Create, Key, SameSite, Settings, StoreKind};
pub use settle::{Occasion, Settled};
pub use ticket::Ticket;
pub use visitor::Visitor;

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
        if let Some(shared) = self.keeper.shared() {
            // Another gateway may have seen it since. Whoever asks does so more than once a second.
            let near = expires.since(now) < LAST_MINUTE;
            let in_turn = (now.unix_seconds() + u64::from(session.short())).is_multiple_of(LOOK_AGAIN);
            if session.is_stale() || near && in_turn {
                shared.look_after(session);
            }
        }
        self.lifetime.verdict(session, now).map(|()| expires)
    }

    /// Ends the sessions of people whose account is gone, disabled, or has another password than they logged in with.
    pub fn review(&self) {
        for session in self.keeper.memory().iter() {
            if let Err(reason) = self.accepts(&session) {
                self.end_now(&session, reason);
            }
        }
    }

    /// Whether the account of whoever is logged in still stands.
    fn accepts(&self, session: &Session) -> Result<(), EndReason> {
        match session.identity() {
            Some(identity) if session.credential() != 0 => {
                self.accounts.accepts(identity.user(), session.credential())
            }
            _ => Ok(()),
        }
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
            tracing::warn!(user, session, "an id was shown that had been replaced: the session has ended (theft)");
        }
        reason => tracing::info!(user, session, reason = reason.as_str(), "a session has ended"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretBox;

    use super::*;
    use crate::message::Fields;

    const HOUR: Duration = Duration::from_secs(3600);

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn settings(keys: &[u8]) -> Settings {
        let key = |byte: &u8| Key {
            id: format!("k{byte}"),
            secret: SecretBox::new(vec![*byte; 32].into_boxed_slice()),
        };
        Settings {
            idle: HOUR,
            absolute: 12 * HOUR,
            anonymous: HOUR,
            remember: 720 * HOUR,
            cookie: CookieSettings {
                name: "__Host-cloakroom".to_owned(),
                secure: true,
                same_site: SameSite::Lax,
                path: "/".to_owned(),
                domain: None,
                partitioned: false,
            },
            max_sessions: 1000,
            keys: keys.iter().map(key).collect(),
            create: Create::Always,
        }
    }

    fn sessions() -> Sessions {
        let settings = settings(&[1]);
        let store = Arc::new(MemoryStore::new(settings.max_sessions, settings.lifetime()));
        Sessions::new(settings, store)
    }

    fn alice() -> Identity {
        Identity::new("alice", None, None, &[]).expect("a plain name")
    }

    fn shown(cookies: &str) -> Shown {
        let mut fields = Fields::new();
        fields.append("Cookie", cookies);
        cookie::take(&mut fields, "__Host-cloakroom", &[])
    }

    fn pair(ticket: &Ticket) -> String {
        ticket.set_cookie().split(';').next().expect("a pair").to_owned()
    }

    fn ask(sessions: &Sessions, cookies: &str, now: Timestamp) -> Visitor {
        sessions.recognise(&shown(cookies), &mut Memo::default(), now)
    }

    #[test]
    fn who_signed_in_is_recognised_on_any_connection() {
        let sessions = sessions();
        let (ticket, _) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let mut memo = Memo::default();
        for _ in 0..3 {
            let visitor = sessions.recognise(&shown(&pair(&ticket)), &mut memo, start());
            assert_eq!(visitor.identity().map(Identity::user), Some("alice"));
        }
        assert!(ask(&sessions, &pair(&ticket), start()).identity().is_some());
        assert!(!ask(&sessions, "a=1", start()).showed_cookie());
    }

    #[test]
    fn a_planted_id_is_dead_after_login() {
        let sessions = sessions();
        let planted = pair(&sessions.greet(&Visitor::nobody(), start()).expect("create: always"));
        let victim = ask(&sessions, &planted, start());
        assert!(victim.session().is_some() && victim.identity().is_none());
        let (first, _) = sessions.sign_in(&victim, alice(), false, start());
        assert_ne!(pair(&first), planted);
        assert!(ask(&sessions, &planted, start()).session().is_none());

        let old = victim.session().expect("held since before the login");
        let verdict = sessions.lifetime.verdict(old, start()).expect_err("replaced");
        assert_eq!(sessions.found_over(old, verdict), None, "a request under way during the login");

        let again = ask(&sessions, &pair(&first), start());
        let (second, _) = sessions.sign_in(&again, alice(), false, start());
        assert!(ask(&sessions, &pair(&first), start()).session().is_none(), "at a second login too");
        assert!(ask(&sessions, &pair(&second), start()).identity().is_some());
    }

    #[test]
    fn after_logout_the_cookie_is_refused_even_by_a_connection_that_knew_it() {
        let sessions = sessions();
        let (ticket, _) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let mut memo = Memo::default();
        let visitor = sessions.recognise(&shown(&pair(&ticket)), &mut memo, start());
        assert!(sessions.sign_out(&visitor).set_cookie().contains("Max-Age=0"));
        let late = sessions.recognise(&shown(&pair(&ticket)), &mut memo, start());
        assert!(late.session().is_none());
        assert_eq!(late.ended(), Some(EndReason::Logout));
    }

    #[test]
    fn an_expired_session_is_refused_and_says_why() {
        let sessions = sessions();
        let (ticket, session) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let late = start().plus(2 * HOUR);
        for _ in 0..2 {
            let visitor = ask(&sessions, &pair(&ticket), late);
            assert!(visitor.session().is_none());
            assert_eq!(visitor.ended(), Some(EndReason::Idle));
        }
        assert_eq!(session.ended(), Some(EndReason::Idle), "a tunnel that holds it notices");
    }

    #[test]
    fn a_quiet_look_does_not_extend_a_session() {
        let sessions = sessions();
        let (ticket, session) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let later = start().plus(HOUR / 2);
        let quiet = sessions.recognise_quietly(&shown(&pair(&ticket)), &mut Memo::default(), later);
        assert!(quiet.session().is_some());
        assert_eq!(session.last_seen(), start());
        ask(&sessions, &pair(&ticket), later);
        assert_eq!(session.last_seen(), later);
    }

    #[test]
    fn a_hundred_thousand_random_cookies_create_no_session() {
        let sessions = sessions();
        let mut memo = Memo::default();
        for n in 0..100_000_u32 {
            let value = format!("__Host-cloakroom={n:0>64}");
            assert!(sessions.recognise(&shown(&value), &mut memo, start()).session().is_none());
        }
        sessions.store.sweep();
        assert_eq!(sessions.store.counts(), (0, 0));
    }

    #[test]
    fn of_two_cookies_of_our_name_the_first_valid_one_counts() {
        let sessions = sessions();
        let (ticket, _) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let forged = format!("__Host-cloakroom={}", "A".repeat(64));
        for cookies in [format!("{forged}; {}", pair(&ticket)), format!("{}; {forged}", pair(&ticket))] {
            assert!(ask(&sessions, &cookies, start()).identity().is_some());
        }
    }

    #[test]
    fn a_removed_key_is_not_believed_even_where_it_was_just_now() {
        let store = sessions().store;
        let [old, both, new] =
            [&[1][..], &[2, 1], &[2]].map(|keys| Sessions::new(settings(keys), Arc::clone(&store)));
        let (ticket, _) = old.sign_in(&Visitor::nobody(), alice(), false, start());
        let mut memo = Memo::default();
        assert!(old.recognise(&shown(&pair(&ticket)), &mut memo, start()).identity().is_some());
        assert!(both.recognise(&shown(&pair(&ticket)), &mut memo, start()).identity().is_some());
        assert!(new.recognise(&shown(&pair(&ticket)), &mut memo, start()).identity().is_none());
    }

    #[test]
    fn a_cookie_is_persistent_only_for_those_who_asked() {
        let sessions = sessions();
        let (plain, _) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let (lasting, session) = sessions.sign_in(&Visitor::nobody(), alice(), true, start());
        assert!(!plain.set_cookie().contains("Max-Age") && !plain.set_cookie().contains("Expires"));
        assert!(lasting.set_cookie().contains("Max-Age=2592000; Expires="));
        assert!(session.remember());
    }

    #[test]
    fn a_form_token_belongs_to_one_session() {
        let sessions = sessions();
        let (_, one) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let (_, other) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let token = sessions.csrf_token(&one);
        assert!(sessions.csrf_matches(&one, &token));
        assert!(!sessions.csrf_matches(&other, &token));
    }

    #[test]
    fn no_id_is_shown_by_debug() {
        let sessions = sessions();
        let (ticket, session) = sessions.sign_in(&Visitor::nobody(), alice(), false, start());
        let mut memo = Memo::default();
        let shown = shown(&pair(&ticket));
        let visitor = sessions.recognise(&shown, &mut memo, start());
        let all = format!("{ticket:?} {session:?} {memo:?} {shown:?} {visitor:?} {sessions:?}");
        let value = pair(&ticket).split_off("__Host-cloakroom=".len());
        assert!(!all.contains(&value));
    }
}
