//! Contract: what sessions promise, whoever keeps them. Every promise is tried on each keeper that a test can have without
//! a server: this process, a shared store, sealed cookies. What cookies cannot promise is said where it is left out.

mod data;
mod ends;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretBox;

use super::cookie::pieces::Pieces;
use super::data::DataKey;
use super::memory::{Crowding, MemoryStore, Room};
use super::protocol::{Hearing, Scope, Wishes, read};
use super::rights::Rights;
use super::shared::Shared;
use super::sign::Arrival;
use super::sql::{Address, SqlSettings, SqlStore};
use super::*;
use crate::clock::Clock;
use crate::message::Fields;
use crate::session::origin::Origin;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// One gateway's sessions, with a clock of their own.
struct House {
    sessions: Arc<Sessions>,
    clock: Clock,
    rights: Rights,
}

/// A browser's cookies.
#[derive(Clone, Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn keep(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            let (pair, attributes) = ticket.set_cookie().split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.0.retain(|(kept, _)| kept != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn shown(&self, sessions: &Sessions) -> Presented {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut fields = Fields::new();
        fields.append("Cookie", pairs.join("; "));
        sessions.take_cookies(&mut fields, &[])
    }
}

fn start() -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000)
}

fn settings() -> Settings {
    let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![1; 32].into_boxed_slice()) };
    let theme = DataKey::new("shared", "theme");
    Settings { idle: HOUR, keys: vec![key], preferences: vec![theme], ..Settings::default() }
}

/// Who keeps what is tried.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Memory,
    Shared,
    Cookie,
}

const ALL: [Kind; 3] = [Kind::Memory, Kind::Shared, Kind::Cookie];
const WITH_A_KEEPER: [Kind; 2] = [Kind::Memory, Kind::Shared];

fn memory(crowding: Crowding) -> MemoryStore {
    MemoryStore::new(Room { sessions: 100_000, bytes: 1 << 30 }, crowding)
}

/// A gateway on the database of `folder`.
fn gateway(folder: &std::path::Path, settings: Settings, clock: &Clock) -> House {
    let address = Address::parse(&format!("sqlite://{}/sessions.db", folder.display())).expect("an address");
    let sql = SqlSettings { address, migrate: true, timeout: Duration::from_secs(10), ca: None };
    let memory = Arc::new(memory(Crowding::Forgets));
    let open = async move { SqlStore::new(&sql).map(|store| Arc::new(store) as Arc<dyn store::Store>) };
    let shared =
        Shared::start(open, memory.clone(), settings.lifetime(), settings.touch_interval, clock.clone());
    let keeper = Keeper::Shared { memory, shared: shared.expect("started") };
    House::new(keeper, Settings { store: StoreKind::Sql, ..settings }, clock.clone())
}

