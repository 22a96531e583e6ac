//! What a session costs in memory, part by part, with a million people signed in.
//!
//! Comes in: nothing. Goes out: bytes per session, by what the process holds before and after. Each part is measured in a
//! process of its own, since memory once used is not given back at once. Texts of an identity make up 200 bytes.

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cloakroom::clock::Timestamp;
use cloakroom::identity::Identity;
use cloakroom::session::data::{Data, Entry, Value};
use cloakroom::session::draft::Draft;
use cloakroom::session::id::Digest;
use cloakroom::session::keys::Keys;
use cloakroom::session::memory::{Crowding, MemoryStore, Room};
use cloakroom::session::{Key, snapshot};
use secrecy::SecretBox;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u32 = 1_000_000;
const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const PAGE: u64 = 4096;

/// How often a snapshot is written and read, with look-ups and without.
const ROUNDS: usize = 7;

/// What is measured: each holds a million of something.
const PARTS: [(&str, fn()); 5] = [
    ("a million sessions with 200 bytes of data saved and loaded", snapshot_of_a_million),
    ("sessions of a thousand people, with 200 bytes of data", || {
        let thousand: Vec<_> = (0..1000).map(person).collect();
        keep(|n| thousand[n as usize % 1000].clone(), 200);
    }),
    ("sessions of a thousand people, without data", || {
        let thousand: Vec<_> = (0..1000).map(person).collect();
        keep(|n| thousand[n as usize % 1000].clone(), 0);
    }),
    ("sessions of a million people, without data", || keep(person, 0)),
    ("identities alone", || {
        let people: Vec<_> = (0..SESSIONS).map(person).collect();
        report(&people);
    }),
];

fn main() {
    let part = env::args().nth(1);
    if let Some((_, measure)) = PARTS.iter().find(|(name, _)| part.as_deref() == Some(*name)) {
        return measure();
    }
    let program = env::current_exe().expect("a running program has a path");
    for (name, _) in PARTS {
        let output = Command::new(&program).arg(name).output().expect("the same program starts again");
        println!("{:>8}  {name}", String::from_utf8_lossy(&output.stdout).trim());
    }
}

/// Somebody whose texts are 200 bytes long.
fn person(n: u32) -> Identity {
    let groups =
        ["finance", "staff", "users-of-the-financial-reporting-system", "works-councils"].map(str::to_owned);
    let email = format!("somebody.with.a.long.name.{n:08}@mail.of.the.office.example.com");
    let name = format!("Somebody With A Long Name the {n:08}th of that Name");
    Identity::new(&format!("somebody-{n:08}"), Some(&email), Some(&name), &groups).expect("plain texts")
}

fn keep(identity: impl Fn(u32) -> Identity, data: usize) {
    report(&kept(identity, data));
}

fn kept(identity: impl Fn(u32) -> Identity, data: usize) -> MemoryStore {
    // A little more than they take: what is full lets the oldest go.
    let room = Room { sessions: u64::from(SESSIONS) * 8 / 7 + 20_000, bytes: 4 << 30 };
    let memory = MemoryStore::new(room, Crowding::Ends);
    for n in 0..SESSIONS {
        // Two values, as a basket and a theme would be: together with their names so many bytes.
        let text = "x".repeat(data.saturating_sub(16));
        let entry = |name, value| Entry { space: "app", name, value, expires: None, flash: false };
        let entries =
            vec![entry("basket", Value::Text(text.as_str().into())), entry("theme", Value::Integer(7))];
        let data = if data > 0 { Data::new(1, entries) } else { Data::default() };
        memory.create(Draft { data, ..Draft::signed_in(identity(n), false, NOW) });
    }
    assert_eq!(memory.counts(), (u64::from(SESSIONS), 0));
    memory
}

/// How long it takes to write a snapshot and to read it again, and the longest that a look-up waited meanwhile: beside it, the
/// longest pause of a loop that looks nothing up, which is the machine's. Medians of several rounds.
fn snapshot_of_a_million() {
    let thousand: Vec<_> = (0..1000).map(person).collect();
    let memory = kept(|n| thousand[n as usize % 1000].clone(), 200);
    let keys =
        Keys::new(&[Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }]);
    let path = env::temp_dir().join(format!("cloakroom-bench-{}", std::process::id()));
    let digests: Vec<_> = memory.iter().step_by(1000).map(|session| *session.digest()).collect();
    let mut rounds = [const { Vec::new() }; 6];
    for round in 0..2 * ROUNDS {
        let looks = round % 2 == 0;
        let (saved, pause) = meanwhile(looks.then_some(&memory), &digests, || {
            let stored = memory.iter().map(|session| session.stored());
            snapshot::write(&path, &keys, stored, std::iter::empty(), NOW).expect("there is room");
        });
        let again = MemoryStore::new(Room { sessions: 2_000_000, bytes: 8 << 30 }, Crowding::Ends);
        let (loaded, pause_again) = meanwhile(looks.then_some(&again), &digests, || {
            let read = snapshot::read(&path, &keys, |stored| drop(again.adopt(stored)), |_| {});
            assert_eq!(read.expect("it was written just now").sessions, u64::from(SESSIONS));
        });
        let own = usize::from(!looks);
        rounds[own].push(pause);
        rounds[2 + own].push(pause_again);
        rounds[4].push(saved);
        rounds[5].push(loaded);
    }
    fs::remove_file(&path).expect("it was written just now");
    let [saving, idle_saving, loading, idle_loading, saved, loaded] = rounds.map(median);
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "saved in {:.1} s: a look-up waited {:.1} ms at most, a loop without any {:.1} ms; loaded in {:.1} s: {:.1} and {:.1} ms",
        saved.as_secs_f64(),
        millis(saving),
        millis(idle_saving),
        loaded.as_secs_f64(),
        millis(loading),
        millis(idle_loading),
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long some work takes, and the longest that a look-up waited while it was done; without a memory nothing is looked up.
fn meanwhile(memory: Option<&MemoryStore>, digests: &[Digest], work: impl FnOnce()) -> (Duration, Duration) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            for digest in digests.iter().cycle() {
                let start = Instant::now();
                black_box(memory.and_then(|memory| memory.load(digest)));
                longest = longest.max(start.elapsed());
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
            longest
        });
        let start = Instant::now();
        work();
        let took = start.elapsed();
        done.store(true, Ordering::Relaxed);
        (took, looking.join().expect("no panic"))
    })
}

/// Prints what the process holds, by the million.
fn report<T>(held: &T) {
    black_box(held);
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second is RSS");
    println!("{} B", pages * PAGE / u64::from(SESSIONS));
}
