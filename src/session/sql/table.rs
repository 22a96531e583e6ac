//! Table: where the sessions are, and each operation on them.
//!
//! Comes in: sessions as plain values. Goes out: the same, or why there is none. Every operation may be done again when the
//! database took it back. Never puts a value into the text of a statement.

use std::time::Duration;

use super::database::{self, Database, Value};
use super::news;
use crate::clock::Timestamp;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::{Ended, Found, Saved, StoreError, Use};
use crate::session::stored::Stored;

/// For so long after its end the row of a session says why.
const REMEMBERED: Duration = Duration::from_secs(600);

const LOAD: &str =
    "SELECT digest, revision, session, last_seen, reason, follower FROM cloakroom_sessions WHERE digest = $1";
const CREATE: &str =
    "INSERT INTO cloakroom_sessions (digest, revision, session, user_name, last_seen, expires)
     VALUES ($1, 1, $2, $3, $4, $5)";
/// A use that was noted since the session was read stays noted. MySQL assigns from left to right.
const SAVE: &str = "UPDATE cloakroom_sessions SET revision = revision + 1, session = $1, user_name = $2,
     expires = CASE WHEN last_seen > $3 AND expires > $4 THEN expires ELSE $5 END,
     last_seen = CASE WHEN last_seen > $6 THEN last_seen ELSE $7 END
     WHERE digest = $8 AND revision = $9 AND session IS NOT NULL";
const END: &str =
    "UPDATE cloakroom_sessions SET session = NULL, user_name = NULL, reason = $1, follower = $2, expires = $3
     WHERE digest = $4 AND session IS NOT NULL";
const END_FIRST: &str =
    "INSERT INTO cloakroom_sessions (digest, revision, last_seen, expires, reason, follower)
     VALUES ($1, 0, $2, $3, $4, $5)";
const OF_USER: &str = "SELECT digest, revision, session, last_seen, reason, follower FROM cloakroom_sessions
     WHERE user_name = $1 ORDER BY digest";
const PAGE: &str = "SELECT digest, revision, session, last_seen, reason, follower FROM cloakroom_sessions
     WHERE session IS NOT NULL AND digest > $1 ORDER BY digest LIMIT $2";

/// Digest, revision, session, when it was last seen, why it ended, what follows.
type Row = (Vec<u8>, i64, Option<Vec<u8>>, i64, Option<String>, Option<Vec<u8>>);

/// The table of sessions, as one gateway sees it.
#[derive(Debug)]
pub(super) struct Table {
    pub database: Database,
    /// Tells those who use the table apart.
    pub sender: i64,
}

impl Table {
    async fn rows(&self, statement: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        let mut line = self.database.reader().await?;
        let rows = line.rows(self.database.dialect().say(statement), values).await?;
        line.settle();
        Ok(rows)
    }

    /// What is known of a session.
    pub async fn found(&self, digest: Digest) -> Result<Found, Trouble> {
        match self.rows(LOAD, &[Value::Bytes(digest.bytes())]).await?.into_iter().next() {
            None => Ok(Found::Nothing),
            Some(row) => read(row).map_err(Trouble::Unreadable),
        }
    }

    /// Living sessions of a user.
    pub async fn of_user(&self, user: &str) -> Result<Vec<Stored>, Trouble> {
        Ok(living(self.rows(OF_USER, &[Value::Text(Some(user))]).await?))
    }

    /// Living sessions behind this one.
    pub async fn page(&self, after: Option<Digest>, most: usize) -> Result<Vec<Stored>, Trouble> {
        // Before all digests comes the empty one.
        let after = after.as_ref().map_or(&[][..], |digest| digest.bytes());
        let most = Value::Number(i64::try_from(most).unwrap_or(i64::MAX));
        Ok(living(self.rows(PAGE, &[Value::Bytes(after), most]).await?))
    }

    /// Keeps a new session. False when it had ended.
    pub async fn created(&self, session: &Stored, expires: Timestamp) -> Result<bool, Trouble> {
        let bytes = session.to_bytes();
        let values = [
            Value::Bytes(session.digest.bytes()),
            Value::Bytes(&bytes),
            Value::Text(user(session)),
            number(session.last_seen),
            number(expires),
        ];
        let mut line = self.database.writer().await?;
        match line.run(self.database.dialect().say(CREATE), &values).await {
            Ok(_) => {
                line.settle();
                return Ok(true);
            }
            Err(error) if database::is_there_already(&error) => drop(line),
            Err(error) => return Err(error.into()),
        }
        // Whoever asks twice is told the same: it is kept.
        Ok(matches!(self.found(session.digest).await?, Found::Lives(_)))
    }

