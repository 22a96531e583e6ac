//! Advice: what an operator should know about the server they chose.
//!
//! Comes in: a connection. Goes out: lines in the program's log. Says nothing where the server does not tell, and changes
//! nothing.

use std::collections::HashMap;

use redis::{RedisResult, cmd};
use tokio::time::timeout;

use super::connection::{Connection, Question};

/// The server tells its own settings at once, or not at all.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Looks at the server's settings and says what is wrong with them.
pub(super) async fn look(mut connection: Connection) {
    let read = async {
        let mut settings = HashMap::new();
        for name in ["maxmemory", "maxmemory-policy", "appendonly", "save"] {
            settings.extend(setting(&mut connection, name).await?);
        }
        RedisResult::Ok(settings)
    };
    if let Ok(Ok(settings)) = timeout(PATIENCE, read).await {
        for line in advice(&settings) {
            tracing::warn!("{line}");
        }
    }
}

async fn setting(connection: &mut Connection, name: &str) -> RedisResult<HashMap<String, String>> {
    let command = cmd("CONFIG").arg("GET").arg(name).to_owned();
    let answers = connection.answer(Question::Ask(&command, Some(0))).await?;
    let Some(answer) = answers.into_iter().next() else { return Ok(HashMap::new()) };
    Ok(redis::from_redis_value(answer?)?)
}

fn advice(settings: &HashMap<String, String>) -> Vec<String> {
    let get = |name| settings.get(name).map(String::as_str);
    let mut lines = Vec::new();
    // Every session has a time to expire, so that `volatile-…` means it as well.
    if let (Some(policy), Some(limit)) = (get("maxmemory-policy"), get("maxmemory"))
        && policy != "noeviction"
        && limit != "0"
    {
        lines.push(format!(
            "Redis drops sessions when its memory is full (maxmemory-policy {policy}): people are signed out; \
             set maxmemory-policy noeviction"
        ));
    }
    if get("appendonly") == Some("no") && get("save") == Some("") {
        lines.push(
            "Redis keeps sessions in memory only: when it is started anew, everybody is signed out; \
             set appendonly yes"
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(settings: &[(&str, &str)]) -> String {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        advice(&settings).join("\n")
    }

    #[test]
    fn a_server_that_drops_sessions_is_named() {
        for policy in ["allkeys-lru", "volatile-ttl"] {
            assert!(said(&[("maxmemory", "1000"), ("maxmemory-policy", policy)]).contains(policy));
            assert_eq!(said(&[("maxmemory", "0"), ("maxmemory-policy", policy)]), "");
        }
        assert_eq!(said(&[("maxmemory", "1000"), ("maxmemory-policy", "noeviction")]), "");
    }

    #[test]
    fn a_server_without_persistence_is_named_and_one_that_does_not_tell_is_not() {
        assert!(said(&[("appendonly", "no"), ("save", "")]).contains("appendonly yes"));
        assert_eq!(said(&[("appendonly", "yes"), ("save", "")]), "");
        assert_eq!(said(&[("appendonly", "no"), ("save", "3600 1")]), "");
        assert_eq!(said(&[]), "");
    }
}
