//! The examples for authors of applications: what the document quotes is what the scenarios run.
//!
//! Comes in: `docs/applications.md` and `docs/examples`. Goes out: where they differ.

use std::fs;
use std::path::Path;

/// The code blocks of a Markdown document, each with the file that is named above it: `[name](examples/name)`.
fn quoted(markdown: &str) -> Vec<(&str, &str)> {
    let sections = markdown.split("](examples/").skip(1);
    let quote = |section| {
        let section: &str = section;
        let (name, rest) = section.split_once(')')?;
        let (_, rest) = rest.split_once("\n```")?;
        let (_, code) = rest.split_once('\n')?;
        let (code, _) = code.split_once("\n```\n")?;
        Some((name, code))
    };
    sections.filter_map(quote).collect()
}

#[test]
fn the_document_quotes_every_example_byte_for_byte() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let document = fs::read_to_string(docs.join("applications.md")).expect("readable");
    let quoted = quoted(&document);
    let mut names: Vec<_> = quoted.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, code) in quoted {
        let file = fs::read_to_string(docs.join("examples").join(name)).expect("an example of this name");
        assert!(file == format!("{code}\n"), "{name} differs from what the document quotes");
    }
    let mut files: Vec<_> = fs::read_dir(docs.join("examples"))
        .expect("a directory")
        .map(|file| file.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| !name.starts_with("__"))
        .collect();
    names.sort();
    files.sort();
    assert_eq!(names, files);
}

#[test]
fn a_quote_is_found_below_its_name() {
    let markdown =
        "See [a.py](examples/a.py)\n\n```python\none\n\ntwo\n```\n\n[b.sh](examples/b.sh):\n```sh\nb\n```\n";
    assert_eq!(quoted(markdown), [("a.py", "one\n\ntwo"), ("b.sh", "b")]);
}
