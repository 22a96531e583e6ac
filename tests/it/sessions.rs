//! Sessions: how a ticket is handed out, believed, and no longer believed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::clock::Timestamp;
use cloakroom::identity::Identity;
use cloakroom::message::Fields;
use cloakroom::session::accounts::NoAccounts;
use cloakroom::session::keeper::Loading;
use cloakroom::session::memory::{Crowding, MemoryStore, Room};
use cloakroom::session::origin::Origin;
use cloakroom::session::protocol::Scope;
use cloakroom::session::sign::Arrival;
use cloakroom::session::{Keeper, Key, Memo, Recognition, Sessions, Settings, Visitor};
use futures_util::FutureExt as _;
use secrecy::SecretBox;

use crate::support::{Browser, EchoUpstream, Http2, Message, Raw, TestGateway, wait_until};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A page that says who is asking, for everybody.
const OPTIONAL: &str = "routes: [{ path: /, access: optional }]";

/// Who the upstream was told is asking.
#[track_caller]
fn who(browser: &mut Browser) -> Option<String> {
    told(&browser.get("/who"))
}

#[track_caller]
fn told(response: &Message) -> Option<String> {
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.text();
    let value = text.lines().find_map(|line| line.strip_prefix("X-Auth-User: "));
    value.map(str::to_owned)
}

/// What a request with this `Cookie` is told.
#[track_caller]
fn with_cookie(gateway: &TestGateway, cookie: &str) -> Option<String> {
    let request = format!("GET /who HTTP/1.1\r\nHost: a.example\r\nCookie: {cookie}\r\n\r\n");
    told(&Raw::ask(gateway.address(), request))
}

fn signed_in(gateway: &TestGateway, user: &str) -> Browser {
    let mut browser = Browser::of(gateway);
    browser.sign_in(user);
    browser
}

fn ticket(browser: &Browser) -> String {
    browser.ticket().expect("a ticket").to_owned()
}

/// Attributes of the `Set-Cookie` that hands out or takes back a cookie.
fn set_cookie<'a>(response: &'a Message, name: &str) -> Option<Vec<&'a str>> {
    let found =
        response.headers("set-cookie").into_iter().find(|cookie| cookie.starts_with(&format!("{name}=")));
    found.map(|cookie| cookie.split("; ").collect())
}

/// Sessions without a gateway around them.
fn sessions() -> Sessions {
    let keys = vec![Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) }];
    let memory = MemoryStore::new(Room { sessions: 100_000, bytes: 1 << 30 }, Crowding::Ends);
    let keeper = Arc::new(Keeper::Memory(memory, Loading::nothing()));
    Sessions::new(Settings { keys, ..Settings::default() }, keeper, Arc::new(NoAccounts))
}

/// Somebody signs in: the pair of the cookie.
fn sign_in(sessions: &Sessions, now: Timestamp) -> String {
    let identity = Identity::new("alice", None, None, &[]).expect("a name");
    let arrival =
        Arrival { identity, credential: 0, remember: false, origin: Origin::default(), notes: Vec::new() };
    let signed_in = sessions.sign_in(&Visitor::nobody(), arrival, now).now_or_never();
    let (tickets, _) = signed_in.expect("memory never waits").expect("memory is never away");
    tickets[0].set_cookie().split(';').next().expect("a pair").to_owned()
}

#[test]
fn ten_thousand_ids_are_long_different_and_even() {
    let sessions = sessions();
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    let mut seen = HashSet::new();
    let mut counts = vec![[0_u32; 256]; 48];
    const HOW_MANY: u32 = 10_000;
    for _ in 0..HOW_MANY {
        let pair = sign_in(&sessions, now);
        let value = pair.split('=').nth(1).expect("a value").to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&value).expect("base64url");
        assert_eq!((value.len(), bytes.len()), (64, 48), "256 bits of id, 128 of MAC");
        bytes.iter().zip(&mut counts).for_each(|(byte, counts)| counts[usize::from(*byte)] += 1);
        assert!(seen.insert(bytes[..16].to_vec()) && seen.insert(bytes[16..].to_vec()));
    }
    // Chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6. This bound is eight of them away.
    let expected = f64::from(HOW_MANY) / 256.0;
    for (position, counts) in counts.iter().enumerate() {
        let distance: f64 =
            counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        assert!(distance < 436.0, "byte {position}: {distance}");
    }
}

