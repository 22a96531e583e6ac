//! What every request costs before any byte is sent: the pure steps, one by one.
//!
//! Comes in: a request as a browser sends it, and its response. Goes out: time for each step. Never opens a socket.

use std::cell::LazyCell;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cloakroom::access::{Access, Asking};
use cloakroom::clock::Timestamp;
use cloakroom::headers::assertion::keys::{Algorithm, SigningKey};
use cloakroom::headers::assertion::{Assertions, Signer, Statement};
use cloakroom::headers::{
    HostChoice, IdentityNames, NormalPath, OurCookies, ResponseHeaders, Returning, Rules, finish, inbound,
    incoming, outgoing,
};
use cloakroom::identity::Identity;
use cloakroom::message::{Fields, RequestHead, ResponseHead};
use cloakroom::peer::{Peer, Scheme};
use cloakroom::route::{HostPattern, Route, Routes};
use cloakroom::session::accounts::NoAccounts;
use cloakroom::session::cookie;
use cloakroom::session::draft::Draft;
use cloakroom::session::keeper::Loading;
use cloakroom::session::memory::{Crowding, MemoryStore, Room};
use cloakroom::session::origin::Origin;
use cloakroom::session::rights::Rights;
use cloakroom::session::sign::Arrival;
use cloakroom::session::{Keeper, Key, Memo, Presented, Recognition, Sessions, Settings, Visitor};
use cloakroom::wire::{HeadLimits, parse};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::Method;
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

/// A response as an application sends it.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: gunicorn\r\n\
    Date: Fri, 15 Jan 2027 08:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 5120\r\n\
    Cache-Control: private, max-age=60\r\n\
    Vary: Cookie, Accept-Language\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Set-Cookie: theme=dark; Path=/; SameSite=Lax\r\n\r\n";

fn rules() -> Rules {
    Rules::new(IdentityNames::default(), &[], ResponseHeaders::default(), Vec::new())
}

fn head(bytes: &[u8]) -> RequestHead {
    parse::request(bytes, &LIMITS).expect("a request").expect("a whole one").0
}

/// Many live sessions, and how far apart those lie that are asked for one after the other.
const MANY: usize = 1_000_000;
const STRIDE: usize = 611_953;

const ROOM: Room = Room { sessions: 2 * MANY as u64, bytes: 4 << 30 };

fn sessions() -> Sessions {
    let keys = vec![Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }];
    let keeper = Keeper::Memory(MemoryStore::new(ROOM, Crowding::Ends), Loading::nothing());
    Sessions::new(Settings { keys, ..Settings::default() }, Arc::new(keeper), Arc::new(NoAccounts))
}

/// Signs somebody in; answers with `name=value`.
fn sign_in(sessions: &Sessions) -> String {
    let arrival = Arrival {
        identity: alice(),
        credential: 0,
        remember: false,
        origin: Origin::default(),
        notes: vec![],
    };
    let signed_in = sessions.sign_in(&Visitor::nobody(), arrival, NOW).now_or_never();
    let (tickets, _) = signed_in.expect("memory never waits").expect("memory is never away");
    tickets[0].set_cookie().split(';').next().expect("a pair").to_owned()
}

/// Who asks, when memory knows.
fn recognised(sessions: &Sessions, shown: &Presented, memo: &mut Memo) -> Visitor {
    match sessions.recognise(shown, memo, NOW, true) {
        Recognition::Is(visitor) => visitor,
        Recognition::Unsure => unreachable!("memory always knows"),
    }
}

fn alice() -> Identity {
    let groups = ["staff".to_owned(), "finance".to_owned()];
    Identity::new("alice", Some("alice@example.com"), Some("Alice Example"), &groups).expect("a plain name")
}

fn shown(pair: &str) -> Presented {
    let mut fields = Fields::new();
    fields.append("Cookie", pair);
    taken(fields)
}