impl House {
    fn new(keeper: Keeper, settings: Settings, clock: Clock) -> Self {
        let sessions = Sessions::new(settings, Arc::new(keeper), Arc::new(accounts::NoAccounts));
        Self { sessions: Arc::new(sessions), clock, rights: Rights::new("app", None, None, true) }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn recognise(&self, jar: &Jar, uses: bool) -> Visitor {
        self.recognise_by(jar, &mut Memo::default(), uses).await
    }

    async fn recognise_by(&self, jar: &Jar, memo: &mut Memo, uses: bool) -> Visitor {
        let shown = jar.shown(&self.sessions);
        match self.sessions.recognise(&shown, memo, self.now(), uses) {
            Recognition::Is(visitor) => visitor,
            Recognition::Unsure => {
                self.sessions.enquire(&shown, memo, self.now(), uses).await.expect("the store is there")
            }
        }
    }

    async fn user(&self, jar: &Jar) -> Option<String> {
        self.recognise(jar, true).await.identity().map(|identity| identity.user().to_owned())
    }

    async fn sign_in(&self, jar: &mut Jar, user: &str, remember: bool) {
        let visitor = self.recognise(jar, false).await;
        let identity = Identity::new(user, None, None, &[]).expect("a plain name");
        let arrival = Arrival { identity, credential: 0, remember, origin: Origin::default(), notes: vec![] };
        let (tickets, _) = self.sessions.sign_in(&visitor, arrival, self.now()).await.expect("signed in");
        jar.keep(&tickets);
    }

    async fn sign_out(&self, jar: &mut Jar, scope: Scope) {
        let visitor = self.recognise(jar, false).await;
        let (tickets, _) = self.sessions.sign_out(&visitor, scope, self.now()).await.expect("signed out");
        jar.keep(&tickets);
    }

    fn wishes(&self, instructions: &[(&str, &str)]) -> Wishes {
        let mut fields = Fields::new();
        instructions.iter().for_each(|(name, value)| fields.append(name, value));
        let hearing = Hearing {
            rights: &self.rights,
            timezone: &jiff::tz::TimeZone::UTC,
            status: http::StatusCode::OK,
            now: self.now(),
        };
        let (wishes, problems) = read(&fields, &hearing);
        assert!(problems.is_empty(), "{problems:?}");
        wishes
    }

    /// A request whose response has these instructions.
    async fn respond(&self, jar: &mut Jar, instructions: &[(&str, &str)]) {
        let visitor = self.recognise(jar, true).await;
        let fields = Fields::new();
        let occasion = Occasion { now: self.now(), client: None, fields: &fields };
        let settled = self.sessions.settle(&visitor, self.wishes(instructions), occasion).await;
        jar.keep(&settled.expect("the store is there").tickets);
    }

    async fn value(&self, jar: &Jar, key: &str) -> Option<String> {
        let visitor = self.recognise(jar, false).await;
        let data = visitor.session()?.data();
        let (space, name) = key.split_once('.').expect("a name space");
        data.find(space, name, self.now()).map(|entry| format!("{:?}", entry.value))
    }
}

/// Tries a promise on some keepers.
#[track_caller]
fn on<F: Future<Output = ()>>(kinds: &[Kind], settings: fn() -> Settings, promise: impl Fn(Arc<House>) -> F) {
    for kind in kinds {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::manual(start());
        let house = Arc::new(match kind {
            Kind::Memory => House::new(
                Keeper::Memory(memory(Crowding::Ends), keeper::Loading::nothing()),
                settings(),
                clock,
            ),
            Kind::Shared => gateway(folder.path(), settings(), &clock),
            Kind::Cookie => {
                let settings = Settings { store: StoreKind::Cookie, ..settings() };
                House::new(Keeper::Cookie(memory(Crowding::Ends)), settings, clock)
            }
        });
        wait(promise(house));
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn who_signed_in_is_recognised_on_any_connection() {
    on(&ALL, settings, |house| async move {
        let (mut jar, mut memo) = (Jar::default(), Memo::default());
        house.sign_in(&mut jar, "alice", false).await;
        for _ in 0..3 {
            let visitor = house.recognise_by(&jar, &mut memo, true).await;
            assert_eq!(visitor.identity().map(Identity::user), Some("alice"));
        }
        assert_eq!(house.user(&jar).await.as_deref(), Some("alice"));
        assert!(!house.recognise(&Jar::default(), true).await.showed_cookie());
    });
}

#[test]
fn a_planted_session_is_dead_after_login_and_each_login_is_another_one() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut planted = Jar::default();
        house.respond(&mut planted, &[("Session-Set", "cart=3")]).await;
        let mut victim = planted.clone();
        assert!(house.recognise(&victim, true).await.session().is_some());
        house.sign_in(&mut victim, "alice", false).await;
        assert_ne!(victim.0, planted.0);
        assert!(house.recognise(&planted, true).await.session().is_none());
        let first = victim.clone();
        house.sign_in(&mut victim, "alice", false).await;
        assert!(house.recognise(&first, true).await.session().is_none(), "at a second login too");
        assert_eq!(house.user(&victim).await.as_deref(), Some("alice"));
    });
}

#[test]
fn after_logout_the_cookie_is_refused_even_by_a_connection_that_knew_it() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let (mut jar, mut memo) = (Jar::default(), Memo::default());
        house.sign_in(&mut jar, "alice", false).await;
        let stolen = jar.clone();
        assert!(house.recognise_by(&stolen, &mut memo, true).await.identity().is_some());
        house.sign_out(&mut jar, Scope::This).await;
        assert!(jar.0.is_empty(), "the cookie was taken back");
        let late = house.recognise_by(&stolen, &mut memo, true).await;
        assert_eq!((late.session().is_some(), late.ended()), (false, Some(EndReason::Logout)));
    });
}

#[test]
fn logout_takes_the_cookie_back_whoever_keeps_the_session() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        house.sign_out(&mut jar, Scope::This).await;
        assert!(jar.0.is_empty());
        assert_eq!(house.user(&jar).await, None);
    });
}