#[test]
fn ten_thousand_logouts_leave_no_session_behind() {
    let sessions = sessions();
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    for _ in 0..10_000 {
        let mut fields = Fields::new();
        fields.append("Cookie", sign_in(&sessions, now));
        let shown = sessions.take_cookies(&mut fields, &[]);
        let recognition = sessions.recognise(&shown, &mut Memo::default(), now, true);
        let Recognition::Is(visitor) = recognition else { panic!("memory always knows") };
        assert!(visitor.session().is_some());
        for visitor in [visitor, Visitor::nobody()] {
            let signed_out = sessions.sign_out(&visitor, Scope::This, now).now_or_never();
            assert!(signed_out.is_some_and(|signed_out| signed_out.is_ok()));
        }
    }
    assert_eq!(sessions.keeper().memory().counts(), (0, 0));
}

#[test]
fn requests_that_race_with_a_logout_never_revive_the_session() {
    let upstream = EchoUpstream::start();
    let gateway =
        TestGateway::before(&upstream, &format!("{OPTIONAL}\nworkers: 2\nsession: {{ create: always }}"));
    for _ in 0..20 {
        let mut browser = signed_in(&gateway, "alice");
        let cookie = format!("cloakroom={}", ticket(&browser));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20).for_each(|_| drop(with_cookie(&gateway, &cookie))));
            }
            browser.sign_out();
        });
        assert_eq!(with_cookie(&gateway, &cookie), None);
    }
    assert_eq!(gateway.sessions().0, 0);
}

