//! Contract: what every shared store must do, tried on the real thing.
//!
//! Comes in: a way to open a store, and a way to spoil a record in it. Goes out: nothing, or a panic that says which
//! promise was broken. Every session has an id of its own, so any number of runs may share a database.
//!
//! Stores that forget by themselves go by the clock of their server, so `now` is the true time here, and what must be
//! forgotten is waited for. Nothing is waited for longer than [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Found, Saved, Store, Use};
use crate::clock::{Clock, Timestamp};
use crate::identity::Identity;
use crate::session::data::Data;
use crate::session::id::{Digest, SessionId};
use crate::session::origin::Origin;
use crate::session::record::EndReason;
use crate::session::stored::{Stored, Turn};

mod ends;
mod news;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

const MINUTE: Duration = Duration::from_secs(60);

type Shared = Arc<dyn Store>;

/// Checks every promise of [`Store`]. `open` gives another instance on the same database each time, as another gateway
/// would have; `spoil` puts something that is no session in the place of one that lives.
pub async fn store_contract(open: impl AsyncFn() -> Shared, spoil: impl AsyncFn(Digest)) {
    let (one, other) = (open().await, open().await);
    a_session_is_kept_as_it_was(&one, &other).await;
    a_save_needs_the_revision_it_was_based_on(&one, &other).await;
    a_thousand_increments_make_a_thousand(&one, &other).await;
    writers_of_different_fields_both_stay(&one, &other).await;
    ends::an_end_is_for_good(&one, &other).await;
    ends::an_end_may_come_first(&one, &other).await;
    ends::one_of_many_ends_is_the_first(&one, &other).await;
    a_touch_keeps_the_latest(&one, &other).await;
    many_are_touched_at_once(&one).await;
    sessions_of_a_user_are_found(&one, &other).await;
    pages_are_in_order_and_complete(&one).await;
    ends::only_what_has_expired_is_forgotten(&one, &other).await;
    ends::an_unreadable_record_is_said_to_be_broken(&one, spoil).await;
    news::others_hear_the_news(&one, &other).await;
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn later() -> Timestamp {
    now().plus(30 * MINUTE)
}

/// A new session of a user.
pub fn session(user: Option<&str>) -> Stored {
    let (id, now) = (SessionId::mint(), now());
    Stored {
        digest: id.digest(),
        turn: Turn { proof: id.proof(), since: now, previous: None, shown: None },
        identity: user.map(|user| Identity::new(user, None, None, &[]).expect("valid")),
        credential: 0,
        created: now,
        last_seen: now,
        remember: false,
        idle: 0,
        origin: Origin { address: None, browser: 0, system: 0 },
        data: Data::default(),
        revision: 1,
    }
}

/// A user that no other run has.
fn somebody() -> String {
    format!("홍길동-{:08x}", SessionId::mint().digest().short())
}

async fn created(store: &Shared, user: Option<&str>) -> Stored {
    let session = session(user);
    assert!(store.create(&session, later()).await.expect("created"));
    session
}

async fn load(store: &Shared, digest: Digest) -> Found {
    store.load(digest).await.expect("loaded")
}

async fn loaded(store: &Shared, digest: Digest) -> Stored {
    match load(store, digest).await {
        Found::Lives(session) => *session,
        other => panic!("it lives, and the store says {other:?}"),
    }
}

/// Reads, changes and saves, as often as it takes.
async fn change(store: Shared, digest: Digest, change: impl Fn(&mut Stored)) {
    let mut session = loaded(&store, digest).await;
    loop {
        change(&mut session);
        match store.save(&session, later()).await.expect("saved") {
            Saved::Done => return,
            Saved::Conflict(newer) => {
                assert!(newer.revision > session.revision, "a conflict with what is older");
                session = *newer;
            }
            Saved::Gone => panic!("it lives"),
        }
    }
}

async fn a_session_is_kept_as_it_was(one: &Shared, other: &Shared) {
    assert_eq!(load(one, SessionId::mint().digest()).await, Found::Nothing);
    let nobody = created(one, None).await;
    assert_eq!(loaded(other, nobody.digest).await, nobody);

    let groups: Vec<_> = (0..96).map(|n| format!("{}{n:03}", "경리부 ".repeat(16))).collect();
    assert!(groups.iter().map(String::len).sum::<usize>() > 15 << 10);
    let id = SessionId::mint();
    let full = Stored {
        digest: id.digest(),
        turn: Turn {
            proof: id.proof(),
            since: now(),
            previous: Some(id.renewed().proof()),
            shown: Some(now()),
        },
        identity: Some(
            Identity::new("홍길동", Some("hong@example.kr"), Some("홍 길동 🐅"), &groups).expect("valid"),
        ),
        credential: u64::MAX,
        remember: true,
        idle: 7,
        origin: Origin { address: "2001:db8::1".parse().ok(), browser: 3, system: 4 },
        ..session(None)
    };
    assert!(full.to_bytes().len() > 16 << 10, "large");
    assert!(one.create(&full, later()).await.expect("created"));
    assert_eq!(loaded(other, full.digest).await, full);
    assert_eq!(other.save(&full, later()).await.expect("saved"), Saved::Done);
    assert_eq!(loaded(one, full.digest).await, Stored { revision: 2, ..full });
}

async fn a_save_needs_the_revision_it_was_based_on(one: &Shared, other: &Shared) {
    let first = created(one, Some("alice")).await;
    let left = Stored { credential: 1, ..first.clone() };
    let right = Stored { credential: 2, ..first.clone() };
    assert_eq!(one.save(&left, later()).await.expect("saved"), Saved::Done);
    let kept = Stored { revision: 2, ..left.clone() };
    assert_eq!(other.save(&right, later()).await.expect("saved"), Saved::Conflict(Box::new(kept.clone())));
    assert_eq!(loaded(other, first.digest).await, kept);
    let ahead = Stored { revision: 9, ..right };
    assert_eq!(one.save(&ahead, later()).await.expect("saved"), Saved::Conflict(Box::new(kept.clone())));
    let again = Stored { credential: 3, ..kept };
    assert_eq!(other.save(&again, later()).await.expect("saved"), Saved::Done);
    assert_eq!(loaded(one, first.digest).await, Stored { revision: 3, ..again });

    let unknown = session(None);
    assert_eq!(one.save(&unknown, later()).await.expect("saved"), Saved::Gone, "a save makes no session");
    assert_eq!(load(one, unknown.digest).await, Found::Nothing);
}

async fn a_thousand_increments_make_a_thousand(one: &Shared, other: &Shared) {
    let digest = created(one, None).await.digest;
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let store = Arc::clone(if task % 2 == 0 { one } else { other });
        tasks.spawn(async move {
            for _ in 0..50 {
                change(Arc::clone(&store), digest, |session| session.credential += 1).await;
            }
        });
    }
    tasks.join_all().await;
    let last = loaded(one, digest).await;
    assert_eq!((last.credential, last.revision), (1000, 1001));
}

