//! Noted: sessions by what a login method has noted in them.
//!
//! Comes in: a rule over notes, from a method that hears elsewhere that somebody has signed out. Goes out: the ends of the
//! sessions it is true of, wherever they are kept. Nobody can say that of sealed ones. Never asked while a request waits
//! for an application: all sessions are walked.

use super::{Keeper, Sessions};
use crate::session::data::Data;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::StoreError;

/// So many at a time are asked for.
const BATCH: usize = 500;

impl Sessions {
    /// Ends the sessions whose data `which` is true of; says how many there were.
    pub async fn end_noted(
        &self,
        reason: EndReason,
        which: impl Fn(&Data) -> bool,
    ) -> Result<u64, StoreError> {
        let mut ended = 0;
        for digest in self.noted(which).await? {
            ended += u64::from(self.end_digest(digest, reason).await?);
        }
        Ok(ended)
    }

    async fn noted(&self, which: impl Fn(&Data) -> bool) -> Result<Vec<Digest>, StoreError> {
        if !matches!(&*self.keeper, Keeper::Shared { .. }) {
            let all = self.keeper.memory().iter();
            let found = all.filter(|session| session.identity().is_some() && which(&session.data()));
            return Ok(found.map(|session| *session.digest()).collect());
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(after, BATCH).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.digest);
            let those = page.iter().filter(|stored| stored.identity.is_some() && which(&stored.data));
            found.extend(those.map(|stored| stored.digest));
        }
    }
}