#[test]
fn a_response_that_comes_after_the_logout_changes_nothing() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = EchoUpstream::speaking(move |mut conversation| {
        if conversation.request().is_some() {
            let _ = wait.lock().expect("whole").recv();
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = signed_in(&gateway, "alice");
    let mut slow = Raw::connect(gateway.address());
    slow.send(browser.head("GET", "/slow", &[]) + "\r\n");
    upstream.wait_for(1);
    let cookie = ticket(&browser);
    browser.sign_out();
    release.send(()).expect("somebody waits");
    let late = slow.response();
    assert_eq!((late.status, late.headers("set-cookie").len()), (200, 0));
    browser.set_cookie("cloakroom", &cookie);
    assert_eq!(browser.get("/").status, 302);
    let refused = browser.request("GET", "/", &[("Sec-Fetch-Mode", "cors")], b"");
    assert_eq!((refused.status, &refused.json()["session_ended"]), (401, &"logout".into()));
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn a_session_depends_on_no_connection_and_no_version() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let cookie = format!("cloakroom={}", ticket(&signed_in(&gateway, "alice")));
    assert_eq!(with_cookie(&gateway, &cookie).as_deref(), Some("alice"));
    let old = Raw::ask(gateway.address(), format!("GET / HTTP/1.0\r\nCookie: {cookie}\r\nHost: a\r\n\r\n"));
    assert_eq!(told(&old).as_deref(), Some("alice"));
    let mut http2 = Http2::connect(gateway.address());
    let url = format!("http://{}/", gateway.address());
    let crumbs = [("cookie", "a=1"), ("cookie", cookie.as_str()), ("cookie", "b=2")];
    let response = http2.get(&url, &crumbs).into_body().to_bytes();
    let seen = String::from_utf8_lossy(&response).to_lowercase();
    assert!(seen.contains("x-auth-user: alice"), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\r\n"), "crumbs are joined: {seen}");
}

#[test]
fn the_cookie_carries_an_id_only_and_nothing_that_is_kept_holds_it() {
    let upstream = EchoUpstream::start();
    let groups = (0..200).map(|n| format!("group-number-{n}")).collect::<Vec<_>>().join(", ");
    let gateway = TestGateway::before(
        &upstream,
        &format!(
            "
            login:
              local:
                users:
                  alice: {{ password: '$HASH', name: Alice, email: a@example.com, groups: [{groups}] }}
                  bob: '$HASH'
            "
        ),
    );
    let (alice, bob) = (signed_in(&gateway, "alice"), signed_in(&gateway, "bob"));
    assert_eq!(ticket(&alice).len(), ticket(&bob).len());
    assert_eq!(ticket(&alice).len(), 64);
    let kept = format!("{:?}", gateway.running().keeper());
    assert!(!kept.contains(&ticket(&alice)[..43]) && !kept.contains(&ticket(&bob)[..43]));
}

#[test]
fn a_planted_session_is_dead_after_login() {
    let upstream = EchoUpstream::start();
    let yaml = format!("{OPTIONAL}\nsession: {{ create: always }}");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut attacker = Browser::of(&gateway);
    assert_eq!(who(&mut attacker), None);
    let planted = ticket(&attacker);
    assert_eq!(gateway.sessions(), (0, 1));

    let mut victim = Browser::of(&gateway);
    victim.set_cookie("cloakroom", &planted);
    victim.sign_in("alice");
    assert_ne!(ticket(&victim), planted);
    assert_eq!(who(&mut victim).as_deref(), Some("alice"));
    assert_eq!(who(&mut attacker), None, "the planted id did not become the victim's");
    assert_eq!(with_cookie(&gateway, &format!("cloakroom={planted}")), None);
    assert_eq!(gateway.sessions().0, 1);
}

#[test]
fn a_public_page_hands_out_no_ticket_over_the_one_that_is_in_use() {
    let upstream = EchoUpstream::start();
    let yaml = "routes: [{ path: /public, access: public }, { path: /, access: optional }]\n\
                session: { create: always }";
    let gateway = TestGateway::before(&upstream, yaml);
    let mut browser = signed_in(&gateway, "alice");
    assert!(browser.get("/public").headers("set-cookie").is_empty());
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    assert_eq!(gateway.sessions(), (1, 0));
}

#[test]
fn a_client_cannot_choose_its_id() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let chosen = "A".repeat(64);
    let mut victim = Browser::of(&gateway);
    victim.set_cookie("cloakroom", &chosen);
    victim.sign_in("alice");
    assert_ne!(ticket(&victim), chosen);
    assert_eq!(who(&mut victim).as_deref(), Some("alice"));
    assert_eq!(with_cookie(&gateway, &format!("cloakroom={chosen}")), None);
}

#[test]
fn every_login_makes_a_new_id_and_the_old_one_is_dead_at_once() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    let mut old = vec![ticket(&browser)];
    for user in ["alice", "bob", "alice"] {
        browser.sign_in(user);
        assert_eq!(who(&mut browser).as_deref(), Some(user));
        for ticket in &old {
            assert_eq!(with_cookie(&gateway, &format!("cloakroom={ticket}")), None);
        }
        assert!(!old.contains(&ticket(&browser)));
        old.push(ticket(&browser));
    }
    assert_eq!(gateway.sessions(), (1, 0), "three logins, one session");
}

#[test]
fn under_https_the_cookie_is_bound_to_the_host_and_hidden_from_scripts() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(
        &upstream,
        "
        public_url: https://app.example.com
        trusted_proxies: [127.0.0.0/8]
        ",
    );
    let mut browser = Browser::of(&gateway);
    for (name, value) in [
        ("Host", "app.example.com"),
        ("Origin", "https://app.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "192.0.2.1"),
    ] {
        browser.set_field(name, value);
    }
    let shown = browser.get("/_cloakroom/login");
    let nonce = set_cookie(&shown, "__Host-cloakroom-login").expect("the form is bound to this browser");
    assert!(["Secure", "HttpOnly", "SameSite=Lax", "Path=/"].iter().all(|wanted| nonce.contains(wanted)));
    let response = browser.sign_in("alice");
    let mut cookie = set_cookie(&response, "__Host-cloakroom").expect("a ticket");
    let pair = cookie.remove(0);
    cookie.sort_unstable();
    assert_eq!(cookie, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"], "and neither Domain nor Expires");
    assert!(pair.len() <= 4096);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/").status, 200);
}

#[test]
fn only_the_exact_name_is_our_cookie() {
    let upstream = EchoUpstream::start();
    let yaml = format!("{OPTIONAL}\npublic_url: https://app.example.com");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = Browser::of(&gateway);
    browser.set_field("Origin", "https://app.example.com");
    browser.sign_in("alice");
    let value = browser.cookie("__Host-cloakroom").expect("a ticket").to_owned();
    assert_eq!(with_cookie(&gateway, &format!("__Host-cloakroom={value}")).as_deref(), Some("alice"));
    for name in
        ["__host-cloakroom", "__HOST-cloakroom", "__Host-Cloakroom", "cloakroom", "__Secure-cloakroom"]
    {
        assert_eq!(with_cookie(&gateway, &format!("{name}={value}")), None, "{name}");
    }
    assert_eq!(with_cookie(&gateway, &format!("x__Host-cloakroom={value}")), None);
    assert_eq!(with_cookie(&gateway, &format!("\u{a0}__Host-cloakroom={value}")), None, "a look-alike blank");
}

#[test]
fn of_two_cookies_of_our_name_the_first_valid_one_counts() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let (alice, bob) = (ticket(&signed_in(&gateway, "alice")), ticket(&signed_in(&gateway, "bob")));
    let forged = "B".repeat(64);
    for (values, expected) in [
        (vec![&alice, &bob], Some("alice")),
        (vec![&bob, &alice], Some("bob")),
        (vec![&forged, &alice], Some("alice")),
        (vec![&alice, &forged], Some("alice")),
        (vec![&forged; 50], None),
    ] {
        let pairs: Vec<_> = values.iter().map(|value| format!("cloakroom={value}")).collect();
        assert_eq!(with_cookie(&gateway, &pairs.join("; ")).as_deref(), expected);
        let lines = pairs.join("\r\nCookie: ");
        assert_eq!(with_cookie(&gateway, &lines).as_deref(), expected, "in a field each");
    }
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("cloakroom="), "none was passed on");
}

