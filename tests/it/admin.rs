//! Admin: what an operator may look at and end, and who is not one.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::{Browser, EchoUpstream, Message, Raw, TestGateway};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn gateway(upstream: &EchoUpstream, folder: &Path) -> TestGateway {
    let socket = folder.join("admin.sock");
    TestGateway::before(
        upstream,
        &format!("admin: {{ address: '127.0.0.1:0', token: {TOKEN}, socket: '{}' }}", socket.display()),
    )
}

fn ask(gateway: &TestGateway, method: &str, target: &str, field: &str) -> Message {
    let address = gateway.running().admin_address().expect("it is on");
    Raw::ask(address, format!("{method} {target} HTTP/1.1\r\nHost: admin\r\n{field}\r\n\r\n"))
}

fn operator(gateway: &TestGateway, method: &str, target: &str) -> serde_json::Value {
    let answer = ask(gateway, method, target, &format!("Authorization: Bearer {TOKEN}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn sessions_are_listed_shown_and_ended_at_once() {
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let gateway = gateway(&upstream, folder.path());
    let (mut alice, mut bob) = (Browser::of(&gateway), Browser::of(&gateway));
    alice.sign_in("alice");
    bob.sign_in("bob");
    let listed = operator(&gateway, "GET", "/api/v1/sessions");
    assert_eq!(listed["sessions"].as_array().expect("a list").len(), 2);
    assert!(!listed.to_string().contains(alice.ticket().expect("a ticket")), "no id is shown");

    let of_alice = operator(&gateway, "GET", "/api/v1/sessions?user=alice");
    let id = of_alice["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let log_id = of_alice["sessions"][0]["log_id"].as_str().expect("an id").to_owned();
    for id in [&id, &log_id] {
        assert_eq!(operator(&gateway, "GET", &format!("/api/v1/sessions/{id}"))["user"], "alice");
    }
    assert_eq!(alice.get("/").status, 200);
    assert_eq!(operator(&gateway, "DELETE", &format!("/api/v1/sessions/{id}"))["ended"], 1);
    let refused = alice.request("GET", "/", &[("Sec-Fetch-Mode", "cors")], b"");
    assert_eq!((refused.status, &refused.json()["session_ended"]), (401, &"revoked".into()));
    assert_eq!(bob.get("/").status, 200);
    assert_eq!(operator(&gateway, "DELETE", "/api/v1/sessions?user=bob")["ended"], 1);
    assert_eq!(bob.get("/").status, 302);
    alice.sign_in("alice");
    assert_eq!(operator(&gateway, "DELETE", "/api/v1/sessions?all=true")["ended"], 1);
    assert_eq!(gateway.sessions(), (0, 0));
}

#[test]
fn pages_follow_one_another_in_the_order_of_ids() {
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let gateway = gateway(&upstream, folder.path());
    (0..5).for_each(|_| drop(Browser::of(&gateway).sign_in("alice")));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = operator(&gateway, "GET", &format!("/api/v1/sessions?limit=2{after}"));
        let ids =
            page["sessions"].as_array().expect("a list").iter().map(|session| session["id"].to_string());
        seen.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), seen), (5, sorted));
}

#[test]
fn nobody_without_the_token_and_no_browser_is_served() {
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let gateway = gateway(&upstream, folder.path());
    let status = |field: &str| ask(&gateway, "GET", "/api/v1/sessions", field).status;
    let right = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(status(&right), 200);
    assert_eq!(status("Accept: */*"), 401);
    assert_eq!(status("Authorization: Bearer wrong"), 401);
    assert_eq!(status(&format!("{right}\r\nOrigin: http://127.0.0.1")), 403);
    assert_eq!(status(&format!("{right}\r\nSec-Fetch-Site: none")), 403);
    let answer = |method: &str, target: &str| ask(&gateway, method, target, &right).status;
    assert_eq!(answer("DELETE", "/api/v1/sessions"), 400, "it must be said whose");
    assert_eq!(answer("POST", "/api/v1/sessions"), 405);
    assert_eq!(answer("GET", "/api/v1/sessions/00000000"), 404);
    assert_eq!(answer("GET", "/api/v1/sessions?limit=0"), 400);
    assert_eq!(answer("GET", "/api/v1/nothing"), 404);
}

#[test]
fn the_socket_needs_no_token_and_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let gateway = gateway(&upstream, folder.path());
    let path = folder.path().join("admin.sock");
    assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.write_all(b"GET /api/v1/sessions HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"sessions\":[]"), "{answer}");
    drop(gateway);
    crate::support::wait_until("the socket goes with the gateway", || !path.exists());
}

#[test]
fn a_socket_that_nobody_asked_for_and_cannot_be_made_stops_nothing() {
    let (upstream, folder) = (EchoUpstream::start(), tempfile::tempdir().expect("a folder"));
    let deep = folder.path().join("x".repeat(120));
    let yaml = format!("state_dir: '{}'\nadmin: {{ address: '127.0.0.1:0' }}", deep.display());
    let gateway = TestGateway::before(&upstream, &yaml);
    assert_eq!(ask(&gateway, "GET", "/readyz", "Accept: */*").status, 200);
    assert_eq!(ask(&gateway, "GET", "/api/v1/sessions", "Accept: */*").status, 403);
}