fn taken(mut fields: Fields) -> Presented {
    Presented::Ids(cookie::take(&mut fields, NAME, &["cloakroom-login"]))
}

/// Heads from bytes, and what is in them.
fn heads(criterion: &mut Criterion) {
    let bytes = request(&format!("{NAME}={}", "A".repeat(64)));
    criterion.bench_function("find the end of a head", |bench| {
        bench.iter(|| parse::head_length(black_box(&bytes), &mut 0, &LIMITS));
    });
    criterion.bench_function("parse a request's head", |bench| bench.iter(|| head(black_box(&bytes))));
    criterion.bench_function("parse a response's head", |bench| {
        bench.iter(|| parse::response(black_box(RESPONSE), &LIMITS));
    });
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
    let rules = rules();
    criterion.bench_function("fold the names of all fields", |bench| {
        bench.iter_batched_ref(
            || fields.clone(),
            |fields| rules.clean_trailers(fields),
            BatchSize::SmallInput,
        );
    });
}

/// Where to: the last of many routes, by path and by host.
fn routes(criterion: &mut Criterion) {
    let path = NormalPath::parse("/part-9999/summary").expect("a plain path");
    for count in [10, 1_000] {
        let route = |n: usize, host| Route {
            name: format!("routes[{n}]"),
            host,
            path: if n + 1 == count { "/part-9999/".to_owned() } else { format!("/part-{n:04}/") },
            methods: Vec::new(),
            access: Access::Public,
            upstream: 0,
            strip_prefix: None,
            keep_encoded_slash: false,
            activity: true,
            session: Rights::new("app", None, None, false),
            session_headers: Vec::new(),
            credentials: None,
        };
        let by_path = Routes::new((0..count).map(|n| route(n, HostPattern::Any)).collect());
        let host = |n: usize| HostPattern::Exact(format!("app-{}.example.com", n % (count / 5)));
        let by_host = Routes::new((0..count).map(|n| route(n, host(n))).collect());
        let last = format!("app-{}.example.com", count / 5 - 1);
        for (name, routes) in [("any host", &by_path), ("five for each host", &by_host)] {
            assert!(routes.find(&last, &path, &Method::GET).is_ok());
            criterion.bench_function(&format!("find the last of {count} routes, {name}"), |bench| {
                bench.iter(|| routes.find(black_box(&last), &path, &Method::GET).is_ok());
            });
        }
    }
}

/// Heads in, out and back.
fn on_the_way(criterion: &mut Criterion) {
    let sessions = sessions();
    let bytes = request(&sign_in(&sessions));
    let rules = rules();
    let remote = Some(SocketAddr::from(([192, 0, 2, 1], 50_000)));
    let peer = Peer { remote, local_port: Some(443), scheme: Scheme::Https, certificate: None };
    let visitor = recognised(&sessions, &taken(head(&bytes).fields), &mut Memo::default());
    let arrived = |head| inbound(head, &peer, &rules, || "0".repeat(32).into()).expect("a good request");
    criterion.bench_function("inbound", |bench| {
        bench.iter_batched(|| head(&bytes), arrived, BatchSize::SmallInput);
    });
    let pass = Access::Login
        .admit(Asking::with(visitor.session(), None, &Method::GET), NOW)
        .expect("alice is signed in");
    criterion.bench_function("outgoing", |bench| {
        let leave = |inbound| outgoing(inbound, None, &pass, HostChoice::Preserve, &rules);
        bench.iter_batched(|| arrived(head(&bytes)), leave, BatchSize::SmallInput);
    });
    criterion.bench_function("incoming", |bench| {
        let answer = || parse::response(RESPONSE, &LIMITS).expect("a response").expect("a whole one").0.0;
        let ours = OurCookies::new(NAME, &[]);
        let returning = Returning { request_id: "0123456789abcdef", secure: true, now: NOW, keeps: &[] };
        let back = |head: &mut ResponseHead| {
            incoming(head, &ours);
            finish(head, &rules, &returning);
        };
        bench.iter_batched_ref(answer, back, BatchSize::SmallInput);
    });
}

