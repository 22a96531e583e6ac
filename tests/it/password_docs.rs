//! The documents about passwords: what they show is a configuration that works.
//!
//! Comes in: `docs/ldap.md` and `docs/second-factor.md`. Goes out: what is wrong with their snippets.

use cloakroom::config::{Source, inspect};

/// The YAML in a document.
fn snippets(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().expect("an end"))
}

#[test]
fn every_snippet_about_passwords_can_be_loaded() {
    let documents = [include_str!("../../docs/ldap.md"), include_str!("../../docs/second-factor.md")];
    let state = tempfile::tempdir().expect("a folder");
    let mut seen = 0;
    for snippet in documents.into_iter().flat_map(snippets) {
        // Files that are only on the reader's machine.
        let local = |line: &&str| !line.trim_start().starts_with("ca:");
        let mut text: String = snippet.lines().filter(local).map(|line| format!("{line}\n")).collect();
        text = text.replace("${file:/run/secrets/ldap}", "secret").replace("users.yaml", "/dev/null");
        for (key, line) in [
            ("listen:", "listen: 127.0.0.1:8080".to_owned()),
            ("upstream:", "upstream: http://127.0.0.1:3000".to_owned()),
            ("state_dir:", format!("state_dir: {}", state.path().display())),
        ] {
            if !text.lines().any(|found| found.starts_with(key)) {
                text = format!("{line}\n{text}");
            }
        }
        let source = Source::Text { name: "snippet.yaml".to_owned(), text: text.clone() };
        inspect(&source).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}
