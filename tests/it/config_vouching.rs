//! The configuration of guests: what is refused and why, and the examples in the documents.

use std::path::Path;

use cloakroom::config::{Source, inspect};

fn problems(yaml: &str) -> Vec<(String, String)> {
    let text = format!("listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\n{yaml}");
    match inspect(&Source::Text { name: "test.yaml".to_owned(), text }) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let found = problems.diagnostics().iter();
            found.map(|found| (found.key.clone(), found.message.clone())).collect()
        }
    }
}

#[test]
fn a_method_that_nobody_could_use_or_anybody_could_is_refused() {
    let header = |given: &str| format!("trusted_proxies: [10.0.0.1]\nlogin: {{ trusted_header: {given} }}");
    let issuer = |given: &str| format!("login: {{ bearer: {{ issuers: [{given}] }} }}");
    let local = "local: { users_file: /dev/null }";
    let at = "login.bearer.issuers[0]";
    for (yaml, key, message) in [
        ("login: { basic: {} }".to_owned(), "login.basic", "there are no passwords"),
        (format!("login: {{ basic: {{ realm: 'a\"b' }}, {local} }}"), "login.basic.realm", "a realm is sent"),
        (
            "login: { trusted_header: { user: Remote-User } }".to_owned(),
            "login.trusted_header",
            "no proxy is trusted",
        ),
        (header("{ email: Remote-Email }"), "login.trusted_header", "whose name stands in no header"),
        (header("{ user: Cookie }"), "login.trusted_header.user", "has a meaning of its own"),
        (header("{ user: 'a b' }"), "login.trusted_header.user", "is not a header name"),
        (header("{ user: A-b, groups: a_B }"), "login.trusted_header.groups", "says something else already"),
        (
            header("{ user: A, logout_url: 'javascript:x' }"),
            "login.trusted_header.logout_url",
            "is not a URL",
        ),
        (
            "login: { client_certificate: {} }".to_owned(),
            "login.client_certificate",
            "no listener asks for certificates",
        ),
        ("login: { bearer: {} }".to_owned(), "login.bearer", "no issuer"),
        (issuer("{ audience: a }"), at, "an issuer without its name"),
        (issuer("{ issuer: 'https://a.example' }"), at, "without an audience"),
        (issuer("{ issuer: ci, audience: a }"), "login.bearer.issuers[0].issuer", "is not a URL by https"),
        (
            issuer("{ issuer: ci, audience: a, jwks_uri: 'http://a.example' }"),
            "login.bearer.issuers[0].jwks_uri",
            "is not a URL by https",
        ),
        (
            issuer("{ issuer: ci, audience: a, jwks_file: /nonexistent }"),
            "login.bearer.issuers[0].jwks_file",
            "cannot use /nonexistent",
        ),
        (
            issuer("{ issuer: 'https://a.example', audience: a, algorithms: [HS256] }"),
            "login.bearer.issuers[0].algorithms[0]",
            "is not an algorithm that proves a private key",
        ),
        (
            issuer(
                "{ issuer: 'https://a.example', audience: a }, { issuer: 'https://a.example', audience: b }",
            ),
            "login.bearer.issuers[1].issuer",
            "is there already",
        ),
    ] {
        let found = problems(&yaml);
        let named = found.iter().any(|(at, what)| at == key && what.contains(message));
        assert!(named, "{yaml}\n{found:?}");
    }
}

#[test]
fn whoever_is_known_before_they_come_can_log_in() {
    assert_eq!(problems("trusted_proxies: [10.0.0.1]\nlogin: { trusted_header: { user: A } }"), []);
    assert_eq!(
        problems("login: { bearer: { issuers: [{ issuer: 'https://a.example', audience: a }] } }"),
        []
    );
}

/// The YAML of a document, each piece made whole.
fn pieces(document: &str) -> Vec<String> {
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$UT2hYnmrAw8cel3Obdh0tQ$jokjapsFM/89O3APjk6Jox1K2TdSnumT+eyIPONr7bo";
    let blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = |block: &str| {
        let listen = if block.contains("listen:") { "" } else { "listen: 127.0.0.1:8080\n" };
        format!("upstream: http://127.0.0.1:3000\n{listen}{block}")
            .replace("$argon2id$v=19$m=19456,t=2,p=1$...", hash)
    };
    blocks.map(whole).collect()
}

#[test]
fn the_examples_in_the_documents_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).expect("signed");
    write("server.crt", &cert.pem());
    write("server.key", &signing_key.serialize_pem());
    write("clients.pem", &cert.pem());
    write(
        "keys.json",
        r#"{ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }"#,
    );
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, count) in [("api-clients.md", 4), ("outer-proxies.md", 4)] {
        let pieces = pieces(&std::fs::read_to_string(docs.join(name)).expect("readable"));
        assert_eq!(pieces.len(), count, "{name}");
        for piece in pieces {
            write("cloakroom.yaml", &piece);
            let read = inspect(&Source::File(directory.path().join("cloakroom.yaml")));
            read.unwrap_or_else(|problems| panic!("{name}: {problems}\n{piece}"));
        }
    }
}
