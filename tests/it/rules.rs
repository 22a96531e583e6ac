//! Rules: networks, methods and people, combined; who passes, who is asked to log in, and who is turned away.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use cloakroom::access::Access;
use cloakroom::headers::NormalPath;
use cloakroom::route::{HostPattern, NoRoute, Route, Routes};
use cloakroom::session::rights::Rights;
use http::Method;
use proptest::prelude::*;

use crate::support::{Browser, EchoUpstream, Http2, TestGateway};

const OFFICE: &str = "
    trusted_proxies: [127.0.0.1]
    routes:
      - { path: /office/, access: { any: [{ networks: [10.0.0.0/8, 'fd00::/8'] }, login] } }
      - { path: /inside/, access: { networks: [10.0.0.0/8], groups: [staff] } }
      - { path: /outside/, access: { groups: [staff], not: { networks: [10.0.0.0/8] } } }
      - { path: /, access: login }
    ";

/// The status of a page, for a browser at this address, behind a proxy that is trusted.
#[track_caller]
fn from(browser: &mut Browser, address: &str, path: &str) -> u16 {
    browser.request("GET", path, &[("X-Forwarded-For", address)], b"").status
}

#[test]
fn the_office_needs_no_login_and_everybody_else_does() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OFFICE);
    let mut nobody = Browser::of(&gateway);
    assert_eq!(from(&mut nobody, "10.1.2.3", "/office/"), 200);
    assert_eq!(from(&mut nobody, "fd12::7", "/office/"), 200);
    assert_eq!(from(&mut nobody, "::ffff:10.1.2.3", "/office/"), 200);
    assert_eq!(from(&mut nobody, "192.0.2.1", "/office/"), 302);
    assert_eq!(nobody.get("/office/").status, 302, "the proxy itself is not in the office");
    let api = [("X-Forwarded-For", "192.0.2.1"), ("Sec-Fetch-Mode", "cors")];
    assert_eq!(nobody.request("GET", "/office/", &api, b"").status, 401);
    let seen = upstream.requests();
    assert!(seen.iter().all(|request| request.header("x-auth-user").is_none()), "nobody is nobody");

    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    assert_eq!(from(&mut alice, "192.0.2.1", "/office/"), 200);
    assert_eq!(from(&mut alice, "10.1.2.3", "/office/"), 200);
    let seen = upstream.requests();
    let last = seen.last().expect("just came");
    assert_eq!(
        last.header("x-auth-user"),
        Some("alice"),
        "who is logged in is passed on, from the office too"
    );
}

#[test]
fn nobody_is_sent_to_log_in_where_that_would_not_help() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, OFFICE);
    let mut nobody = Browser::of(&gateway);
    let mut status = |address, path| from(&mut nobody, address, path);
    assert_eq!((status("10.1.2.3", "/inside/"), status("192.0.2.1", "/inside/")), (302, 403));
    assert_eq!((status("10.1.2.3", "/outside/"), status("192.0.2.1", "/outside/")), (403, 302));
    let (mut alice, mut bob) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    assert_eq!(from(&mut alice, "10.1.2.3", "/inside/"), 200);
    assert_eq!(from(&mut alice, "192.0.2.1", "/inside/"), 403);
    assert_eq!(from(&mut bob, "10.1.2.3", "/inside/"), 403);
    assert_eq!(from(&mut alice, "10.1.2.3", "/outside/"), 403);
    assert_eq!(from(&mut alice, "192.0.2.1", "/outside/"), 200);
}

