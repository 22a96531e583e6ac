//! Walk: sessions in the order of their digests, from a server that keeps them in none.
//!
//! Comes in: where to go on, and how many are wanted. Goes out: so many. Goes through all keys for each page, and remembers
//! only as many as are wanted: the cost is time, in proportion to all keys of the database, and never memory. Never holds
//! the server up: each step is a small one.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::timeout;

use super::connection::Question;
use super::{RedisStore, only, shaped};
use crate::session::id::Digest;
use crate::session::store::{Found, StoreError};
use crate::session::stored::Stored;

/// So many keys are looked at in one step.
const STEP: usize = 1000;

/// So many sessions are read in one step.
const READ: usize = 200;

/// So many times the longest that one step may take is the longest for a page.
const STEPS: u32 = 20;

/// Living sessions behind `after`, at most `most`.
pub(super) async fn page(
    store: &RedisStore,
    after: Option<Digest>,
    most: usize,
) -> Result<Vec<Stored>, StoreError> {
    let longest: Duration = STEPS * store.link.servers().timeout();
    timeout(longest, gather(store, after, most)).await.unwrap_or(Err(StoreError::TimedOut))
}

async fn gather(
    store: &RedisStore,
    mut after: Option<Digest>,
    most: usize,
) -> Result<Vec<Stored>, StoreError> {
    loop {
        let digests = digests(store, after, most).await?;
        let Some(last) = digests.last() else { return Ok(Vec::new()) };
        let mut living = Vec::new();
        for digests in digests.chunks(READ) {
            for found in store.link.in_time(store.load_all(digests)).await? {
                match found {
                    Ok(Found::Lives(session)) => living.push(*session),
                    Ok(Found::Ended(..) | Found::Nothing) => {}
                    Err(StoreError::Broken(error)) => tracing::warn!(%error, "left out a session"),
                    Err(error) => return Err(error),
                }
            }
        }
        // An empty page is the end; one whose sessions have all ended meanwhile is not.
        if !living.is_empty() {
            return Ok(living);
        }
        after = Some(*last);
    }
}

/// The lowest digests behind `after`.
async fn digests(store: &RedisStore, after: Option<Digest>, most: usize) -> Result<Vec<Digest>, StoreError> {
    let mut lowest = Lowest { after, most, found: BTreeSet::new() };
    if most == 0 {
        return Ok(Vec::new());
    }
    let pattern = store.keyspace.sessions();
    for slot in store.link.in_time(store.link.ask(Question::Primaries)).await? {
        let slot = only(vec![slot]).and_then(|slot| shaped(slot, "a hash slot"))?;
        let (mut cursor, mut serial) = (0_u64, None);
        loop {
            let mut command = cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let step = store.link.in_time(store.link.ask(Question::Ask(&command, Some(slot)))).await?;
            // A cursor means nothing to a server that was started anew: it would leave sessions out without a word.
            if *serial.get_or_insert(store.link.serial()) != store.link.serial() {
                return Err(StoreError::Away(
                    "it was started anew while its sessions were listed".to_owned(),
                ));
            }
            let keys: Vec<Value>;
            (cursor, keys) = shaped(only(step)?, "a list of keys")?;
            for key in keys {
                let key: Vec<u8> = shaped(key, "a key")?;
                lowest.found.extend(store.keyspace.digest(&key).filter(|digest| lowest.wants(digest)));
                lowest.cut();
            }
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(lowest.found.into_iter().collect())
}

/// As many as are wanted, of all that come in any order, and some of them twice.
struct Lowest {
    after: Option<Digest>,
    most: usize,
    found: BTreeSet<Digest>,
}

impl Lowest {
    fn wants(&self, digest: &Digest) -> bool {
        self.after.is_none_or(|after| *digest > after)
            && (self.found.len() < self.most || self.found.last().is_none_or(|last| digest < last))
    }

    fn cut(&mut self) {
        if self.found.len() > self.most {
            self.found.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_are_kept_whatever_comes_and_however_often() {
        let digest = |number: u8| Digest::from_bytes([number; 16]);
        let mut lowest = Lowest { after: Some(digest(3)), most: 3, found: BTreeSet::new() };
        for number in [9, 3, 7, 9, 200, 1, 5, 7, 4, 4] {
            lowest.found.extend(Some(digest(number)).filter(|digest| lowest.wants(digest)));
            lowest.cut();
        }
        assert_eq!(lowest.found.into_iter().collect::<Vec<_>>(), [digest(4), digest(5), digest(7)]);
    }
}