#[test]
fn an_absurd_cookie_is_nobodys_and_never_gets_past_the_door() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "");
    let real = ticket(&signed_in(&gateway, "alice"));
    let mut flipped = real.clone().into_bytes();
    flipped[0] ^= 1;
    let odd = [
        String::new(),
        "\"".to_owned(),
        "null".to_owned(),
        "0".to_owned(),
        "=".repeat(64),
        "%00".to_owned(),
        "../../etc/passwd".to_owned(),
        "{\"user\":\"alice\"}".to_owned(),
        "A".repeat(63),
        "A".repeat(65),
        "A".repeat(4000),
        "-".repeat(64),
        "é".repeat(32),
        format!("{real}A"),
        format!("A{real}"),
        format!("\"{real}\""),
        real[..63].to_owned(),
        real.to_uppercase(),
        String::from_utf8(flipped).expect("text"),
        real.chars().rev().collect(),
    ];
    for value in &odd {
        let request = format!("GET /page HTTP/1.1\r\nHost: a.example\r\nCookie: cloakroom={value}\r\n\r\n");
        let response = Raw::ask(gateway.address(), request);
        assert_eq!(response.status, 401, "{value}");
        assert!(response.headers("set-cookie").is_empty(), "{value}");
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.sessions(), (1, 0));
}