async fn writers_of_different_fields_both_stay(one: &Shared, other: &Shared) {
    let digest = created(one, None).await.digest;
    let mut tasks = JoinSet::new();
    for _ in 0..25 {
        tasks.spawn(change(Arc::clone(one), digest, |session| session.credential += 1));
        tasks.spawn(change(Arc::clone(other), digest, |session| session.idle += 1));
    }
    tasks.join_all().await;
    let last = loaded(other, digest).await;
    assert_eq!((last.credential, last.idle), (25, 25));
}

async fn a_touch_keeps_the_latest(one: &Shared, other: &Shared) {
    let session = created(one, Some("alice")).await;
    let digest = session.digest;
    let used = |minutes: u32| Use {
        digest,
        last_seen: session.last_seen.plus(minutes * MINUTE),
        expires: later().plus(minutes * MINUTE),
    };
    one.touch(&[used(3), used(5), used(2)]).await.expect("touched");
    other.touch(&[used(1)]).await.expect("touched");
    let touched = Stored { last_seen: used(5).last_seen, ..session.clone() };
    assert_eq!(loaded(one, digest).await, touched, "and a touch is not a write: the revision stays");

    let written = Stored { credential: 1, ..session.clone() };
    assert_eq!(one.save(&written, later()).await.expect("saved"), Saved::Done);
    let last = loaded(other, digest).await;
    assert_eq!((last.last_seen, last.credential), (used(5).last_seen, 1), "a save does not undo a touch");

    let used_since = Stored { last_seen: used(9).last_seen, ..last };
    assert_eq!(other.save(&used_since, later()).await.expect("saved"), Saved::Done);
    assert_eq!(loaded(one, digest).await.last_seen, used(9).last_seen);

    let unknown = Use { digest: SessionId::mint().digest(), ..used(1) };
    one.touch(&[unknown]).await.expect("touched");
    assert_eq!(load(one, unknown.digest).await, Found::Nothing, "a touch makes no session");
    one.touch(&[]).await.expect("nothing to do");
}

