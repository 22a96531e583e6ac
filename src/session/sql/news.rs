//! News: what gateways tell each other through their database.
//!
//! Comes in: an end or a change, as the last part of the transaction that makes it. Goes out: the same, at all others.
//! Where the database has no way to call, a table is looked at twice a second. Never tells anybody what they did.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::SqlSafeStr as _;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, sleep, timeout};

use super::database::{Database, Line, Value};
use super::dialect::Dialect;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::{Listener, News};

/// How often the table is looked at, and how long to wait before another try.
const EVERY: Duration = Duration::from_millis(500);

/// A line on which nothing was heard for so long is tried.
const QUIET: Duration = Duration::from_secs(5);

/// A number that is missing in the table may still come for so long: who took it has not finished.
const LATE: Duration = Duration::from_secs(4);

/// How far back to look for such numbers at the start.
const BACK: i64 = 256;

const CHANNEL: &str = "cloakroom_news";

const TELL: &str = "INSERT INTO cloakroom_news (digest, reason, sender) VALUES ($1, $2, $3)";
const CALL: &str = "SELECT pg_notify('cloakroom_news', $1)";
const SINCE: &str = "SELECT id, digest, reason, sender FROM cloakroom_news WHERE id >= $1 ORDER BY id";
const LAST: &str = "SELECT COALESCE(MAX(id), 0) FROM cloakroom_news";

/// A piece of news in the table: its number, and the rest as it was told.
type Row = (i64, Vec<u8>, Option<String>, i64);

/// Tells others, within the transaction that is open.
pub(super) async fn tell(
    line: &mut Line,
    dialect: Dialect,
    digest: Digest,
    reason: Option<EndReason>,
    sender: i64,
) -> Result<(), sqlx::Error> {
    let reason = reason.map(EndReason::as_str);
    if dialect == Dialect::Postgres {
        let text = letter(digest, reason, sender);
        line.rows::<()>(dialect.say(CALL), &[Value::Text(Some(&text))]).await?;
    } else {
        let values = [Value::Bytes(digest.bytes()), Value::Text(reason), Value::Number(sender)];
        line.run(dialect.say(TELL), &values).await?;
    }
    Ok(())
}

/// Hears what others say, until it is no longer polled. Each time it has begun, something may have been missed before.
pub(super) async fn hear(database: &Database, sender: i64, patience: Duration, listener: &Listener) {
    loop {
        let ended = match database.to_listen() {
            Some(_) => wait_for_calls(database, sender, patience, listener).await,
            None => look(database, sender, patience, listener).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "no news from the session store");
        }
        sleep(EVERY).await;
    }
}

/// Looks at the table, until something fails.
async fn look(
    database: &Database,
    sender: i64,
    patience: Duration,
    listener: &Listener,
) -> Result<(), sqlx::Error> {
    let late = || sqlx::Error::PoolTimedOut;
    let last = timeout(patience, read::<(i64,)>(database, LAST, &[])).await.map_err(|_| late())??;
    let start = last.first().map_or(0, |(last,)| last.saturating_sub(BACK).max(0));
    let mut place = Place::new(start);
    loop {
        let values = [Value::Number(place.horizon)];
        let rows = timeout(patience, read::<Row>(database, SINCE, &values)).await.map_err(|_| late())??;
        let Some(rows) = place.take(rows, Instant::now()) else { return Ok(()) };
        if place.is_new {
            place.is_new = false;
            listener(News::Missed);
        } else {
            rows.iter().filter(|row| row.3 != sender).filter_map(news).for_each(listener);
        }
        sleep(EVERY).await;
    }
}

async fn read<T: super::database::Columns>(
    database: &Database,
    statement: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    let mut line = database.reader().await?;
    let rows = line.rows(database.dialect().say(statement), values).await?;
    line.settle();
    Ok(rows)
}

/// How far the table has been read. Numbers may be missing in it: some are never used, and some come late, because they
/// are given at the beginning of a transaction and seen at its end.
#[derive(Debug)]
struct Place {
    /// Everything up to here has been read, or is not waited for any longer.
    horizon: i64,
    /// What has been read beyond.
    seen: BTreeSet<i64>,
    /// Since when the number behind the horizon is missing.
    missing: Option<Instant>,
    /// Whether nothing has been read yet.
    is_new: bool,
}

impl Place {
    fn new(horizon: i64) -> Self {
        Self { horizon, seen: BTreeSet::new(), missing: None, is_new: true }
    }

    /// Takes what the table holds from the horizon on; says what of it is new. Nothing when the row at the horizon is
    /// gone, which stays for minutes: then others may be gone that nobody has read.
    fn take(&mut self, mut rows: Vec<Row>, now: Instant) -> Option<Vec<Row>> {
        let first = rows.first().map_or(0, |row| row.0);
        if !self.is_new && first != self.horizon && self.horizon != 0 {
            return None;
        }
        rows.retain(|row| row.0 > self.horizon && self.seen.insert(row.0));
        if self.is_new {
            // Older ones are gone, or were never there.
            self.horizon = self.seen.pop_first().unwrap_or(self.horizon.max(first));
        }
        self.advance();
        if self.seen.is_empty() {
            self.missing = None;
        } else if now.duration_since(*self.missing.get_or_insert(now)) > LATE {
            self.horizon = self.seen.pop_first().unwrap_or(self.horizon);
            self.missing = None;
            self.advance();
        }
        Some(rows)
    }