#[test]
fn a_changed_byte_anywhere_in_a_ticket_makes_it_nobodys() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let real = ticket(&signed_in(&gateway, "alice"));
    for at in 0..real.len() {
        let other = if real.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = real.clone();
        changed.replace_range(at..=at, other);
        assert_eq!(with_cookie(&gateway, &format!("cloakroom={changed}")), None, "byte {at}");
    }
}

#[test]
fn a_session_ends_when_nothing_happens_for_too_long() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    gateway.advance(30 * MINUTE);
    assert_eq!(who(&mut browser).as_deref(), Some("alice"), "the limit itself is still within");
    gateway.advance(30 * MINUTE + SECOND);
    assert_eq!(who(&mut browser), None);
    assert_eq!(browser.get("/_cloakroom/session").json()["reason"], "idle");
    let page = browser.get("/_cloakroom/login").text();
    assert!(page.contains("<p class=\"note\""), "and the page says why: {page}");
    assert!(!Browser::of(&gateway).get("/_cloakroom/login").text().contains("<p class=\"note\""));
}

#[test]
fn activity_extends_a_session_only_up_to_its_absolute_limit() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    for _ in 0..48 {
        gateway.advance(15 * MINUTE);
        assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    }
    gateway.advance(SECOND);
    assert_eq!(who(&mut browser), None);
    assert_eq!(browser.get("/_cloakroom/session").json()["reason"], "absolute");
}

#[test]
fn asking_how_long_is_left_never_extends_a_session() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    let first = browser.get("/_cloakroom/session").json();
    assert_eq!((first["user"].as_str(), first["groups"][0].as_str()), (Some("alice"), Some("staff")));
    for _ in 0..3 {
        gateway.advance(10 * MINUTE);
        for page in ["/_cloakroom/session", "/_cloakroom/login", "/_cloakroom/logout"] {
            browser.get(page);
        }
        assert_eq!(browser.get("/_cloakroom/session").json()["expires"], first["expires"]);
    }
    gateway.advance(SECOND);
    assert_eq!(browser.get("/_cloakroom/session").json()["user"], serde_json::Value::Null);
    assert_eq!(who(&mut browser), None);
}

#[test]
fn a_clock_that_is_set_back_costs_nobody_their_session() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    gateway.advance(24 * HOUR);
    let mut browser = signed_in(&gateway, "alice");
    gateway.set_back(2 * HOUR);
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    gateway.advance(2 * HOUR + 12 * HOUR + SECOND);
    assert_eq!(who(&mut browser), None, "and lengthens none by more than the jump");
}

#[test]
fn after_logout_the_cookie_is_dead_on_every_connection() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    let stolen = format!("cloakroom={}", ticket(&browser));
    let request = format!("GET /who HTTP/1.1\r\nHost: a.example\r\nCookie: {stolen}\r\n\r\n");
    let mut open = Raw::connect(gateway.address());
    open.send(&request);
    assert_eq!(told(&open.response()).as_deref(), Some("alice"));
    let response = browser.sign_out();
    let cookie = set_cookie(&response, "cloakroom").expect("the cookie is taken back");
    assert!(cookie.contains(&"Max-Age=0") && cookie.contains(&"Path=/"), "{cookie:?}");
    assert_eq!(response.header("clear-site-data"), Some("\"cache\""));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    open.send(&request);
    assert_eq!(told(&open.response()), None, "on a connection that had just shown it");
    assert_eq!(with_cookie(&gateway, &stolen), None);
    assert_eq!(browser.ticket(), None);
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn one_logout_ends_one_session() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let (mut here, mut there) = (signed_in(&gateway, "alice"), signed_in(&gateway, "alice"));
    here.sign_out();
    assert_eq!(who(&mut here), None);
    assert_eq!(who(&mut there).as_deref(), Some("alice"));
}

