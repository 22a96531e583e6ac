//! Tables: made where they are missing, and looked at before anything is kept in them.
//!
//! Comes in: a database. Goes out: nothing, when its tables are those that this program knows, or why they are not. Any
//! number of gateways may do this at once. Never touches tables of a version that is newer than its own.

use std::time::Duration;

use sqlx::SqlSafeStr as _;

use super::database::{self, Database, Line};
use super::dialect::Dialect;
use crate::session::store::StoreError;

/// Makes sure of the tables; only looks when it is not to `migrate`.
pub(super) async fn prepare(database: &Database, migrate: bool) -> Result<(), StoreError> {
    if let Some(path) = database.file() {
        if migrate {
            let why = |error| StoreError::Away(format!("{}: {error}", path.display()));
            database::make(path).map_err(why)?;
        }
        write_ahead(database).await?;
    }
    let away = |error| database::meaning(&error);
    let dialect = database.dialect();
    let mut line = database.writer().await.map_err(away)?;
    let version = version(&mut line, dialect).await.map_err(away)?;
    if is_known(version, dialect, migrate)? {
        line.settle();
        return Ok(());
    }
    // This connection is closed in the end, and what it holds with it.
    if dialect != Dialect::Mysql {
        line.script(dialect.begin()).await.map_err(away)?;
    }
    if let Some(lock) = dialect.lock() {
        line.script(lock).await.map_err(away)?;
    }
    let version = self::version(&mut line, dialect).await.map_err(away)?;
    if !is_known(version, dialect, migrate)? {
        for script in dialect.schema_from(usize::try_from(version).unwrap_or_default()) {
            line.script(script).await.map_err(away)?;
        }
        tracing::info!(
            database = dialect.as_str(),
            version = Dialect::VERSION,
            "made the tables for sessions"
        );
    }
    if dialect != Dialect::Mysql {
        line.script("COMMIT").await.map_err(away)?;
    }
    Ok(())
}

/// The version of the tables; zero where there are none.
async fn version(line: &mut Line, dialect: Dialect) -> Result<i64, sqlx::Error> {
    let found: Vec<(i64,)> = line.rows(dialect.is_there().into_sql_str(), &[]).await?;
    if found.first().is_none_or(|(count,)| *count == 0) {
        return Ok(0);
    }
    let text = "SELECT COALESCE(MAX(version), 0) FROM cloakroom_schema";
    let found: Vec<(i64,)> = line.rows(text.into_sql_str(), &[]).await?;
    Ok(found.first().map_or(0, |(version,)| *version))
}

/// Whether tables of this version can be used as they are; an error where nobody may change that.
fn is_known(version: i64, dialect: Dialect, migrate: bool) -> Result<bool, StoreError> {
    let known = Dialect::VERSION;
    if version > known {
        return Err(StoreError::Broken(format!(
            "its tables are of version {version}, and this program knows {known}: a newer one has used it"
        )));
    }
    if version < known && !migrate {
        return Err(StoreError::Broken(format!(
            "its tables are of version {version}, and {known} is needed: `cloakroom schema --sql {}` prints what to run, \
             or `migrate: true` lets the gateway do it",
            dialect.as_str()
        )));
    }
    Ok(version == known)
}

/// A file is to be read while it is written. To change that needs it alone, which SQLite itself does not wait for.
async fn write_ahead(database: &Database) -> Result<(), StoreError> {
    const AGAIN: Duration = Duration::from_millis(20);
    loop {
        let mut line = database.writer().await.map_err(|error| database::meaning(&error))?;
        match line.rows::<(String,)>("PRAGMA journal_mode = WAL".into_sql_str(), &[]).await {
            Ok(mode) if mode.first().is_some_and(|(mode,)| mode == "wal") => {
                line.settle();
                return Ok(());
            }
            Ok(_) => {
                return Err(StoreError::Away("this file system does not let SQLite write ahead".to_owned()));
            }
            Err(error) if is_busy(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(database::meaning(&error)),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The lower byte is the code, the upper ones say more.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}
