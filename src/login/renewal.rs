//! Renewal: a session that began at a provider goes on for as long as it does there.
//!
//! Comes in: a visitor, before it is decided whether they may pass. Goes out: the same visitor, or one who is signed out, because
//! the provider says so. It is asked when what it gave has run out, by one request at a time, wherever the session is kept; the
//! others go on meanwhile. One that does not answer is given an hour.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::Login;
use crate::login::oidc::failure::Failure;
use crate::login::oidc::noted::{Grant, Keeps, Noted};
use crate::login::oidc::tokens::Tokens;
use crate::session::data::Data;
use crate::session::record::{EndReason, Session};
use crate::session::store::StoreError;
use crate::session::{Sessions, Visitor};

/// While one request asks, and after it asked in vain, the others leave it alone for so long.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a session goes on while the provider does not answer.
const PATIENCE: Duration = Duration::from_secs(3600);

impl Login {
    /// Whether a provider is to be asked before this visitor passes. Costs nothing where none is ever asked.
    #[inline]
    pub fn is_due(&self, visitor: &Visitor, now: Timestamp) -> bool {
        self.oidc.renews() && visitor.session().is_some_and(|session| Noted::is_due(&session.data(), now))
    }

    /// The visitor after their provider was asked, if nobody else asks it already.
    pub async fn renewed(&self, visitor: Visitor, sessions: &Sessions, now: Timestamp) -> Visitor {
        let Some(session) = visitor.session_held().cloned() else { return visitor };
        let Some(noted) = Noted::read(&session.data(), now) else { return visitor };
        let claim = move |data: &Data| {
            let mut noted = Noted::read(data, now).filter(|_| Noted::is_due(data, now))?;
            noted.grant = noted.grant.map(|grant| grant.resting(now.plus(PAUSE)));
            Some(noted.notes())
        };
        let is_mine = sessions.note_anew(&session, now, claim).await.unwrap_or_else(|error| {
            tracing::warn!("{error}: the provider is not asked now");
            false
        });
        if is_mine && let (Some(provider), Some(grant)) = (self.oidc.provider(&noted.provider), &noted.grant)
        {
            let answer = match grant.token(sessions.keys()) {
                Some(token) => provider.renew(&token, noted.sub.as_deref(), now).await,
                None => Err(Failure::Lost),
            };
            let answer = answer.map(|tokens| (tokens, self.oidc.keeps(provider)));
            let followed = follow(answer, grant, sessions, &session, now).await;
            followed.unwrap_or_else(|error| tracing::error!("{error}"));
        }
        match session.ended() {
            Some(reason) => visitor.signed_out(reason),
            None => visitor,
        }
    }
}

/// Does what the provider said: the session goes on with other tokens, or for the time being, or is over.
async fn follow(
    answer: Result<(Tokens, Keeps), Failure>,
    before: &Grant,
    sessions: &Sessions,
    session: &Arc<Session>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let short = format!("{:08x}", session.short());
    let since = before.failing.unwrap_or(now);
    match answer {
        Ok((tokens, keeps)) => {
            let keys = sessions.keys().clone();
            let change = move |noted: Noted| noted.with(&tokens, keeps, &keys, now);
            note_anew(sessions, session, now, change).await
        }
        Err(failure) if !failure.is_fatal() && now.since(since) < PATIENCE => {
            tracing::warn!(session = short, "a session goes on for the time being: {failure}");
            let grant = before.clone().resting(now.plus(PAUSE)).failing_since(since);
            let change = move |mut noted: Noted| {
                noted.grant = Some(grant.clone());
                noted
            };
            note_anew(sessions, session, now, change).await
        }
        Err(failure) => {
            tracing::info!(session = short, "a session does not go on at its provider: {failure}");
            sessions.end(session, EndReason::Revoked).await.map(drop)
        }
    }
}

/// Notes what is made of that which is noted at that moment.
async fn note_anew(
    sessions: &Sessions,
    session: &Arc<Session>,
    now: Timestamp,
    mut change: impl FnMut(Noted) -> Noted + Send + 'static,
) -> Result<(), StoreError> {
    let put = move |data: &Data| Some(change(Noted::read(data, now)?).notes());
    sessions.note_anew(session, now, put).await.map(drop)
}
