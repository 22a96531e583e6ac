//! Chores: what is done for a shared store while nobody waits for it.
//!
//! Comes in: uses and ends that the store has not heard of, and its news. Goes out: the same, told and obeyed. Never asks
//! more of a store that is away than one question at a time.

use std::sync::Arc;
use std::time::Duration;

use super::front::{Front, lock};
use crate::session::store::Use;

/// How often the store is told what it has not heard of.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked to remove what has expired: once in so many rounds.
const SWEEP_AFTER: u32 = 60;
/// Uses told at once.
const BATCH: usize = 500;

/// Hears what other gateways do, for as long as the runtime lives.
pub(super) async fn listen(front: Arc<Front>) {
    let hearer = front.clone();
    front.store.listen(Box::new(move |news| hearer.hear(news))).await;
}

/// Tells the store what it has not heard of, and has it remove what has expired.
pub(super) async fn keep_up(front: Arc<Front>) {
    loop {
        for _ in 0..SWEEP_AFTER {
            tokio::time::sleep(TELL_EVERY).await;
            tell(&front).await;
        }
        let swept = front.ask(front.store.sweep(front.clock.now())).await;
        if let Ok(count @ 1..) = swept {
            tracing::debug!(count, "expired sessions were removed from the store");
        }
    }
}

/// Tells the store of ends and uses. What it cannot be told now is told later.
pub(super) async fn tell(front: &Front) {
    let ends: Vec<_> = lock(&front.ends).drain().collect();
    for (digest, reason) in ends {
        let ended = front.ask(front.store.end(digest, reason, None, front.clock.now())).await;
        if ended.is_err() {
            lock(&front.ends).insert(digest, reason);
        }
    }
    let uses: Vec<Use> = lock(&front.uses).drain().map(|(_, usage)| usage).collect();
    for batch in uses.chunks(BATCH) {
        if front.ask(front.store.touch(batch)).await.is_err() {
            let mut kept = lock(&front.uses);
            for usage in batch {
                kept.entry(usage.digest).or_insert(*usage);
            }
        }
    }
}
