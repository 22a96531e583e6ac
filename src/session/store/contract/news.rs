//! News: what one gateway does, all others hear.
//!
//! Comes in: two instances of one store. Goes out: nothing, or a panic that says which promise was broken.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::{PATIENCE, Shared, created, later, now};
use crate::session::id::SessionId;
use crate::session::record::EndReason;
use crate::session::store::{News, Saved};

/// News spread within a second; a busy machine is given one more.
const SOON: Duration = Duration::from_secs(2);

/// One who listens.
struct Ear {
    heard: UnboundedReceiver<News>,
    line: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Ear {
    /// One that hears: whoever has begun to listen just now may have missed something, and says so.
    fn of(store: &Shared) -> Self {
        let (send, heard) = unbounded_channel();
        let store = Arc::clone(store);
        let line = async move {
            store
                .listen(Box::new(move |news| {
                    let _ = send.send(news);
                }))
                .await;
        };
        Self { heard, line: Box::pin(line) }
    }

    async fn next(&mut self) -> News {
        poll_fn(|context| {
            assert!(self.line.as_mut().poll(context).is_pending(), "it listens for as long as it is polled");
            self.heard.poll_recv(context).map(|news| news.expect("the line holds its other end"))
        })
        .await
    }

    /// Waits for one piece of news; says what was heard before it.
    async fn hears(&mut self, wanted: News) -> Vec<News> {
        let mut before = Vec::new();
        let heard = async {
            loop {
                match self.next().await {
                    news if news == wanted => break,
                    news => before.push(news),
                }
            }
        };
        let heard = timeout(SOON, heard).await;
        assert!(heard.is_ok(), "no {wanted:?} came within {SOON:?}, only {before:?}");
        before
    }

    /// Polls until it says that it may have missed something: from then on it must not miss anything.
    async fn is_up(&mut self) {
        let up = async { while self.next().await != News::Missed {} };
        timeout(PATIENCE, up)
            .await
            .expect("whoever begins to listen says once that something may have been missed");
    }
}

pub async fn others_hear_the_news(one: &Shared, other: &Shared) {
    let (mut here, mut there) = (Ear::of(one), Ear::of(other));
    here.is_up().await;
    there.is_up().await;

    let (mine, theirs) = (created(one, None).await, created(other, None).await);
    assert_eq!(one.save(&mine, later()).await.expect("saved"), Saved::Done);
    there.hears(News::Changed(mine.digest)).await;
    assert_eq!(other.save(&theirs, later()).await.expect("saved"), Saved::Done);
    let before = here.hears(News::Changed(theirs.digest)).await;
    assert!(!before.contains(&News::Changed(mine.digest)), "nobody is told what they did");

    let moved = Some(SessionId::mint().digest());
    one.end(mine.digest, EndReason::Replaced, moved, now()).await.expect("ended");
    there.hears(News::Ended(mine.digest, EndReason::Replaced)).await;
    other.end(theirs.digest, EndReason::Logout, None, now()).await.expect("ended");
    let before = here.hears(News::Ended(theirs.digest, EndReason::Logout)).await;
    assert!(!before.contains(&News::Ended(mine.digest, EndReason::Replaced)), "nor when it was an end");

    // A hundred at once, none of which may be lost.
    let mut ended = Vec::new();
    for _ in 0..100 {
        ended.push(created(one, None).await.digest);
    }
    for digest in &ended {
        other.end(*digest, EndReason::Revoked, None, now()).await.expect("ended");
    }
    let mut missing = ended;
    let all = poll_fn(|context| {
        assert!(here.line.as_mut().poll(context).is_pending(), "it listens");
        while let Poll::Ready(Some(news)) = here.heard.poll_recv(context) {
            missing.retain(|digest| news != News::Ended(*digest, EndReason::Revoked));
        }
        if missing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    let all = timeout(SOON, all).await;
    assert!(all.is_ok(), "{} of 100 ends were not told", missing.len());
}