/// Proof of who is asking: signed, and used again.
fn assertions(criterion: &mut Criterion) {
    let alice = alice();
    let statement = Statement {
        identity: &alice,
        session: Some("0123456789abcdefghijkl"),
        authenticated_at: Some(NOW),
        audience: "app",
        method: &Method::GET,
        target: "/reports/2026/summary?month=7",
    };
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = SigningKey::from_pem(None, SigningKey::make(algorithm).as_bytes()).expect("a key");
        let issuer = "https://app.example.com".to_owned();
        let signer = Arc::new(Signer::new(vec![key], issuer, Duration::from_secs(60), 8192));
        let name = algorithm.name();
        criterion.bench_function(&format!("sign an assertion, {name}"), |bench| {
            bench.iter(|| signer.sign(black_box(&statement), NOW));
        });
        let kept = Assertions::new(signer);
        criterion.bench_function(&format!("add an assertion that was signed, {name}"), |bench| {
            bench.iter(|| kept.append(&mut Fields::new(), black_box(&statement), NOW));
        });
    }
}

/// Who: by memo, by store, and nobody.
fn recognition(criterion: &mut Criterion) {
    let forged = taken(head(&request(&format!("{NAME}={}", "A".repeat(64)))).fields);
    let few = sessions();
    criterion.bench_function("refuse a forged ticket by its MAC", |bench| {
        bench.iter(|| recognised(&few, black_box(&forged), &mut Memo::default()));
    });
    for count in [1, MANY] {
        // Made when the first of those that need it runs: a million people take seconds to sign in.
        let signed_in = LazyCell::new(|| {
            let sessions = sessions();
            let shown: Vec<_> = (0..count).map(|_| shown(&sign_in(&sessions))).collect();
            assert!(recognised(&sessions, &shown[0], &mut Memo::default()).identity().is_some());
            (sessions, shown)
        });
        criterion.bench_function(&format!("recognise by the connection's memo, {count} live"), |bench| {
            let (sessions, shown) = &*signed_in;
            let mut memo = Memo::default();
            bench.iter(|| recognised(sessions, black_box(&shown[0]), &mut memo));
        });
        criterion.bench_function(&format!("recognise by the store, {count} live"), |bench| {
            let (sessions, shown) = &*signed_in;
            let mut at = 0;
            bench.iter(|| {
                at = (at + STRIDE) % count;
                recognised(sessions, black_box(&shown[at]), &mut Memo::default())
            });
        });
    }
}

/// Look-ups alone, by one worker and by two at the same time.
fn look_ups(criterion: &mut Criterion) {
    for count in [1, MANY] {
        let stored = LazyCell::new(|| {
            let store = MemoryStore::new(ROOM, Crowding::Ends);
            let create = |_| *store.create(Draft::signed_in(alice(), false, NOW)).1.digest();
            let digests: Vec<_> = (0..count).map(create).collect();
            (store, digests)
        });
        for workers in [1, 2] {
            criterion.bench_function(&format!("look up, {count} live, {workers} at once"), |bench| {
                let (store, digests) = &*stored;
                let look_up = |times: u64, first: usize| {
                    let mut at = first % count;
                    for _ in 0..times {
                        at = (at + STRIDE) % count;
                        assert!(store.load(black_box(&digests[at])).is_some());
                    }
                };
                bench.iter_custom(|times| {
                    let begun = Instant::now();
                    thread::scope(|scope| {
                        let start = |worker| drop(scope.spawn(move || look_up(times, worker * MANY / 2)));
                        (0..workers).for_each(start);
                    });
                    begun.elapsed()
                });
            });
        }
    }
}

criterion_group!(pure, heads, routes, on_the_way, assertions, recognition, look_ups);
criterion_main!(pure);
