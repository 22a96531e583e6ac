//! Chores: what is done for sessions while nobody waits for it.
//!
//! Comes in: the sessions as configured now. Goes out: those that have expired, or whose accounts no longer stand, have
//! ended; those in memory are in a snapshot, where one is configured. Never holds a request up: what is read or written at
//! length has a thread of its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::login::Login;
use crate::session::memory::Crowding;
use crate::session::snapshot::{self, Ending, SnapshotError};
use crate::session::{Keeper, Sessions};

/// How often accounts are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often memory is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often memory is saved, when something has changed.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The sessions and logins of the present configuration, which a reload exchanges.
pub(super) type Present = ArcSwap<(Arc<Sessions>, Arc<Login>)>;

/// Does the chores until it is told to stop, or the gateway is gone.
#[derive(Debug)]
pub(super) struct Chores {
    stopping: Arc<AtomicBool>,
    saving: Option<thread::JoinHandle<()>>,
}

impl Chores {
    /// Starts the threads.
    pub fn start(present: &Arc<Present>, clock: &Clock) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (weak, times, stop) = (Arc::downgrade(present), clock.clone(), stopping.clone());
        let look = move || look(&weak, &times, &stop);
        thread::Builder::new().name("chores".to_owned()).spawn(look)?;
        let (sessions, _) = &**present.load();
        let saves =
            sessions.settings().snapshot.is_some() && matches!(&**sessions.keeper(), Keeper::Memory(..));
        let saving = saves.then(|| {
            let (present, clock, stop) = (present.clone(), clock.clone(), stopping.clone());
            let save = move || save_now_and_then(&present, &clock, &stop);
            thread::Builder::new().name("snapshot".to_owned()).spawn(save)
        });
        Ok(Self { stopping, saving: saving.transpose()? })
    }

    /// Saves what is in memory a last time, tells a shared store what it has not heard of, and ends.
    pub fn stop(self, present: &Present) {
        self.stopping.store(true, Ordering::Release);
        if let Some(saving) = self.saving {
            saving.thread().unpark();
            let _ = saving.join();
        }
        let (sessions, _) = &**present.load();
        if let Some(shared) = sessions.keeper().shared() {
            shared.settle();
        }
    }
}

fn look(present: &Weak<Present>, clock: &Clock, stopping: &AtomicBool) {
    let (mut seen, mut swept) = (None, Instant::now());
    while !stopping.load(Ordering::Acquire) {
        thread::sleep(LOOK_EVERY);
        let Some(present) = present.upgrade() else { return };
        let (sessions, login) = &**present.load();
        // Another configuration may have other people in it.
        let now = (Arc::as_ptr(login) as usize, login.changes());
        if seen.is_some_and(|seen| seen != now) {
            sessions.review();
        }
        seen = Some(now);
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            let crowding = match &**sessions.keeper() {
                Keeper::Shared { .. } | Keeper::Django { .. } => Crowding::Forgets,
                _ => Crowding::Ends,
            };
            sessions.keeper().memory().sweep(sessions.lifetime(), clock.now(), crowding);
        }
    }
}

/// Reads the snapshot, then writes it every now and then, and a last time at the end.
fn save_now_and_then(present: &Present, clock: &Clock, stopping: &AtomicBool) {
    load(&present.load().0, clock);
    let mut saved = None;
    loop {
        let last = stopping.load(Ordering::Acquire);
        let sessions = present.load().0.clone();
        let changes = sessions.keeper().memory().changes();
        if saved != Some(changes) {
            saved = save(&sessions, clock).then_some(changes);
        }
        if last {
            return;
        }
        thread::park_timeout(SAVE_EVERY);
    }
}

fn load(sessions: &Sessions, clock: &Clock) {
    let Keeper::Memory(memory, loading) = &**sessions.keeper() else { return };
    let Some(path) = &sessions.settings().snapshot else { return loading.done() };
    let start = Instant::now();
    let adopt = |stored| drop(sessions.take_back_in(stored, clock.now()));
    let end = |ending: Ending| memory.ended_elsewhere(&ending.digest, ending.reason);
    match snapshot::read(path, sessions.keys(), adopt, end) {
        Ok(read) => {
            let took = start.elapsed().as_millis();
            tracing::info!(
                sessions = read.sessions,
                milliseconds = took,
                "sessions were read from the snapshot"
            );
        }
        Err(SnapshotError::Missing(_)) => tracing::info!("there is no snapshot yet: {}", path.display()),
        Err(error) => {
            // It is not overwritten: with the right key, or another version, it may still be of use.
            let aside = path.with_added_extension("refused");
            let moved = std::fs::rename(path, &aside);
            let aside = aside.display();
            tracing::error!("{error}; nobody is signed in from it, and it is kept as {aside}");
            if let Err(why) = moved {
                tracing::error!("it could not be renamed: {why}");
            }
        }
    }
    loading.done();
}

/// Writes the snapshot; false when that did not work.
fn save(sessions: &Sessions, clock: &Clock) -> bool {
    let Some(path) = &sessions.settings().snapshot else { return true };
    let (memory, now) = (sessions.keeper().memory(), clock.now());
    let stored = memory.iter().map(|session| session.stored());
    let endings = memory.endings().into_iter().map(|(digest, reason)| Ending { digest, reason, at: now });
    match snapshot::write(path, sessions.keys(), stored, endings, now) {
        Ok(written) => {
            tracing::debug!(sessions = written.sessions, bytes = written.bytes, "the snapshot was written");
            true
        }
        Err(error) => {
            tracing::error!("{error}; the one before is still there, and it is tried again");
            false
        }
    }
}