#[test]
fn an_address_that_somebody_claims_is_not_the_clients() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &OFFICE.replace("[127.0.0.1]", "[192.0.2.9]"));
    let mut nobody = Browser::of(&gateway);
    for (name, value) in [
        ("X-Forwarded-For", "10.1.2.3"),
        ("Forwarded", "for=10.1.2.3"),
        ("X-Real-IP", "10.1.2.3"),
        ("X-Client-IP", "10.1.2.3"),
        ("True-Client-IP", "10.1.2.3"),
        ("CF-Connecting-IP", "10.1.2.3"),
        ("Via", "1.1 10.1.2.3"),
    ] {
        assert_eq!(nobody.request("GET", "/office/", &[(name, value)], b"").status, 302, "{name}");
        assert_eq!(nobody.request("GET", "/inside/", &[(name, value)], b"").status, 403, "{name}");
    }
    let gateway = TestGateway::before(&upstream, OFFICE);
    let mut nobody = Browser::of(&gateway);
    assert_eq!(from(&mut nobody, "10.1.2.3, 192.0.2.1", "/office/"), 302, "only the last hop is vouched for");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn over_a_unix_socket_no_network_is_near_and_none_is_far() {
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("gateway.sock");
    let listen = format!("listen: ['127.0.0.1:0', 'unix:{}']", path.display());
    let routes = "
        trusted_proxies: [0.0.0.0/0]
        routes:
          - { path: /near/, access: { any: [{ networks: [0.0.0.0/0, '::/0'] }] } }
          - { path: /far/, access: { any: [{ not: { networks: [10.0.0.0/8] } }] } }
          - { path: /either/, access: { any: [{ networks: [10.0.0.0/8] }, login] } }
          - { path: /, access: public }
        ";
    let _gateway = TestGateway::before(&upstream, &format!("{routes}\n        {listen}"));
    for (target, expected) in [("/near/", 403), ("/far/", 403), ("/either/", 401), ("/", 200)] {
        let mut stream = UnixStream::connect(&path).expect("it listens");
        let request = format!("GET {target} HTTP/1.0\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{target}: {answer}");
    }
}

#[test]
fn reading_and_writing_are_for_different_people() {
    let upstream = EchoUpstream::start();
    let rule = "
        routes:
          - path: /wiki/
            access:
              any:
                - { groups: [readers, staff], methods: [GET, OPTIONS] }
                - { users: [bob] }
          - { path: /, access: login }
        ";
    let gateway = TestGateway::before(&upstream, rule);
    let (mut alice, mut bob, mut nobody) =
        (Browser::of(&gateway), Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    for (method, of_alice) in [
        ("GET", 200),
        ("HEAD", 200),
        ("OPTIONS", 200),
        ("POST", 403),
        ("PUT", 403),
        ("DELETE", 403),
        ("PURGE", 403),
    ] {
        assert_eq!(alice.request(method, "/wiki/x", &[], b"").status, of_alice, "{method}");
        assert_eq!(bob.request(method, "/wiki/x", &[], b"").status, 200, "{method}");
        let refused = nobody.request(method, "/wiki/x", &[("Sec-Fetch-Mode", "cors")], b"").status;
        assert_eq!(refused, 401, "{method}");
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Forwarded-Method"] {
        assert_eq!(alice.request("POST", "/wiki/x", &[(name, "GET")], b"").status, 403, "{name}");
    }
    assert_eq!(alice.request("POST", "/wiki/x?_method=GET", &[], b"_method=GET").status, 403);
}

#[test]
fn rules_hold_over_http_2_too() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(
        &upstream,
        "routes: [{ path: /, access: { any: [{ networks: [127.0.0.0/8], methods: [GET] }, { users: [bob] }] } }]",
    );
    let mut client = Http2::connect(gateway.address());
    let url = format!("http://{}/", gateway.address());
    assert_eq!(client.get(&url, &[]).status(), 200);
    let post = crate::support::http2::request("POST", &url, &[], crate::support::http2::whole("x"));
    assert_eq!(client.ask(post).status(), 401);
}

