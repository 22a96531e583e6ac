//! Noted: sessions by what a login method has noted in them.
//!
//! Comes in: a rule over notes, from a method that hears elsewhere that somebody has signed out, or other notes. Goes out: the
//! ends of the sessions it is true of, wherever they are kept, or a session with other notes. Nobody can say that of sealed ones. Never asked while a request waits
//! for an application: all sessions are walked.

use std::sync::Arc;

use super::{Keeper, Sessions};
use crate::clock::Timestamp;
use crate::session::data::Data;
use crate::session::id::Digest;
use crate::session::notes::{Note, with_notes};
use crate::session::record::{EndReason, Session};
use crate::session::store::StoreError;
use crate::session::stored::Stored;

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

    /// Notes something else in a session: what `change` makes of its data as they are, if it makes anything of them. It is
    /// called again when somebody else was faster; of many who do so at the same time, each sees what the one before noted.
    /// Says whether anything was noted.
    pub async fn note_anew(
        &self,
        session: &Arc<Session>,
        now: Timestamp,
        mut change: impl FnMut(&Data) -> Option<Vec<Note>> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let mut put = move |data: &Data| match change(data) {
            Some(notes) => (with_notes(data, &notes, now), true),
            None => (data.clone(), false),
        };
        if let Keeper::Shared { shared, .. } = &*self.keeper {
            let put = move |stored: &mut Stored| {
                let (data, noted) = put(&stored.data);
                stored.data = data;
                noted
            };
            return Ok(shared.change(session, put).await?.unwrap_or(false));
        }
        let before = session.data_size();
        let noted = session.change_data(put);
        self.keeper.memory().reweigh(session, before, session.data_size());
        Ok(noted)
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