#[test]
fn others_and_all_sessions_of_a_person_end_and_nobody_elses() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let (mut here, mut there, mut bob) = (Jar::default(), Jar::default(), Jar::default());
        house.sign_in(&mut here, "alice", false).await;
        house.sign_in(&mut there, "alice", false).await;
        house.sign_in(&mut bob, "bob", false).await;
        assert_eq!(house.sessions.of_user("alice").await.expect("known").len(), 2);
        house.respond(&mut here, &[("Session-Logout", "others")]).await;
        assert_eq!(house.user(&here).await.as_deref(), Some("alice"));
        assert_eq!(house.user(&there).await, None);
        house.sign_in(&mut there, "alice", false).await;
        house.respond(&mut there, &[("Session-Logout", "all")]).await;
        assert_eq!((house.user(&here).await, house.user(&there).await), (None, None));
        assert_eq!(house.user(&bob).await.as_deref(), Some("bob"));
    });
}

#[test]
fn a_late_write_brings_no_session_back() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        let slow = house.recognise(&jar, true).await;
        let mut late = jar.clone();
        house.sign_out(&mut jar, Scope::This).await;
        let fields = Fields::new();
        let occasion = Occasion { now: house.now(), client: None, fields: &fields };
        let wishes = house.wishes(&[("Session-Set", "cart=3")]);
        let settled = house.sessions.settle(&slow, wishes, occasion).await.expect("the store is there");
        late.keep(&settled.tickets);
        assert!(house.recognise(&late, true).await.session().is_none());
    });
}

#[test]
fn a_hundred_thousand_random_cookies_create_no_session() {
    on(&[Kind::Memory], settings, |house| async move {
        for n in 0..100_000_u32 {
            let jar = Jar(vec![("__Host-cloakroom".to_owned(), format!("{n:064}"))]);
            let visitor = house.recognise(&jar, true).await;
            assert!(visitor.session().is_none() && visitor.ended().is_none());
        }
        assert_eq!(house.sessions.keeper().memory().counts(), (0, 0));
    });
}

#[test]
fn a_removed_key_is_not_believed_even_where_it_was_just_now() {
    let keeper = Arc::new(Keeper::Memory(memory(Crowding::Ends), keeper::Loading::nothing()));
    let with = |byte: u8| {
        let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![byte; 32].into_boxed_slice()) };
        let settings = Settings { keys: vec![key], ..settings() };
        let sessions = Sessions::new(settings, keeper.clone(), Arc::new(accounts::NoAccounts));
        let rights = Rights::new("app", None, None, true);
        House { sessions: Arc::new(sessions), clock: Clock::manual(start()), rights }
    };
    wait(async {
        let (mut jar, mut memo) = (Jar::default(), Memo::default());
        let (before, after) = (with(1), with(2));
        before.sign_in(&mut jar, "alice", false).await;
        assert!(before.recognise_by(&jar, &mut memo, true).await.identity().is_some());
        assert!(after.recognise_by(&jar, &mut memo, true).await.identity().is_none());
    });
}

#[test]
fn what_happens_at_one_gateway_holds_at_the_other() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::default());
    let here = gateway(folder.path(), settings(), &clock);
    let there = gateway(folder.path(), settings(), &clock);
    wait(async {
        let mut jar = Jar::default();
        here.sign_in(&mut jar, "alice", false).await;
        assert_eq!(there.user(&jar).await.as_deref(), Some("alice"));
        here.respond(&mut jar, &[("Session-Set", "cart=3")]).await;
        until(async || there.value(&jar, "app.cart").await.is_some()).await;
        let (stolen, mut memo) = (jar.clone(), Memo::default());
        assert!(there.recognise_by(&stolen, &mut memo, true).await.identity().is_some());
        here.sign_out(&mut jar, Scope::This).await;
        until(async || there.recognise_by(&stolen, &mut memo, true).await.identity().is_none()).await;
        let late = there.recognise(&stolen, true).await;
        assert_eq!(late.ended(), Some(EndReason::Logout));
    });
}

/// Waits for news from the other gateway.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn debug_shows_neither_ids_nor_keys() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        let mut memo = Memo::default();
        let visitor = house.recognise_by(&jar, &mut memo, true).await;
        let shown = format!("{visitor:?} {memo:?} {:?} {:?}", house.sessions, Pieces::default());
        assert!(jar.0.iter().all(|(_, value)| !shown.contains(value.as_str())));
    });
}