#[test]
fn nothing_a_request_says_about_itself_changes_what_a_rule_says() {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, &OFFICE.replace("[127.0.0.1]", "[192.0.2.9]"));
    let mut bob = Browser::of(&gateway);
    bob.sign_in("bob");
    let mut nobody = Browser::of(&gateway);
    for (is_bob, target, expected) in [
        (false, "/office/healthz?healthcheck=1&user=alice&groups=staff", 302),
        (false, "/inside/ready?from=10.1.2.3", 403),
        (true, "/outside/healthz?access=public", 403),
    ] {
        let browser = if is_bob { &mut bob } else { &mut nobody };
        for (name, value) in [
            ("X-Original-URL", "/office/"),
            ("X-Original-URI", "/office/"),
            ("X-Rewrite-URL", "/office/"),
            ("X-Forwarded-Uri", "/office/"),
            ("X-Forwarded-Prefix", "/office"),
            ("X-Forwarded-Host", "10.1.2.3"),
            ("X-Forwarded-Method", "OPTIONS"),
            ("X-Auth-User", "alice"),
            ("X-Auth-Groups", "staff"),
            ("X_Auth_Groups", "staff"),
            ("Remote-User", "alice"),
            ("Remote-Groups", "staff"),
            ("User-Agent", "kube-probe/1.30"),
            ("User-Agent", "GoogleHC/1.0"),
            ("User-Agent", "ELB-HealthChecker/2.0"),
            ("Referer", "http://10.1.2.3/office/"),
            ("Purpose", "prefetch"),
        ] {
            let status = browser.request("GET", target, &[(name, value)], b"").status;
            assert_eq!(status, expected, "{target} with {name}: {value}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

/// A route with this name and path.
fn route(name: &str, path: &str) -> Route {
    Route {
        name: name.to_owned(),
        host: HostPattern::Any,
        path: path.to_owned(),
        methods: Vec::new(),
        access: Access::Login,
        upstream: 0,
        strip_prefix: None,
        keep_encoded_slash: name == "kept",
        activity: true,
        session: Rights::new("app", None, None, false),
        session_headers: Vec::new(),
        credentials: None,
    }
}

/// One segment of a path, in one of the ways it can be written.
fn segment() -> impl Strategy<Value = String> {
    let words = ["public", "admin", "kept", "x", "관리", "a b", "."];
    (prop::sample::select(words.to_vec()), any::<u64>()).prop_map(|(word, mut dice)| {
        let mut written = String::new();
        for byte in word.bytes() {
            let plain = byte.is_ascii_alphanumeric() || byte == b'.';
            match (plain, dice % 5) {
                (true, 0..=2) => written.push(char::from(byte)),
                (_, 4) => written.push_str(&format!("%{byte:02x}")),
                _ => written.push_str(&format!("%{byte:02X}")),
            }
            dice /= 5;
        }
        written
    })
}

fn spelling() -> impl Strategy<Value = String> {
    let odd = [
        "", ".", "..", "%2e", "%2E%2e", ".%2e", "..;", ";a=b", "%2f", "a%2Fb", "%5c", "%00", "%zz", "\\", "*",
    ];
    let part = prop_oneof![4 => segment(), 2 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned)];
    prop::collection::vec(part, 0..7).prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_path_and_its_normal_form_are_admitted_alike(raw in spelling()) {
        let routes = Routes::new(vec![
            route("public", "/public/"),
            route("admin", "/admin"),
            route("korean", "/관리/"),
            route("kept", "/kept/"),
            route("rest", "/"),
        ]);
        let Ok(normal) = NormalPath::parse(&raw) else { return Ok(()) };
        let again = NormalPath::parse(normal.as_str()).expect("a normal form is a path");
        prop_assert_eq!(again.as_str(), normal.as_str());
        let find = |path: &NormalPath| routes.find("h", path, &Method::GET).map(|route| route.name.clone());
        let found = find(&normal);
        prop_assert_eq!(&found, &find(&again));
        // What the application sees begins with the path of the route that judged, however it reads `%2F` and `;`.
        if let Ok(name) = found {
            let lenient = normal.as_str().replace("%2F", "/").replace("%2f", "/");
            let lenient: Vec<&str> = lenient.split('/').map(|part| part.split(';').next().unwrap_or_default()).collect();
            if let Ok(read) = NormalPath::parse(lenient.join("/")) {
                prop_assert!(matches!(find(&read), Ok(same) if same == name), "{} is read as {}", raw, read.as_str());
            }
        } else {
            prop_assert!(matches!(found, Err(NoRoute::EncodedSlash | NoRoute::Ambiguous)), "{raw}: {found:?}");
        }
    }
}