    /// Writes a session anew.
    pub async fn saved(&self, session: &Stored, expires: Timestamp) -> Result<Saved, Trouble> {
        let bytes = session.to_bytes();
        let (seen, expires) = (number(session.last_seen), number(expires));
        let values = [
            Value::Bytes(&bytes),
            Value::Text(user(session)),
            seen,
            expires,
            expires,
            seen,
            seen,
            Value::Bytes(session.digest.bytes()),
            Value::Number(i64::try_from(session.revision).unwrap_or(i64::MAX)),
        ];
        if self.change(SAVE, &values, session.digest, None).await? {
            return Ok(Saved::Done);
        }
        Ok(match self.found(session.digest).await? {
            Found::Lives(kept) => Saved::Conflict(kept),
            Found::Ended(..) | Found::Nothing => Saved::Gone,
        })
    }

    /// Changes one row and tells the others. False when there was no such row.
    async fn change(
        &self,
        statement: &'static str,
        values: &[Value<'_>],
        digest: Digest,
        reason: Option<EndReason>,
    ) -> Result<bool, Trouble> {
        let dialect = self.database.dialect();
        let mut line = self.database.writer().await?;
        line.script(dialect.begin()).await?;
        let changed = match line.run(dialect.say(statement), values).await {
            // The transaction is no longer good for anything, and neither is the connection.
            Err(error) if database::is_there_already(&error) => return Ok(false),
            done => done? > 0,
        };
        if changed {
            news::tell(&mut line, dialect, digest, reason, self.sender).await?;
        }
        line.script("COMMIT").await?;
        line.settle();
        Ok(changed)
    }

    /// Ends a session, or sees to it that it never begins.
    pub async fn ended(
        &self,
        digest: Digest,
        reason: EndReason,
        follower: Option<Digest>,
        now: Timestamp,
    ) -> Result<Ended, Trouble> {
        let key = Value::Bytes(digest.bytes());
        let why = Value::Text(Some(reason.as_str()));
        let next = Value::Follower(follower.as_ref().map(Digest::bytes));
        let (seen, until) = (number(now), number(now.plus(REMEMBERED)));
        loop {
            if self.change(END, &[why, next, until, key], digest, Some(reason)).await? {
                return Ok(Ended::Now);
            }
            match self.rows(LOAD, &[key]).await?.into_iter().next() {
                // Somebody was faster: the row has just come, or just gone.
                Some((_, _, Some(_), ..)) => {}
                Some((.., before, followed)) => {
                    let before = EndReason::named(before.as_deref().unwrap_or_default());
                    return Ok(Ended::Before(before, follower_of(followed)));
                }
                None => {
                    if self.change(END_FIRST, &[key, seen, until, why, next], digest, Some(reason)).await? {
                        return Ok(Ended::Never);
                    }
                }
            }
        }
    }

    /// Notes uses, each of another session.
    pub async fn touched(&self, uses: &[Use]) -> Result<(), Trouble> {
        let dialect = self.database.dialect();
        let values: Vec<_> = uses
            .iter()
            .flat_map(|used| {
                [Value::Bytes(used.digest.bytes()), number(used.last_seen), number(used.expires)]
            })
            .collect();
        let mut line = self.database.writer().await?;
        line.run_once(dialect.touch(uses.len()), &values).await?;
        line.settle();
        Ok(())
    }

    /// Runs a statement that removes rows; says how many.
    pub async fn removed(&self, statement: &'static str, values: &[Value<'_>]) -> Result<u64, Trouble> {
        let mut line = self.database.writer().await?;
        let removed = line.run(self.database.dialect().say(statement), values).await?;
        line.settle();
        Ok(removed)
    }
}

/// Those that can be read: one that cannot must not keep an operator from the others.
fn living(rows: Vec<Row>) -> Vec<Stored> {
    let living = |row| match read(row) {
        Ok(Found::Lives(session)) => Some(*session),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "left out a session");
            None
        }
    };
    rows.into_iter().filter_map(living).collect()
}

/// Why an operation came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    Database(sqlx::Error),
    Unreadable(StoreError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

pub(super) fn number(time: Timestamp) -> Value<'static> {
    Value::Number(i64::try_from(time.unix_millis()).unwrap_or(i64::MAX))
}

fn user(session: &Stored) -> Option<&str> {
    session.identity.as_ref().map(|identity| identity.user())
}

/// A session from its row.
fn read((digest, revision, session, last_seen, why, follower): Row) -> Result<Found, StoreError> {
    let Some(bytes) = session else {
        return Ok(Found::Ended(EndReason::named(why.as_deref().unwrap_or_default()), follower_of(follower)));
    };
    let broken = |what: &dyn std::fmt::Display| {
        let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        StoreError::Broken(format!("the row {key} in cloakroom_sessions: {what}"))
    };
    let revision = u64::try_from(revision).map_err(|error| broken(&error))?;
    let last_seen = u64::try_from(last_seen).map_err(|error| broken(&error))?;
    let stored = Stored::from_bytes(&bytes, revision).map_err(|error| broken(&error))?;
    if stored.digest.bytes().as_slice() != digest {
        return Err(broken(&"the session in it belongs to another row"));
    }
    Ok(Found::Lives(Box::new(Stored { last_seen: Timestamp::from_unix_millis(last_seen), ..stored })))
}

fn follower_of(bytes: Option<Vec<u8>>) -> Option<Digest> {
    bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes)
}
