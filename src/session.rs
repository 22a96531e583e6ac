//! Session: who?
//!
//! Comes in: what a request showed under our cookie's name. Goes out: a [`Visitor`], with a session or without, and
//! [`Ticket`]s: `Set-Cookie` values that hand out a new id or take one back. Every change of rights makes a new id.
//! Never adopts an id from outside, never looks one up whose MAC is wrong, never shows one to anybody but its holder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::cookie::Shown;
use crate::session::keys::{Keys, VALUE_LENGTH};
use crate::session::lifetime::Lifetime;
use crate::session::memory::MemoryStore;
use crate::session::record::{Draft, EndReason, Session};
use crate::session::ticket::Ticket;

pub mod cookie;
pub mod data;
pub mod edit;
pub mod former;
pub mod id;
mod index;
pub mod keys;
pub mod lifetime;
pub mod memory;
pub mod origin;
pub mod protocol;
pub mod record;
pub mod rights;
pub mod settings;
pub mod store;
pub mod stored;
pub mod ticket;
pub mod visitor;

pub use settings::{CookieSettings, Create, Key, SameSite, Settings};
pub use visitor::Visitor;

/// What a client's connection last showed: the next request is most likely to show the same. One per connection.
#[derive(Debug, Default)]
pub struct Memo(Option<Known>);

struct Known {
    value: [u8; VALUE_LENGTH],
    session: Arc<Session>,
    by: u64,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({:08x})", self.session.short())
    }
}

/// The cloakroom: recognises visitors, hands out tickets, takes them back. A new configuration makes a new one around
/// the same store.
#[derive(Debug)]
pub struct Sessions {
    cookie: CookieSettings,
    create: Create,
    lifetime: Lifetime,
    keys: Keys,
    store: Arc<MemoryStore>,
    serial: u64,
}

/// Tells the `Sessions` of one process apart, so that a memo made with keys that are gone is not believed.
static SERIAL: AtomicU64 = AtomicU64::new(1);

impl Sessions {
    /// Sessions as configured, kept in `store`.
    ///
    /// # Panics
    /// Without a single key: the configuration makes one where none is given.
    pub fn new(settings: Settings, store: Arc<MemoryStore>) -> Self {
        let lifetime = settings.lifetime();
        Self {
            keys: Keys::new(&settings.keys),
            cookie: settings.cookie,
            create: settings.create,
            lifetime,
            store,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The name of our cookie.
    pub fn cookie_name(&self) -> &str {
        &self.cookie.name
    }

    /// How long sessions may live.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// Whether a session that something without an end belongs to still lives.
    pub fn is_alive(&self, session: &Session, now: Timestamp) -> bool {
        session.ended().is_none() && self.lifetime.verdict(session, now).is_ok()
    }

    /// What signs our tickets and forms.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether people may ask to stay signed in.
    pub fn can_remember(&self) -> bool {
        !self.lifetime.remember.is_zero()
    }

    /// Finds out who is asking, and notes that they did. Of several valid tickets the first counts.
    pub fn recognise(&self, shown: &Shown, memo: &mut Memo, now: Timestamp) -> Visitor {
        let visitor = self.recognise_quietly(shown, memo, now);
        if let Some(session) = visitor.session() {
            self.store.touch(session, now);
        }
        visitor
    }

    /// Finds out who is asking without extending their session.
    pub fn recognise_quietly(&self, shown: &Shown, memo: &mut Memo, now: Timestamp) -> Visitor {
        let mut visitor = Visitor { showed_cookie: shown.any(), ..Visitor::nobody() };
        if let Some(session) = self.recall(shown, memo, now) {
            visitor.session = Some(session);
            return visitor;
        }
        for value in shown.values() {
            let Some(digest) = self.keys.open(value).map(|id| id.digest()) else { continue };
            let verdict = match self.store.load(&digest) {
                None => Err(self.store.reason(&digest)),
                Some(session) => match self.lifetime.verdict(&session, now) {
                    Ok(()) => Ok(session),
                    Err(reason) => Err(self.found_over(&session, reason)),
                },
            };
            match verdict {
                Ok(session) => {
                    memo.0 = Some(Known { value: *value, session: Arc::clone(&session), by: self.serial });
                    visitor.session = Some(session);
                    return visitor;
                }
                Err(reason) => visitor.ended = visitor.ended.or(reason),
            }
        }
        visitor
    }

    /// Ends a session whose time is up, and says what to tell of it. One that ended another way, just after it was loaded,
    /// is left alone: if it goes on under a new id, to end it would end what followed.
    fn found_over(&self, session: &Session, reason: EndReason) -> Option<EndReason> {
        if session.ended().is_none() {
            self.store.end(session, reason);
        }
        session.identity().and(Some(reason)).filter(|reason| *reason != EndReason::Replaced)
    }

    /// The session this connection showed before, while it lives: whatever ends one marks the record.
    fn recall(&self, shown: &Shown, memo: &Memo, now: Timestamp) -> Option<Arc<Session>> {
        let known = memo.0.as_ref().filter(|known| known.by == self.serial)?;
        let value = shown.values().next()?;
        let same = verify_slices_are_equal(value, &known.value).is_ok();
        (same && self.lifetime.verdict(&known.session, now).is_ok()).then(|| Arc::clone(&known.session))
    }

    /// Lets somebody in: always a new id, and whatever session they had before is dead when this returns.
    pub fn sign_in(
        &self,
        visitor: &Visitor,
        identity: Identity,
        remember: bool,
        now: Timestamp,
    ) -> (Ticket, Arc<Session>) {
        let remember = remember && self.can_remember();
        let draft = Draft::signed_in(identity, remember, now);
        let replaced = visitor.session().and_then(|old| self.store.replace(old, draft.clone()));
        let (id, session) = replaced.unwrap_or_else(|| self.store.create(draft));
        let lasting = remember.then_some(self.lifetime.remember);
        (Ticket::hand_out(&self.cookie, self.keys.seal(&id), lasting, now), session)
    }

    /// Ends the visitor's session, if there is one, and takes the ticket back in any case.
    pub fn sign_out(&self, visitor: &Visitor) -> Ticket {
        if let Some(session) = visitor.session() {
            self.store.end(session, EndReason::Logout);
        }
        Ticket::take_back(&self.cookie)
    }

    /// Gives a visitor without a session an anonymous one, if `create: always` says so.
    pub fn greet(&self, visitor: &Visitor, now: Timestamp) -> Option<Ticket> {
        if self.create != Create::Always || visitor.session.is_some() {
            return None;
        }
        let (id, _) = self.store.create(Draft::anonymous(now));
        Some(Ticket::hand_out(&self.cookie, self.keys.seal(&id), None, now))
    }

    /// A token for forms that act on this session: nobody can make it for another one.
    pub fn csrf_token(&self, session: &Session) -> String {
        self.keys.token(&[b"session", session.digest().bytes()])
    }

    /// Whether a form's token belongs to this session.
    pub fn csrf_matches(&self, session: &Session, token: &str) -> bool {
        self.keys.knows(token, &[b"session", session.digest().bytes()])
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
