//! Keeping: who keeps the sessions, as configured at the start.
//!
//! Comes in: the settings of sessions. Goes out: a [`Keeper`], which lives as long as the process. A store that is away is
//! no reason not to start: it may come. One that holds what this version cannot read is.

use std::sync::Arc;

use super::AssemblyError;
use crate::clock::Clock;
use crate::session::bridge::Bridge;
use crate::session::keeper::Loading;
use crate::session::memory::{Crowding, MemoryStore, Room};
use crate::session::redis::RedisStore;
use crate::session::shared::Shared;
use crate::session::sql::SqlStore;
use crate::session::store::{Store, StoreError};
use crate::session::{Keeper, Settings, Storage, StoreKind};

/// Makes the keeper; what it is to speak with may not be there yet.
pub(super) fn keeper(settings: &Settings, storage: Storage, clock: &Clock) -> Result<Keeper, AssemblyError> {
    let room = Room { sessions: settings.max_sessions, bytes: settings.memory_bytes };
    match (settings.store, storage) {
        (_, Storage::Redis(redis)) => {
            let open = async move {
                let store = RedisStore::new(&redis).map_err(|error| StoreError::Broken(error.to_string()))?;
                Ok(Arc::new(store) as Arc<dyn Store>)
            };
            shared(open, room, settings, clock)
        }
        (_, Storage::Sql(sql)) => {
            let open = async move {
                let store = SqlStore::new(&sql)?;
                started(store.prepare().await)?;
                Ok(Arc::new(store) as Arc<dyn Store>)
            };
            shared(open, room, settings, clock)
        }
        (_, Storage::Django(django)) => {
            let bridge = Bridge::start(*django).map_err(AssemblyError::Store)?;
            let memory = MemoryStore::new(room, Crowding::Forgets);
            Ok(Keeper::Django { memory, bridge: Box::new(bridge) })
        }
        (StoreKind::Cookie, Storage::Here) => {
            tracing::warn!(
                "sessions are sealed in cookies: nobody can end one from here, and a cookie that was taken back is \
                 good until its limits end it (`session.store: cookie`)"
            );
            Ok(Keeper::Cookie(MemoryStore::new(room, Crowding::Ends)))
        }
        (_, Storage::Here) => {
            let loading = if settings.snapshot.is_some() { Loading::begun() } else { Loading::nothing() };
            Ok(Keeper::Memory(MemoryStore::new(room, Crowding::Ends), loading))
        }
    }
}

fn shared(
    open: impl Future<Output = Result<Arc<dyn Store>, StoreError>>,
    room: Room,
    settings: &Settings,
    clock: &Clock,
) -> Result<Keeper, AssemblyError> {
    let memory = Arc::new(MemoryStore::new(room, Crowding::Forgets));
    let (lifetime, touch_interval) = (settings.lifetime(), settings.touch_interval);
    let shared = Shared::start(open, memory.clone(), lifetime, touch_interval, clock.clone());
    Ok(Keeper::Shared { memory, shared: shared.map_err(AssemblyError::Store)? })
}

/// A store that is away may come; until then whoever is not known is answered 503.
fn started(prepared: Result<(), StoreError>) -> Result<(), StoreError> {
    match prepared {
        Err(StoreError::Broken(why)) => Err(StoreError::Broken(why)),
        Err(error) => {
            tracing::error!("{error}; starting all the same");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
