//! Failure: what an error of the Redis library means to who asked.
//!
//! Comes in: errors of the library. Goes out: whether the store is away, late or broken, and whether a connection can still
//! be used. Never shows a password: the library's errors hold none.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::session::store::StoreError;

/// What to tell who asked. A server that is loading, full, read-only or without its cluster is away.
pub(super) fn tell(error: &RedisError) -> StoreError {
    if error.is_timeout() {
        return StoreError::TimedOut;
    }
    let is_of_another_kind = error.code() == Some("WRONGTYPE");
    if is_of_another_kind || error.kind() == ErrorKind::UnexpectedReturnType {
        return StoreError::Broken(error.to_string());
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => StoreError::Away(format!("{code} {detail}")),
        _ => StoreError::Away(error.to_string()),
    }
}

/// An answer of a shape that no script of ours gives.
pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Broken(format!("{what} is not as it was written"))
}

/// Whether the connection is gone, or leads to nobody who speaks Redis.
pub(super) fn is_cut(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::AuthenticationFailed
            | ErrorKind::ClusterConnectionNotFound
    )
}

/// Whether the connection leads to a server that is not, or no longer, the one that writes.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown
        )
    )
}

/// Whether the script has to be sent whole.
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// It took too long to connect.
pub(super) fn late() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long to connect").into()
}

/// A server that cannot be used, and why.
pub(super) fn refused(why: &'static str, what: String) -> RedisError {
    (ErrorKind::Client, why, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("an answer");
        value.extract_error().expect_err("an error")
    }

    #[test]
    fn a_server_that_cannot_serve_is_away_and_says_why() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN The cluster is down",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions",
            "MISCONF Redis is configured to save RDB snapshots",
            "BUSY Redis is busy running a script.",
            "ERR max number of clients reached",
        ] {
            let told = tell(&answer(line));
            assert!(matches!(&told, StoreError::Away(why) if why == line), "{line}: {told:?}");
        }
        let cut = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(tell(&cut), StoreError::Away(_)));
        assert!(is_cut(&cut) && !is_elsewhere(&cut));
    }

    #[test]
    fn what_is_late_and_what_is_broken_is_told_apart() {
        assert!(matches!(tell(&late()), StoreError::TimedOut));
        let wrong = answer("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert!(matches!(tell(&wrong), StoreError::Broken(_)));
        assert!(!is_cut(&wrong));
    }

    #[test]
    fn a_demoted_server_is_left() {
        assert!(is_elsewhere(&answer("READONLY You can't write against a read only replica.")));
        assert!(!is_elsewhere(&answer("LOADING Redis is loading the dataset in memory")));
        assert!(is_unknown_script(&answer("NOSCRIPT No matching script.")));
    }
}
