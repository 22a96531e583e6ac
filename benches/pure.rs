//! What every request costs before any byte is sent: the pure steps, one by one.
//!
//! Comes in: a request as a browser sends it. Goes out: time for each step. Never opens a socket.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::access::Access;
use cloakroom::clock::Timestamp;
use cloakroom::headers::{HostChoice, IdentityNames, NormalPath, ResponseHeaders, Rules, inbound, outgoing};
use cloakroom::identity::Identity;
use cloakroom::message::{Fields, RequestHead};
use cloakroom::peer::{Peer, Scheme};
use cloakroom::session::cookie::{self, Shown};
use cloakroom::session::memory::MemoryStore;
use cloakroom::session::{CookieSettings, Create, Key, Memo, SameSite, Sessions, Settings, Visitor};
use cloakroom::wire::{HeadLimits, parse};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use secrecy::SecretBox;

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

fn sessions() -> Sessions {
    let hour = Duration::from_secs(3600);
    let cookie = CookieSettings {
        name: NAME.to_owned(),
        secure: true,
        same_site: SameSite::Lax,
        path: "/".to_owned(),
        domain: None,
        partitioned: false,
    };
    let settings = Settings {
        idle: hour,
        absolute: 12 * hour,
        anonymous: hour,
        remember: 720 * hour,
        cookie,
        max_sessions: 100_000,
        keys: vec![Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }],
        create: Create::Lazy,
    };
    let store = Arc::new(MemoryStore::new(settings.max_sessions, settings.lifetime()));
    Sessions::new(settings, store)
}

/// Signs somebody in; answers with `name=value`.
fn sign_in(sessions: &Sessions) -> String {
    let groups = ["staff".to_owned(), "finance".to_owned()];
    let alice = Identity::new("alice", Some("alice@example.com"), Some("Alice Example"), &groups);
    let (ticket, _) = sessions.sign_in(&Visitor::nobody(), alice.expect("a plain name"), false, NOW);
    ticket.set_cookie().split(';').next().expect("a pair").to_owned()
}

fn taken(mut fields: Fields) -> Shown {
    cookie::take(&mut fields, NAME)
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
            let inbound = inbound(head, &peer, &rules, || "0".repeat(32)).expect("a good request");
            outgoing(inbound, None, &pass, HostChoice::Preserve, &rules)
        };
        bench.iter_batched(|| head(&bytes), through, BatchSize::SmallInput);
    });
}

fn recognition(criterion: &mut Criterion) {
    let sessions = sessions();
    let pairs: Vec<_> = (0..10_000).map(|_| sign_in(&sessions)).collect();
    let shown = taken(head(&request(&pairs[0])).fields);
    let forged = taken(head(&request(&format!("{NAME}={}", "A".repeat(64)))).fields);
    let mut memo = Memo::default();
    assert!(sessions.recognise(&shown, &mut memo, NOW).identity().is_some());
    criterion.bench_function("recognise by the connection's memo", |bench| {
        bench.iter(|| sessions.recognise(black_box(&shown), &mut memo, NOW));
    });
    criterion.bench_function("recognise by the store", |bench| {
        bench.iter(|| sessions.recognise(black_box(&shown), &mut Memo::default(), NOW));
    });
    criterion.bench_function("refuse a forged ticket", |bench| {
        bench.iter(|| sessions.recognise(black_box(&forged), &mut Memo::default(), NOW));
    });
}

criterion_group!(pure, heads, on_the_way, recognition);
criterion_main!(pure);
