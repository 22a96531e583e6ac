//! Storage: what the store of sessions needs to know.
//!
//! Comes in: `session.store` and the part of `session:` that belongs to it. Goes out: how to reach the store. Never
//! connects.

use super::{Context, django, redis, sql};
use crate::config::file::Session;
use crate::session::{Storage, StoreKind};

/// The part that belongs to the store; parts of other stores may stay, so that one can go back.
pub(super) fn resolve(context: &mut Context, given: &Session, store: StoreKind) -> Storage {
    let sql = given.sql.as_ref().map(|given| sql::sql(context, given));
    let redis = given.redis.as_ref().map(|given| redis::redis(context, given));
    let django = given.django.as_ref().and_then(|given| django::resolve(context, given));
    match store {
        StoreKind::Memory | StoreKind::Cookie => Storage::Here,
        StoreKind::Sql => sql.map_or_else(|| missing(context, "sql"), Storage::Sql),
        StoreKind::Django => {
            django.map_or_else(|| missing(context, "django"), |found| Storage::Django(Box::new(found)))
        }
        StoreKind::Redis => {
            redis.map_or_else(|| missing(context, "redis"), |found| Storage::Redis(Box::new(found)))
        }
    }
}

fn missing(context: &mut Context, part: &str) -> Storage {
    let message = format!("`store: {part}` needs to know where\nadd `{part}:` under `session:`");
    context.missing("session.store", message);
    Storage::Here
}
