//! Command line: what commands print, and how they exit.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs `cloakroom` with arguments and standard input.
fn cloakroom(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the program reads");
    child.wait_with_output().expect("the program ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

const GOOD: &str =
    "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\nroutes: [{ path: /, access: public }]\n";

#[test]
fn check_says_ok_or_exits_with_78() {
    let good = cloakroom(&["check", "-c", "-"], GOOD);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(text(&good.stdout), "<stdin>: ok, 1 route, 1 upstream\n");
    let bad = cloakroom(&["check", "-c", "-"], "listen: 8080");
    assert_eq!((bad.status.code(), text(&bad.stdout)), (Some(78), ""));
    assert!(text(&bad.stderr).contains("--> <stdin>:1:9"), "{}", text(&bad.stderr));
}

#[test]
fn check_answers_programs_in_json() {
    let bad = cloakroom(&["check", "-c", "-", "--format", "json"], "listen: 8080");
    let answer: serde_json::Value = serde_json::from_slice(&bad.stdout).expect("JSON");
    assert_eq!((bad.status.code(), &answer["ok"]), (Some(78), &serde_json::Value::Bool(false)));
    let found = answer["diagnostics"].as_array().expect("a list").iter().find(|found| found["column"] == 9);
    assert_eq!(found.expect("a finding")["source"], "listen: 8080");
    let good = cloakroom(&["check", "-c", "-", "--format", "json"], GOOD);
    let answer: serde_json::Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert_eq!((good.status.code(), &answer["routes"]), (Some(0), &1.into()));
}

#[test]
fn a_wrong_command_line_exits_with_2_and_a_missing_file_with_78() {
    assert_eq!(cloakroom(&["chekc"], "").status.code(), Some(2));
    assert_eq!(cloakroom(&["check", "-c", "/nonexistent/cloakroom.yaml"], "").status.code(), Some(78));
}

#[test]
fn explain_tells_what_the_application_receives() {
    let output = cloakroom(&["explain", "GET", "/x", "-c", "-"], GOOD);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("GET /x HTTP/1.1"), "{}", text(&output.stdout));
    let unanswered = cloakroom(&["explain", "GET", "/%2F", "-c", "-"], GOOD);
    assert_eq!(unanswered.status.code(), Some(1));
}

#[test]
fn what_init_writes_passes_the_check() {
    let starter = cloakroom(&["init", "-"], "");
    assert_eq!(starter.status.code(), Some(0));
    let checked = cloakroom(&["check", "-c", "-"], text(&starter.stdout));
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn the_schema_is_json() {
    let output = cloakroom(&["schema"], "");
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["title"], "Cloakroom");
}
