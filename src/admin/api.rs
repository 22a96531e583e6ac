//! API: sessions, for operators.
//!
//! Comes in: requests below `/api/v1/`, from somebody who may. Goes out: JSON: sessions as they are, a page at a time, and
//! the ends of those that are to end. A session is named by the digest of its key in 32 hex digits, or by the 8 that logs
//! show. Never shows what would let anybody in, nor what applications keep in a session.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/sessions?limit=100&after=ID` | `{"sessions": […], "next": ID or null}`, in the order of their ids |
//! | `GET /api/v1/sessions?user=alice` | the same, all of one user, the oldest first |
//! | `GET /api/v1/sessions/ID` | one; 404 when there is none |
//! | `DELETE /api/v1/sessions/ID` | ends one: `{"ended": 1}`; 404 when there is none |
//! | `DELETE /api/v1/sessions?user=alice`, `?all=true` | ends those of a user, or all: `{"ended": n}` |

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::login::form::field;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::StoreError;
use crate::session::stored::Stored;
use crate::session::{Keeper, Sessions};

/// Sessions on a page, unless told otherwise, and at most.
const USUAL: usize = 100;
const MOST: usize = 1000;

/// Ends at the same time when all are to end.
const BATCH: usize = 500;

/// Answers a request; `path` is what follows `/api/v1`.
pub async fn answer(
    sessions: &Sessions,
    method: &Method,
    path: &str,
    query: &str,
    now: Timestamp,
) -> (StatusCode, Value) {
    let named = path.strip_prefix("/sessions/").filter(|id| !id.is_empty());
    if matches!(&**sessions.keeper(), Keeper::Cookie(_)) {
        return problem(
            StatusCode::CONFLICT,
            "sessions are sealed in cookies: nobody knows them but their holders",
        );
    }
    let ask = Ask { sessions, query, now };
    let answered = match (method, path, named) {
        (&Method::GET, "/sessions", _) => ask.list().await,
        (&Method::DELETE, "/sessions", _) => ask.end_many().await,
        (&Method::GET, _, Some(id)) => ask.show(id).await,
        (&Method::DELETE, _, Some(id)) => ask.end(id).await,
        (_, "/sessions", _) | (_, _, Some(_)) => {
            Ok(problem(StatusCode::METHOD_NOT_ALLOWED, "GET and DELETE are known here"))
        }
        _ => Ok(problem(StatusCode::NOT_FOUND, "there is /api/v1/sessions")),
    };
    answered.unwrap_or_else(|error| problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()))
}

type Answered = Result<(StatusCode, Value), StoreError>;

struct Ask<'a> {
    sessions: &'a Sessions,
    query: &'a str,
    now: Timestamp,
}

impl Ask<'_> {
    fn given(&self, name: &str) -> Option<String> {
        field(self.query.as_bytes(), name)
    }

    async fn list(&self) -> Answered {
        if let Some(user) = self.given("user") {
            let found = self.sessions.of_user(&user).await?;
            return Ok((StatusCode::OK, self.page(&found, None)));
        }
        let limit = self.given("limit").map_or(Ok(USUAL), |limit| limit.parse::<usize>());
        let after = self.given("after").map(|after| Digest::from_hex(&after).ok_or(())).transpose();
        let (Ok(limit @ 1..=MOST), Ok(after)) = (limit, after) else {
            let why = format!("`limit` is 1 to {MOST}, `after` an id of 32 hex digits");
            return Ok(problem(StatusCode::BAD_REQUEST, &why));
        };
        let found = self.sessions.page(after, limit).await?;
        let next = (found.len() == limit).then(|| found.last().map(|last| last.digest.to_hex())).flatten();
        Ok((StatusCode::OK, self.page(&found, next)))
    }

    fn page(&self, found: &[Stored], next: Option<String>) -> Value {
        let shown: Vec<_> = found.iter().map(|stored| self.shown(stored)).collect();
        json!({ "sessions": shown, "next": next })
    }

    async fn show(&self, id: &str) -> Answered {
        let found = self.find(id).await?;
        Ok(found.map_or_else(nobody, |stored| (StatusCode::OK, self.shown(&stored))))
    }

    async fn end(&self, id: &str) -> Answered {
        let Some(stored) = self.find(id).await? else { return Ok(nobody()) };
        let ended = self.sessions.end_digest(stored.digest, EndReason::Revoked).await?;
        tracing::info!(session = format_args!("{:08x}", stored.digest.short()), "revoked by an operator");
        Ok((StatusCode::OK, json!({ "ended": u32::from(ended) })))
    }

    async fn end_many(&self) -> Answered {
        let ended = match (self.given("user"), self.given("all")) {
            (Some(user), None) => self.sessions.end_of_user(&user, EndReason::Revoked, |_| true).await?,
            (None, Some(all)) if all == "true" => self.end_all().await?,
            _ => return Ok(problem(StatusCode::BAD_REQUEST, "say whose: `?user=NAME`, or `?all=true`")),
        };
        tracing::info!(ended, "sessions were revoked by an operator");
        Ok((StatusCode::OK, json!({ "ended": ended })))
    }

    async fn end_all(&self) -> Result<u64, StoreError> {
        let (mut ended, mut after) = (0, None);
        loop {
            let found = self.sessions.page(after, BATCH).await?;
            let Some(last) = found.last() else { return Ok(ended) };
            after = Some(last.digest);
            for stored in &found {
                ended += u64::from(self.sessions.end_digest(stored.digest, EndReason::Revoked).await?);
            }
        }
    }

    /// The session of an id: the whole one, or the short one of logs.
    async fn find(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        if let Some(digest) = Digest::from_hex(id) {
            return self.sessions.of_digest(digest).await;
        }
        let Ok(short) = u32::from_str_radix(id, 16) else { return Ok(None) };
        let mut after = None;
        loop {
            let found = self.sessions.page(after, BATCH).await?;
            let Some(last) = found.last() else { return Ok(None) };
            after = Some(last.digest);
            if let Some(stored) = found.into_iter().find(|stored| stored.digest.short() == short) {
                return Ok(Some(stored));
            }
        }
    }

    fn shown(&self, stored: &Stored) -> Value {
        let identity = stored.identity.as_ref();
        json!({
            "id": stored.digest.to_hex(),
            "log_id": format!("{:08x}", stored.digest.short()),
            "user": identity.map(|identity| identity.user()),
            "groups": identity.map(|identity| identity.groups().collect::<Vec<_>>()),
            "created": stored.created.unix_seconds(),
            "last_seen": stored.last_seen.unix_seconds(),
            "expires_in": self.sessions.lifetime().expires_stored(stored).since(self.now).as_secs(),
            "remember": stored.remember,
            "address": stored.origin.address,
            "browser": stored.origin.browser_name(),
            "system": stored.origin.system_name(),
            "data_bytes": stored.data.size(),
            "version": stored.data.version(),
        })
    }
}

fn nobody() -> (StatusCode, Value) {
    problem(StatusCode::NOT_FOUND, "there is no such session")
}

fn problem(status: StatusCode, why: &str) -> (StatusCode, Value) {
    (status, json!({ "error": why }))
}
