//! What a session costs in memory, part by part, with a million people signed in.
//!
//! Comes in: nothing. Goes out: bytes per session, by what the process holds before and after. Each part is measured in a
//! process of its own, since memory once used is not given back at once. Texts of an identity make up 200 bytes.

use std::env;
use std::fs;
use std::hint::black_box;
use std::mem;
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

/// A look-up that takes longer is asked whether it waited.
const SLOW: Duration = Duration::from_micros(20);

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
    let (mut saved, mut idle_saved, mut loaded, mut idle_loaded) = (vec![], vec![], vec![], vec![]);
    for round in 0..2 * ROUNDS {
        let looks = round % 2 == 0;
        let write = meanwhile(looks.then_some(&memory), &digests, || {
            let stored = memory.iter().map(|session| session.stored());
            snapshot::write(&path, &keys, stored, std::iter::empty(), NOW).expect("there is room");
        });
        let again = MemoryStore::new(Room { sessions: 2_000_000, bytes: 8 << 30 }, Crowding::Ends);
        let read = meanwhile(looks.then_some(&again), &digests, || {
            let read = snapshot::read(&path, &keys, |stored| drop(again.adopt(stored)), |_| {});
            assert_eq!(read.expect("it was written just now").sessions, u64::from(SESSIONS));
        });
        let (writes, reads) =
            if looks { (&mut saved, &mut loaded) } else { (&mut idle_saved, &mut idle_loaded) };
        writes.push(write);
        reads.push(read);
    }
    fs::remove_file(&path).expect("it was written just now");
    for (what, rounds, idle) in [("saved", &saved, &idle_saved), ("loaded", &loaded, &idle_loaded)] {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{what} in {:.1} s: the longest look-up {:.1} ms, that waited for a lock {:.2} ms ({:.2} ms in the worst round), of a loop without any {:.1} ms",
            median(rounds, |took| took.work).as_secs_f64(),
            millis(median(rounds, |took| took.longest)),
            millis(median(rounds, |took| took.longest_wait)),
            millis(rounds.iter().map(|took| took.longest_wait).max().expect("rounds")),
            millis(median(idle, |took| took.longest)),
        );
    }
}

fn median(rounds: &[Took], of: impl Fn(&Took) -> Duration) -> Duration {
    let mut times: Vec<_> = rounds.iter().map(of).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long some work took, and the longest that a look-up took meanwhile, in all and of those that waited for a lock.
struct Took {
    work: Duration,
    longest: Duration,
    longest_wait: Duration,
}

/// Does some work while another thread looks sessions up; without a memory it looks nothing up.
fn meanwhile(memory: Option<&MemoryStore>, digests: &[Digest], work: impl FnOnce()) -> Took {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut longest, mut longest_wait) = (Duration::ZERO, Duration::ZERO);
            let mut slept = times_slept();
            for (n, digest) in digests.iter().cycle().enumerate() {
                let start = Instant::now();
                black_box(memory.and_then(|memory| memory.load(digest)));
                let took = start.elapsed();
                longest = longest.max(took);
                // Who waits for a lock goes to sleep, which whoever is merely made to stop does not.
                let slow = took > SLOW && took > longest_wait;
                if slow || n % 1000 == 0 {
                    let before = mem::replace(&mut slept, times_slept());
                    if slow && slept > before {
                        longest_wait = took;
                    }
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
            (longest, longest_wait)
        });
        let start = Instant::now();
        work();
        let work = start.elapsed();
        done.store(true, Ordering::Relaxed);
        let (longest, longest_wait) = looking.join().expect("no panic");
        Took { work, longest, longest_wait }
    })
}

/// How often this thread has gone to sleep by itself.
fn times_slept() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").expect("Linux tells a thread its state");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|times| times.trim().parse().ok()).expect("a number")
}

/// Prints what the process holds, by the million.
fn report<T>(held: &T) {
    black_box(held);
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second is RSS");
    println!("{} B", pages * PAGE / u64::from(SESSIONS));
}