#[test]
fn who_wants_to_be_remembered_gets_a_lasting_cookie_whose_dates_agree() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = Browser::of(&gateway);
    let form = [("username", "alice"), ("password", crate::support::PASSWORD), ("remember", "on")];
    let response = browser.submit("/_cloakroom/login", &form);
    let cookie = set_cookie(&response, "cloakroom").expect("a ticket");
    assert!(cookie.contains(&"Max-Age=2592000"), "{cookie:?}");
    // The tests' clock stands at 2027-01-15T08:00:00Z; thirty days later:
    assert!(cookie.contains(&"Expires=Sun, 14 Feb 2027 08:00:00 GMT"), "{cookie:?}");
    gateway.advance(29 * 24 * HOUR);
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    gateway.advance(24 * HOUR + SECOND);
    assert_eq!(who(&mut browser), None, "thirty days after the login, however busy");

    let plain = Browser::of(&gateway).submit("/_cloakroom/login", &form[..2]);
    let cookie = set_cookie(&plain, "cloakroom").expect("a ticket").join("; ");
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
}

#[test]
fn without_a_time_to_be_remembered_there_is_no_box() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, "session: { remember_for: 0s }");
    let mut browser = Browser::of(&gateway);
    assert!(!browser.get("/_cloakroom/login").text().contains("name=\"remember\""));
    let form = [("username", "alice"), ("password", crate::support::PASSWORD), ("remember", "on")];
    let response = browser.submit("/_cloakroom/login", &form);
    let cookie = set_cookie(&response, "cloakroom").expect("a ticket").join("; ");
    assert!(!cookie.contains("Max-Age"), "{cookie}");
}

#[test]
fn visitors_who_do_not_log_in_leave_nothing_behind() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut client = Raw::connect(gateway.address());
    for n in 0..500 {
        let forged = format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: cloakroom={n:0>64}\r\n\r\n");
        client.send(if n % 2 == 0 { "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" } else { &forged });
        assert!(client.response().headers("set-cookie").is_empty());
    }
    for _ in 0..20 {
        Browser::of(&gateway).get("/_cloakroom/login");
        Browser::of(&gateway).post("/_cloakroom/logout", &[]);
    }
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn a_flood_of_anonymous_sessions_pushes_out_nobody_who_is_logged_in() {
    let upstream = EchoUpstream::start();
    let yaml = format!("{OPTIONAL}\nsession: {{ create: always, memory: {{ max_sessions: 64 }} }}");
    let gateway = TestGateway::before(&upstream, &yaml);
    let mut browser = signed_in(&gateway, "alice");
    let mut flood = Raw::connect(gateway.address());
    for _ in 0..500 {
        flood.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(flood.response().headers("set-cookie").len(), 1);
    }
    let (people, anonymous) = gateway.sessions();
    assert_eq!(people, 1);
    assert!(anonymous <= 8, "{anonymous} of an eighth of 64");
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
}

/// `keys:` of these numbers, each with a secret of its own. Responses tell which keys are in force.
pub fn keys(numbers: &[u8]) -> String {
    let entry =
        |number: &u8| format!("{{ id: k{number}, secret: secret-{number}-of-at-least-thirty-two-bytes }}");
    let entries: Vec<_> = numbers.iter().map(entry).collect();
    format!("headers: {{ response: {{ set: {{ X-Keys: '{numbers:?}' }} }} }}\nkeys: [{}]", entries.join(", "))
}

/// Waits until requests meet these keys.
#[track_caller]
pub fn wait_for_keys(browser: &mut Browser, numbers: &[u8]) {
    let wanted = format!("{numbers:?}");
    wait_until(&wanted, || browser.get("/").header("x-keys") == Some(&wanted));
}

