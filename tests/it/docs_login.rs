//! The documents about the login: every configuration in them can be read.

use std::fs;
use std::path::Path;

use cloakroom::config::{Source, inspect};

/// The YAML blocks of a document.
fn blocks(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn every_configuration_in_the_documents_about_the_login_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("pages")).expect("made");
    fs::write(folder.path().join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
        .expect("written");
    let mut count = 0;
    for name in ["login-pages.md", "application-login.md"] {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        for block in blocks(&fs::read_to_string(document).expect("readable")) {
            let mut text = format!("{block}\nlisten: 127.0.0.1:8080\nstate_dir: state\n");
            if !block.contains("upstream") {
                text = text.replace("login:\n", "login:\n  local: { users_file: /dev/null }\n");
                text.push_str("upstream: http://127.0.0.1:1\n");
            }
            let path = folder.path().join("cloakroom.yaml");
            fs::write(&path, &text).expect("written");
            let config = inspect(&Source::File(path)).unwrap_or_else(|problems| panic!("{name}: {problems}"));
            assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
            count += 1;
        }
    }
    assert!(count >= 5, "configurations were found");
}
