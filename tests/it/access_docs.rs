//! The document about access: every configuration in it can be run, and every claim of it is what `cloakroom explain` says.

use std::io::Write as _;
use std::process::{Command, Stdio};

const DOCUMENT: &str = include_str!("../../docs/access.md");

/// What surrounds the routes of the document.
const BASE: &str = "
listen: 127.0.0.1:8080
upstream: http://127.0.0.1:9
login: { local: { users_file: /dev/null } }
";

/// What `cloakroom explain` prints.
fn printed(yaml: &str, arguments: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .arg("explain")
        .args(arguments.split_whitespace())
        .args(["-c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let text = format!("{yaml}\n{BASE}");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.stderr.is_empty(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What becomes of a request, in the words of the document.
fn explained(yaml: &str, arguments: &str) -> &'static str {
    let said = printed(yaml, arguments);
    let answers = [
        ("the application receives:", "passes"),
        ("a fresh login is needed", "log in again"),
        ("login needed", "log in"),
        ("answer    403", "403"),
    ];
    let found = answers.iter().find(|(part, _)| said.contains(part));
    found.unwrap_or_else(|| panic!("{arguments}: {said}")).1
}

/// The blocks of code in a language, each with where it begins.
fn blocks(language: &str) -> Vec<(usize, &'static str)> {
    let start = format!("```{language}\n");
    let begins = DOCUMENT.match_indices(&start).map(|(at, _)| at + start.len());
    begins.map(|at| (at, DOCUMENT[at..].split("```").next().unwrap_or_default())).collect()
}

#[test]
fn every_recipe_does_what_is_said_of_it() {
    let (recipes, claims) = (blocks("yaml"), blocks("bash"));
    assert_eq!(recipes.len(), claims.len(), "each recipe has its claims");
    let mut count = 0;
    for ((at, yaml), (below, claims)) in recipes.into_iter().zip(claims) {
        assert!(at < below, "claims stand below their recipe");
        for line in claims.lines() {
            let (command, expected) = line.split_once('#').expect("what is expected stands behind");
            let arguments = command.trim().strip_prefix("cloakroom explain ").expect("a command");
            assert_eq!(explained(yaml, arguments), expected.trim(), "{line}\n{yaml}");
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn what_is_shown_of_the_command_is_what_it_prints() {
    let (_, shown) = DOCUMENT.split_once("```\n$ cloakroom explain ").expect("it is shown");
    let mut lines = shown.split("```").next().unwrap_or_default().lines();
    let arguments = lines.next().expect("the command");
    let (_, yaml) = blocks("yaml").pop().expect("the last recipe is about fresh logins");
    let printed = printed(yaml, arguments);
    let mut count = 0;
    for line in lines.filter(|line| *line != "…") {
        assert!(printed.lines().any(|told| told == line), "{line}\nis not in\n{printed}");
        count += 1;
    }
    assert!(count > 4, "{count}");
}

#[test]
fn every_cell_of_the_truth_table_is_true() {
    let (_, table) = DOCUMENT.split_once("## Truth table").expect("there is one");
    let mut rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| -> Vec<&'static str> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
    };
    let visitors = cells(rows.next().expect("a head"));
    let rules: Vec<_> = rows.skip(1).map(cells).collect();
    assert!(rules.len() > 10 && visitors.len() == 6, "the table was found");
    for row in rules {
        let yaml = format!("routes: [{{ path: /, access: {} }}]", row[0]);
        for (visitor, expected) in visitors.iter().zip(&row).skip(1) {
            assert_eq!(explained(&yaml, &format!("GET / {visitor}")), *expected, "{} for {visitor}", row[0]);
        }
    }
}