#[test]
fn a_key_is_replaced_without_signing_anybody_out_and_its_removal_kills_what_it_signed() {
    let upstream = EchoUpstream::start();
    let keys = |numbers| format!("{OPTIONAL}\n{}", keys(numbers));
    let mut gateway = TestGateway::before(&upstream, &keys(&[1]));
    let mut early = signed_in(&gateway, "alice");
    gateway.reload(&keys(&[2, 1]));
    wait_for_keys(&mut early, &[2, 1]);
    assert_eq!(who(&mut early).as_deref(), Some("alice"), "the old ticket is good in the overlap");
    let mut late = signed_in(&gateway, "bob");
    gateway.reload(&keys(&[2]));
    wait_for_keys(&mut early, &[2]);
    assert_eq!(who(&mut early), None, "the old ticket is dead");
    assert_eq!(who(&mut late).as_deref(), Some("bob"), "new ones are signed by the new key");
}

#[test]
fn a_reload_keeps_sessions_and_judges_them_by_the_new_limits() {
    let upstream = EchoUpstream::start();
    let mut gateway = TestGateway::before(&upstream, OPTIONAL);
    let mut browser = signed_in(&gateway, "alice");
    gateway.reload(OPTIONAL);
    assert_eq!(who(&mut browser).as_deref(), Some("alice"));
    gateway.advance(10 * MINUTE);
    gateway.reload(&format!("{OPTIONAL}\nsession: {{ idle_timeout: 5m }}"));
    wait_until("the shorter limit is in force", || who(&mut browser).is_none());
}

#[test]
fn a_websocket_is_closed_when_its_session_ends() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        let Some(request) = conversation.request() else { return };
        assert!(request.header("upgrade").is_some());
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        conversation.try_send(answer).expect("the gateway listens");
        conversation.wait_for_end();
    });
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = signed_in(&gateway, "alice");
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-Fetch-Mode", "websocket"),
    ];
    let mut socket = Raw::connect(gateway.address());
    socket.send(browser.head("GET", "/socket", &upgrade) + "\r\n");
    assert_eq!(socket.head().status, 101);
    browser.sign_out();
    let close = socket.rest();
    // One close frame with code 1008 (RFC 6455, sections 5.5.1 and 7.4.1).
    assert_eq!((close[0], &close[2..4]), (0x88, &1008_u16.to_be_bytes()[..]), "{close:?}");
    upstream.wait_for_open_connections(0);
}

#[test]
fn an_event_stream_ends_when_its_session_expires() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some() {
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
            conversation.try_send(answer).expect("the gateway listens");
            conversation.wait_for_end();
        }
    });
    let gateway = TestGateway::before(&upstream, "");
    let browser = signed_in(&gateway, "alice");
    let mut stream = Raw::connect(gateway.address());
    stream.send(browser.head("GET", "/events", &[]) + "\r\n");
    let head = stream.head();
    assert_eq!(head.status, 200);
    gateway.advance(31 * MINUTE);
    let whole = stream.body(head);
    assert_eq!((whole.text().as_str(), whole.complete), ("data: 1\n\n", true));
    upstream.wait_for_open_connections(0);
}

#[test]
fn our_cookie_stays_with_us_and_an_application_cannot_set_it() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: cloakroom=stolen; Path=/\r\n\
         Set-Cookie: cloakroom-login=x\r\nSet-Cookie: b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT\r\n\r\n",
    );
    let gateway = TestGateway::before(&upstream, "");
    let mut browser = signed_in(&gateway, "alice");
    let own = ticket(&browser);
    let cookies = format!("a=\"x\";b=2 ; cloakroom={own};  c=3=4");
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: {cookies}\r\n\r\n");
    let response = Raw::ask(gateway.address(), request);
    assert_eq!(response.headers("set-cookie"), ["a=1", "b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT"]);
    assert_eq!(upstream.requests()[0].headers("cookie"), ["a=\"x\";b=2 ;  c=3=4"]);
    browser.get("/");
    assert_eq!(ticket(&browser), own);
}
