//! What a session costs in memory, part by part, with a million people signed in.
//!
//! Comes in: nothing. Goes out: bytes per session, by what the process holds before and after. Each part is measured in a
//! process of its own, since memory once used is not given back at once. Texts of an identity make up 200 bytes.

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use cloakroom::clock::Timestamp;
use cloakroom::identity::Identity;
use cloakroom::session::data::{Data, Entry, Value};
use cloakroom::session::memory::{Crowding, MemoryStore, Room};
use cloakroom::session::record::Draft;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u32 = 1_000_000;
const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const PAGE: u64 = 4096;

/// What is measured: each holds a million of something.
const PARTS: [(&str, fn()); 4] = [
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
        println!("{:>8} B  {name}", String::from_utf8_lossy(&output.stdout).trim());
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
    // A little more than they take: what is full lets the oldest go.
    let room = Room { sessions: u64::from(SESSIONS) * 8 / 7 + 20_000, bytes: 4 << 30 };
    let memory = MemoryStore::new(room, Crowding::Ends);
    for n in 0..SESSIONS {
        // Two values, as a basket and a theme would be: together with their names so many bytes.
        let text = "x".repeat(data.saturating_sub(16));
        let entry = |name, value| Entry { space: "app", name, value, expires: None, flash: false };
        let entries =
            vec![entry("basket", Value::Text(text.as_str().into())), entry("theme", Value::Integer(7))];
        let data = (data > 0).then(|| Arc::new(Data::new(1, entries)));
        memory.create(Draft { data, ..Draft::signed_in(identity(n), false, NOW) });
    }
    assert_eq!(memory.counts(), (u64::from(SESSIONS), 0));
    report(&memory);
}

/// Prints what the process holds, by the million.
fn report<T>(held: &T) {
    black_box(held);
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second is RSS");
    println!("{}", pages * PAGE / u64::from(SESSIONS));
}
