//! Ends: a session that ended stays so, whatever comes late; what has expired is forgotten, and nothing else.
//!
//! Comes in: two instances of one store. Goes out: nothing, or a panic that says which promise was broken.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{MINUTE, PATIENCE, Shared, created, later, load, loaded, now, session, somebody};
use crate::clock::Timestamp;
use crate::session::id::{Digest, SessionId};
use crate::session::record::EndReason;
use crate::session::store::{Ended, Found, Saved, StoreError, Use};
use crate::session::stored::Stored;

const TEN_MINUTES: Duration = Duration::from_secs(600);

pub async fn an_end_is_for_good(one: &Shared, other: &Shared) {
    let user = somebody();
    for (reason, follower) in
        [(EndReason::Logout, None), (EndReason::Replaced, Some(SessionId::mint().digest()))]
    {
        let session = created(one, Some(&user)).await;
        let digest = session.digest;
        assert_eq!(other.end(digest, reason, follower, now()).await.expect("ended"), Ended::Now);
        for store in [one, other] {
            assert_eq!(load(store, digest).await, Found::Ended(reason, follower));
        }
        let again = one.end(digest, EndReason::Revoked, None, now()).await.expect("ended");
        assert_eq!(again, Ended::Before(reason, follower), "the first reason stays");

        assert_eq!(one.save(&session, later()).await.expect("saved"), Saved::Gone);
        assert!(!one.create(&session, later()).await.expect("created"));
        let late = Use { digest, last_seen: now().plus(MINUTE), expires: later() };
        one.touch(&[late]).await.expect("touched");
        assert_eq!(load(one, digest).await, Found::Ended(reason, follower), "whatever comes late");
        assert_eq!(one.of_user(&user).await.expect("found"), []);
    }
}

pub async fn an_end_may_come_first(one: &Shared, other: &Shared) {
    let session = session(Some("alice"));
    let early = one.end(session.digest, EndReason::Revoked, None, now()).await.expect("ended");
    assert_eq!(early, Ended::Never);
    assert!(!other.create(&session, later()).await.expect("created"), "it had ended before it began");
    assert_eq!(load(other, session.digest).await, Found::Ended(EndReason::Revoked, None));
    let again = other.end(session.digest, EndReason::Logout, None, now()).await.expect("ended");
    assert_eq!(again, Ended::Before(EndReason::Revoked, None));
}

pub async fn one_of_many_ends_is_the_first(one: &Shared, other: &Shared) {
    let known = created(one, None).await.digest;
    for (digest, first) in [(known, Ended::Now), (SessionId::mint().digest(), Ended::Never)] {
        let mut tasks = JoinSet::new();
        for reason in [EndReason::Logout, EndReason::Idle, EndReason::Theft, EndReason::Limit] {
            for store in [one, other].map(Arc::clone) {
                tasks.spawn(async move { store.end(digest, reason, None, now()).await.expect("ended") });
            }
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| **answer == first).count(), 1, "{answers:?}");
        let Found::Ended(reason, None) = load(one, digest).await else { panic!("it has ended") };
        let told = answers.iter().filter(|answer| **answer == Ended::Before(reason, None)).count();
        assert_eq!(told, answers.len() - 1, "all others are told the first reason: {answers:?}");
    }
}

pub async fn only_what_has_expired_is_forgotten(one: &Shared, other: &Shared) {
    let second = Duration::from_secs(1);
    let brief = |user| (session(user), now().plus(2 * second));
    let (idle, soon) = brief(Some("alice"));
    assert!(one.create(&idle, soon).await.expect("created"));
    let (extended, soon) = brief(None);
    assert!(one.create(&extended, soon).await.expect("created"));
    one.touch(&[Use { digest: extended.digest, last_seen: now().plus(second), expires: later() }])
        .await
        .expect("touched");
    let (saved, soon) = brief(None);
    assert!(one.create(&saved, soon).await.expect("created"));
    assert_eq!(one.save(&saved, later()).await.expect("saved"), Saved::Done);
    let lasting = created(one, None).await;

    // Two that ended: eight minutes ago, and nearly ten.
    let (fresh, old) = (created(one, None).await.digest, created(one, None).await.digest);
    let before = |ago: Duration| Timestamp::from_unix_millis(now().unix_millis() - ago.as_millis() as u64);
    one.end(fresh, EndReason::Logout, None, before(8 * MINUTE)).await.expect("ended");
    one.end(old, EndReason::Idle, None, before(TEN_MINUTES - 2 * second)).await.expect("ended");
    assert_eq!(load(other, old).await, Found::Ended(EndReason::Idle, None), "told for ten minutes");

    let gone = async {
        loop {
            other.sweep(now()).await.expect("swept");
            if load(one, idle.digest).await == Found::Nothing && load(one, old).await == Found::Nothing {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("what has expired is removed");
    for digest in [extended.digest, saved.digest, lasting.digest] {
        loaded(other, digest).await;
    }
    assert_eq!(load(other, fresh).await, Found::Ended(EndReason::Logout, None));
    let swept_again = other.sweep(now()).await.expect("swept");
    assert!(swept_again < 1000, "what is swept is gone");
}

pub async fn an_unreadable_record_is_said_to_be_broken(store: &Shared, spoil: impl AsyncFn(Digest)) {
    let user = somebody();
    let (whole, broken) = (created(store, Some(&user)).await, created(store, Some(&user)).await);
    spoil(broken.digest).await;
    let answer = store.load(broken.digest).await;
    assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
    let stale = Stored { revision: 77, ..broken.clone() };
    let answer = store.save(&stale, later()).await;
    assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
    // One that nobody can use must not keep an operator from those that somebody can.
    assert_eq!(store.of_user(&user).await.expect("found"), [whole]);
    let next_to_it = Digest::from_bytes((u128::from_be_bytes(*broken.digest.bytes()) - 1).to_be_bytes());
    store.page(Some(next_to_it), 2).await.expect("a page");
    let ended = store.end(broken.digest, EndReason::Revoked, None, now()).await.expect("ended");
    assert_eq!(ended, Ended::Now, "and it can be ended");
    assert_eq!(load(store, broken.digest).await, Found::Ended(EndReason::Revoked, None));
}
