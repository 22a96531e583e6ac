//! The access log: a line for every request, broken ones too, and nothing in it that must not be.

use std::path::Path;

use crate::support::{Browser, EchoUpstream, Http2, Raw, TestGateway, wait_until};

/// A gateway that logs into a file, the application behind it, and the directory of the file.
fn logging(format: &str) -> (EchoUpstream, TestGateway, tempfile::TempDir) {
    let upstream = EchoUpstream::start();
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("access.log");
    let yaml = format!(
        "routes: [{{ name: open, path: /open, access: public }}, {{ name: closed, path: / }}]\n\
         access_log: {{ format: {format}, output: '{}' }}",
        path.display()
    );
    let gateway = TestGateway::before(&upstream, &yaml);
    (upstream, gateway, directory)
}

fn lines(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("access.log")).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[track_caller]
fn wait_for(directory: &Path, count: usize) -> Vec<serde_json::Value> {
    wait_until("the lines of the log", || lines(directory).len() >= count);
    let lines = lines(directory);
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_request_leaves_a_line_that_says_what_happened() {
    let (_upstream, gateway, directory) = logging("json");
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    let response = alice.request(
        "POST",
        "/report?secret=1",
        &[("User-Agent", "test/1"), ("Referer", "http://a/b?c")],
        b"hello",
    );
    let line = wait_for(directory.path(), 3).pop().expect("three");
    assert_eq!(line["time"], "2027-01-15T08:00:00.000Z");
    assert_eq!((&line["client"], &line["user"]), (&"127.0.0.1".into(), &"alice".into()));
    assert_eq!((&line["method"], &line["path"]), (&"POST".into(), &"/report?-".into()));
    assert_eq!((&line["status"], &line["received"]), (&200.into(), &5.into()));
    assert_eq!(line["sent"], response.body.len());
    assert_eq!((&line["protocol"], &line["complete"]), (&"HTTP/1.1".into(), &true.into()));
    assert_eq!((&line["route"], &line["upstream"]), (&"closed".into(), &"default".into()));
    assert_eq!((&line["user_agent"], &line["referer"]), (&"test/1".into(), &"http://a/b?-".into()));
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    assert_eq!(line["session"].as_str().map(str::len), Some(8));
    let text = lines(directory.path()).concat();
    let ticket = alice.ticket().expect("signed in");
    for secret in [ticket, &ticket[ticket.len() / 2..], "correct", "secret", "token="] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn what_is_refused_leaves_a_line_with_its_reason() {
    let (_upstream, gateway, directory) = logging("json");
    for (request, status, reason) in [
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 401, "login_needed"),
        ("GET / HTTP/1.1\r\nBroken\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
        ("GET /%00 HTTP/1.1\r\nHost: a.example\r\n\r\n", 400, "bad_path"),
        ("GET / HTTP/7.0\r\nHost: a.example\r\n\r\n", 505, "http_version"),
        ("TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n", 405, "method_not_allowed"),
        (
            "POST /open HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            400,
            "malformed",
        ),
        ("\x16\x03\x01\r\n\r\n", 400, "malformed"),
    ] {
        let before = lines(directory.path()).len();
        assert_eq!(Raw::ask(gateway.address(), request).status, status, "{request:?}");
        let line = wait_for(directory.path(), before + 1).pop().expect("one more");
        assert_eq!((&line["status"], &line["reason"]), (&status.into(), &reason.into()), "{request:?}");
    }
}

#[test]
fn what_breaks_off_leaves_a_line_too() {
    let upstream = EchoUpstream::speaking(|mut conversation| {
        if conversation.request().is_some_and(|request| request.target() == "/half") {
            let _ = conversation.try_send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        } else {
            conversation.wait_for_end();
        }
    });
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("access.log");
    let log = format!("access_log: {{ output: '{}' }}", path.display());
    let gateway = TestGateway::before(&upstream, &format!("routes: [{{ path: /, access: public }}]\n{log}"));
    assert!(!Raw::ask(gateway.address(), "GET /half HTTP/1.1\r\nHost: a.example\r\n\r\n").complete);
    let line = wait_for(directory.path(), 1).remove(0);
    assert_eq!((&line["status"], &line["sent"], &line["complete"]), (&200.into(), &4.into(), &false.into()));
    let mut client = Raw::connect(gateway.address());
    client.send("GET /hang HTTP/1.1\r\nHost: a.example\r\n\r\n");
    upstream.wait_for(2);
    client.reset();
    let line = wait_for(directory.path(), 2).remove(1);
    assert_eq!((&line["status"], &line["reason"]), (&499.into(), &"client_closed".into()));
}

#[test]
fn http2_requests_are_logged_alike() {
    let (_upstream, gateway, directory) = logging("json");
    let mut client = Http2::connect(gateway.address());
    client.get("http://a.example/open/x?y", &[]);
    let line = wait_for(directory.path(), 1).remove(0);
    assert_eq!((&line["protocol"], &line["path"]), (&"HTTP/2.0".into(), &"/open/x?-".into()));
    assert_eq!((&line["host"], &line["complete"]), (&"a.example".into(), &true.into()));
}

#[test]
fn nobody_forges_a_line() {
    for format in ["json", "combined"] {
        let (_upstream, gateway, directory) = logging(format);
        let agent = "x\" 200 \t\\ \u{9b}[31m";
        let request = format!(
            "GET /open/%0a%22x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {agent}\r\nReferer: \"a\" \"b\"\r\n\r\n"
        );
        assert_eq!(Raw::ask(gateway.address(), request).status, 200);
        wait_until("a line", || lines(directory.path()).len() == 1);
        let line = lines(directory.path()).remove(0);
        assert!(line.bytes().all(|byte| byte >= b' ' && byte != 0x7f), "{line:?}");
        assert!(!line.contains('\u{9b}'), "{line:?}");
        if format == "json" {
            serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
        } else {
            assert!(
                line.starts_with(
                    "127.0.0.1 - - [15/Jan/2027:08:00:00 +0000] \"GET /open/%0a%22x HTTP/1.1\" 200 "
                ),
                "{line}"
            );
            assert!(line.contains("x\\\" 200"), "{line}");
        }
    }
}

#[test]
fn many_requests_at_once_leave_as_many_lines() {
    let (_upstream, gateway, directory) = logging("json");
    let address = gateway.address();
    let clients: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Raw::connect(address);
                for _ in 0..50 {
                    client.send(format!("GET /open/{number} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
                    assert_eq!(client.response().status, 200);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    assert_eq!(wait_for(directory.path(), 400).len(), 400);
}

#[test]
fn a_log_that_was_moved_away_goes_on_in_a_new_file() {
    let (_upstream, gateway, directory) = logging("json");
    let ask = || Raw::ask(gateway.address(), "GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n");
    ask();
    wait_for(directory.path(), 1);
    std::fs::rename(directory.path().join("access.log"), directory.path().join("old.log")).expect("ours");
    gateway.running().reopen_logs();
    ask();
    wait_for(directory.path(), 1);
    let old = std::fs::read_to_string(directory.path().join("old.log")).expect("it is there");
    assert_eq!(old.lines().count(), 1);
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let (_upstream, gateway, directory) = logging("json");
    for _ in 0..20 {
        Raw::ask(gateway.address(), "GET /open HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    }
    gateway.stop();
    assert_eq!(lines(directory.path()).len(), 20);
}