    fn advance(&mut self) {
        while self.seen.remove(&(self.horizon + 1)) {
            self.horizon += 1;
            self.missing = None;
        }
    }
}

fn news(row: &Row) -> Option<News> {
    let digest = Digest::from_bytes(row.1.as_slice().try_into().ok()?);
    Some(match &row.2 {
        None => News::Changed(digest),
        Some(reason) => News::Ended(digest, EndReason::named(reason)),
    })
}

/// Waits to be called by PostgreSQL, until the line is cut.
async fn wait_for_calls(
    database: &Database,
    sender: i64,
    patience: Duration,
    listener: &Listener,
) -> Result<(), sqlx::Error> {
    let Some(options) = database.to_listen() else { return Ok(()) };
    // A pool of its own: the others are for those who come and go.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(patience).max_lifetime(None);
    let pool = pool.idle_timeout(None).connect_lazy_with(options);
    let mut line = PgListener::connect_with(&pool).await?;
    line.eager_reconnect(false);
    line.listen(CHANNEL).await?;
    listener(News::Missed);
    loop {
        match timeout(QUIET, line.try_recv()).await {
            Ok(Ok(Some(call))) => {
                if let Some(news) = read_letter(call.payload(), sender) {
                    listener(news);
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let alive = sqlx::raw_sql("SELECT 1".into_sql_str()).execute(&mut line);
                timeout(patience, alive).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}

/// What is called out: sender, digest, and why it ended.
fn letter(digest: Digest, reason: Option<&str>, sender: i64) -> String {
    format!("{sender:x} {} {}", digest.to_hex(), reason.unwrap_or("-"))
}

/// What it means; nothing when we said it ourselves, or nobody of ours did.
fn read_letter(text: &str, own: i64) -> Option<News> {
    let mut parts = text.split(' ');
    let (sender, digest, reason) = (parts.next()?, parts.next()?, parts.next()?);
    if sender == format!("{own:x}") {
        return None;
    }
    let digest = Digest::from_hex(digest)?;
    Some(match reason {
        "-" => News::Changed(digest),
        reason => News::Ended(digest, EndReason::named(reason)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    fn row(id: i64) -> Row {
        (id, vec![0; 16], None, 1)
    }

    fn taken(place: &mut Place, ids: &[i64], now: Instant) -> Option<Vec<i64>> {
        let rows = place.take(ids.iter().map(|id| row(*id)).collect(), now);
        rows.map(|rows| rows.iter().map(|row| row.0).collect())
    }

    #[test]
    fn each_piece_is_read_once() {
        let (mut place, now) = (Place::new(0), Instant::now());
        taken(&mut place, &[3, 4], now).expect("the start");
        place.is_new = false;
        assert_eq!(place.horizon, 4);
        assert_eq!(taken(&mut place, &[4], now), Some(vec![]));
        assert_eq!(taken(&mut place, &[4, 5, 6], now), Some(vec![5, 6]));
        assert_eq!(taken(&mut place, &[6], now), Some(vec![]));
    }

    #[test]
    fn what_comes_late_is_not_missed_and_what_never_comes_is_not_waited_for() {
        let (mut place, now) = (Place::new(0), Instant::now());
        taken(&mut place, &[1], now).expect("the start");
        place.is_new = false;
        assert_eq!(taken(&mut place, &[1, 3, 4], now), Some(vec![3, 4]));
        assert_eq!(place.horizon, 1, "2 may still come");
        assert_eq!(taken(&mut place, &[1, 2, 3, 4, 6], now), Some(vec![2, 6]));
        assert_eq!(place.horizon, 4);
        let later = now + LATE + EVERY;
        assert_eq!(taken(&mut place, &[4, 6, 8], later), Some(vec![8]));
        assert_eq!(place.horizon, 6, "5 has had its time, 7 has not");
        assert_eq!(taken(&mut place, &[6, 7, 8], later), Some(vec![7]));
        assert_eq!((place.horizon, place.missing), (8, None));
    }

    #[test]
    fn a_table_that_was_emptied_is_noticed() {
        let (mut place, now) = (Place::new(0), Instant::now());
        assert_eq!(taken(&mut place, &[], now), Some(vec![]));
        place.is_new = false;
        assert_eq!(taken(&mut place, &[1, 2], now), Some(vec![1, 2]), "it had never been used");
        assert_eq!(taken(&mut place, &[], now), None);
        assert_eq!(taken(&mut place, &[9], now), None);
    }

    #[test]
    fn letters_are_read_by_all_but_the_sender() {
        let digest = SessionId::mint().digest();
        let text = letter(digest, Some("theft"), -7);
        assert_eq!(read_letter(&text, -7), None);
        assert_eq!(read_letter(&text, 7), Some(News::Ended(digest, EndReason::Theft)));
        assert_eq!(read_letter(&letter(digest, None, 1), 2), Some(News::Changed(digest)));
        for strange in ["", "1", "1 2", "1 x -", "hello there - "] {
            assert_eq!(read_letter(strange, 5), None, "{strange}");
        }
    }
}