async fn many_are_touched_at_once(one: &Shared) {
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(created(one, None).await);
    }
    let at = now().plus(MINUTE);
    let used = |digest| Use { digest, last_seen: at, expires: later() };
    let strangers = (0..1200).map(|_| used(SessionId::mint().digest()));
    let uses: Vec<_> = sessions[..5]
        .iter()
        .map(|session| used(session.digest))
        .chain(strangers)
        .chain(sessions[5..].iter().map(|session| used(session.digest)))
        .collect();
    one.touch(&uses).await.expect("touched");
    for session in sessions {
        assert_eq!(loaded(one, session.digest).await.last_seen, at);
    }
}

async fn sessions_of_a_user_are_found(one: &Shared, other: &Shared) {
    let user = somebody();
    let (first, second) = (created(one, Some(&user)).await, created(other, Some(&user)).await);
    for not_quite in [format!("{user} "), user.to_uppercase(), format!("{user}%"), format!("{user}*")] {
        if not_quite != user {
            created(one, Some(&not_quite)).await;
        }
    }
    created(one, None).await;
    let mut wanted = [first.clone(), second.clone()];
    wanted.sort_by_key(|session| session.digest);
    let mut found = one.of_user(&user).await.expect("found");
    found.sort_by_key(|session| session.digest);
    assert_eq!(found, wanted);

    let at = now().plus(MINUTE);
    let used = Use { digest: first.digest, last_seen: at, expires: later() };
    one.touch(&[used]).await.expect("touched");
    let renamed = somebody();
    let identity = Identity::new(&renamed, None, None, &[]).expect("valid");
    let changed = Stored { identity: Some(identity), ..second };
    assert_eq!(one.save(&changed, later()).await.expect("saved"), Saved::Done);
    let found = other.of_user(&user).await.expect("found");
    assert_eq!(found, [Stored { last_seen: at, ..first.clone() }], "as it was last touched");
    let found = other.of_user(&renamed).await.expect("found");
    assert_eq!(found, [Stored { revision: 2, ..changed }], "under the new name");

    one.end(first.digest, EndReason::Logout, None, now()).await.expect("ended");
    assert_eq!(other.of_user(&user).await.expect("found"), []);
}

async fn pages_are_in_order_and_complete(store: &Shared) {
    let mut kept = Vec::new();
    for _ in 0..25 {
        kept.push(created(store, None).await);
    }
    let gone = kept.pop().expect("one");
    store.end(gone.digest, EndReason::Logout, None, now()).await.expect("ended");

    let (mut after, mut seen): (_, Vec<Stored>) = (None, Vec::new());
    loop {
        let page = store.page(after, 10).await.expect("a page");
        assert!(page.len() <= 10, "at most as many as wanted");
        let Some(last) = page.last() else { break };
        assert!(after.is_none_or(|after| page[0].digest > after), "behind the last one");
        assert!(page.is_sorted_by_key(|session| session.digest), "in the order of their digests");
        after = Some(last.digest);
        seen.extend(page);
    }
    for session in &kept {
        assert_eq!(seen.iter().filter(|seen| *seen == session).count(), 1, "each once");
    }
    assert!(seen.iter().all(|session| session.digest != gone.digest), "only those that live");
    assert!(seen.is_sorted_by(|a, b| a.digest < b.digest), "from page to page");
    assert_eq!(store.page(None, 0).await.expect("a page"), []);
}
