//! What every request costs before any byte is sent: the pure steps, one by one.
//!
//! Comes in: a request as a browser sends it. Goes out: time for each step. Never opens a socket.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cloakroom::access::Access;
use cloakroom::clock::Timestamp;
use cloakroom::headers::{HostChoice, IdentityNames, NormalPath, ResponseHeaders, Rules, inbound, outgoing};
use cloakroom::identity::Identity;
use cloakroom::message::{Fields, RequestHead};
use cloakroom::peer::{Peer, Scheme};
use cloakroom::session::cookie::{self, Shown};
use cloakroom::session::memory::MemoryStore;
use cloakroom::session::record::Draft;
use cloakroom::session::{CookieSettings, Create, Key, Memo, SameSite, Sessions, Settings, Visitor};
use cloakroom::wire::{HeadLimits, parse};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use secrecy::SecretBox;

// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME: &str = "__Host-cloakroom";
const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const LIMITS: HeadLimits = HeadLimits { line: 8 * 1024, bytes: 32 * 1024, fields: 100 };

/// A request as a browser sends it, with `cookie` among its cookies.
fn request(cookie: &str) -> Vec<u8> {
    format!(
        "GET /reports/2026/summary?month=7 HTTP/1.1\r\n\
         Host: app.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-GB,en;q=0.7,ko;q=0.3\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Referer: https://app.example.com/reports/\r\n\
         Connection: keep-alive\r\n\
         Cookie: theme=dark; {cookie}; consent=yes\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         Sec-Fetch-Dest: document\r\n\
         Sec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-User: ?1\r\n\r\n"
    )
    .into_bytes()
}

fn head(bytes: &[u8]) -> RequestHead {
    parse::request(bytes, &LIMITS).expect("a request").expect("a whole one").0
}

/// Many live sessions, and how far apart those lie that are asked for one after the other.
const MANY: usize = 1_000_000;
const STRIDE: usize = 611_953;

fn settings() -> Settings {
    let hour = Duration::from_secs(3600);
    let cookie = CookieSettings {
        name: NAME.to_owned(),
        secure: true,
        same_site: SameSite::Lax,
        path: "/".to_owned(),
        domain: None,
        partitioned: false,
    };
    Settings {
        idle: hour,
        absolute: 12 * hour,
        anonymous: hour,
        remember: 720 * hour,
        cookie,
        max_sessions: 2 * MANY as u64,
        keys: vec![Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }],
        create: Create::Lazy,
    }
}

fn sessions() -> Sessions {
    let settings = settings();
    let store = Arc::new(MemoryStore::new(settings.max_sessions, settings.lifetime()));
    Sessions::new(settings, store)
}

/// Signs somebody in; answers with `name=value`.
fn sign_in(sessions: &Sessions) -> String {
    let (ticket, _) = sessions.sign_in(&Visitor::nobody(), alice(), false, NOW);
    ticket.set_cookie().split(';').next().expect("a pair").to_owned()
}

fn alice() -> Identity {
    let groups = ["staff".to_owned(), "finance".to_owned()];
    Identity::new("alice", Some("alice@example.com"), Some("Alice Example"), &groups).expect("a plain name")
}

fn shown(pair: &str) -> Shown {
    let mut fields = Fields::new();
    fields.append("Cookie", pair);
    taken(fields)
}

fn taken(mut fields: Fields) -> Shown {
    cookie::take(&mut fields, NAME, &["cloakroom-login"])
}

fn heads(criterion: &mut Criterion) {
    let bytes = request(&format!("{NAME}={}", "A".repeat(64)));
    criterion.bench_function("find the end of a head", |bench| {
        bench.iter(|| parse::head_length(black_box(&bytes), &mut 0, &LIMITS));
    });
    criterion.bench_function("parse a head", |bench| bench.iter(|| head(black_box(&bytes))));
    for (name, path) in [
        ("a normal path", "/reports/2026/summary"),
        ("a path to be made normal", "/reports/./2026/..//2026/%73ummary%ED%95%9C"),
    ] {
        criterion.bench_function(name, |bench| bench.iter(|| NormalPath::parse(black_box(path))));
    }
    let fields = head(&bytes).fields;
    criterion.bench_function("take our cookie out", |bench| {
        bench.iter_batched(|| fields.clone(), taken, BatchSize::SmallInput);
    });
}

fn on_the_way(criterion: &mut Criterion) {
    let sessions = sessions();
    let bytes = request(&sign_in(&sessions));
    let rules = Rules::new(IdentityNames::default(), ResponseHeaders::default(), Vec::new());
    let remote = Some(SocketAddr::from(([192, 0, 2, 1], 50_000)));
    let peer = Peer { remote, local_port: Some(443), scheme: Scheme::Https };
    let visitor = sessions.recognise(&taken(head(&bytes).fields), &mut Memo::default(), NOW);
    criterion.bench_function("in and out", |bench| {
        let pass = Access::Login.admit(visitor.session(), NOW).expect("alice is signed in");
        let through = |head| {
            let inbound = inbound(head, &peer, &rules, || "0".repeat(32).into()).expect("a good request");
            outgoing(inbound, None, &pass, HostChoice::Preserve, &rules)
        };
        bench.iter_batched(|| head(&bytes), through, BatchSize::SmallInput);
    });
}

fn recognition(criterion: &mut Criterion) {
    let forged = taken(head(&request(&format!("{NAME}={}", "A".repeat(64)))).fields);
    for count in [1, MANY] {
        let sessions = sessions();
        let shown: Vec<_> = (0..count).map(|_| shown(&sign_in(&sessions))).collect();
        let mut memo = Memo::default();
        assert!(sessions.recognise(&shown[0], &mut memo, NOW).identity().is_some());
        criterion.bench_function(&format!("recognise by the connection's memo, {count} live"), |bench| {
            bench.iter(|| sessions.recognise(black_box(&shown[0]), &mut memo, NOW));
        });
        criterion.bench_function(&format!("recognise by the store, {count} live"), |bench| {
            let mut at = 0;
            bench.iter(|| {
                at = (at + STRIDE) % count;
                sessions.recognise(black_box(&shown[at]), &mut Memo::default(), NOW)
            });
        });
        criterion.bench_function(&format!("refuse a forged ticket, {count} live"), |bench| {
            bench.iter(|| sessions.recognise(black_box(&forged), &mut Memo::default(), NOW));
        });
    }
}

/// Look-ups alone, by one worker and by two at the same time.
fn look_ups(criterion: &mut Criterion) {
    for count in [1, MANY] {
        let store = MemoryStore::new(2 * MANY as u64, settings().lifetime());
        let digests: Vec<_> =
            (0..count).map(|_| *store.create(Draft::signed_in(alice(), false, NOW)).1.digest()).collect();
        let look_up = |times: u64, first: usize| {
            let mut at = first % count;
            for _ in 0..times {
                at = (at + STRIDE) % count;
                assert!(store.load(black_box(&digests[at])).is_some());
            }
        };
        for workers in [1, 2] {
            criterion.bench_function(&format!("look up, {count} live, {workers} at once"), |bench| {
                bench.iter_custom(|times| {
                    let begun = Instant::now();
                    thread::scope(|scope| {
                        (0..workers)
                            .for_each(|worker| drop(scope.spawn(move || look_up(times, worker * MANY / 2))));
                    });
                    begun.elapsed()
                });
            });
        }
    }
}

criterion_group!(pure, heads, on_the_way, recognition, look_ups);
criterion_main!(pure);
