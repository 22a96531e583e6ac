//! Proof: what applications are told of a person beyond the usual headers: assertions, headers by template, passwords.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom::config::{Config, Problems, Source, inspect, load};
use serde_json::Value;

use crate::support::{Browser, EchoUpstream, Message, TestGateway};

const SIGNED: &str = "
    public_url: http://app.example
    allow_insecure: true
    session: { cookie: { secure: false, name: cloakroom } }
    trusted_proxies: [127.0.0.1]
    identity: { assertion: {} }
    upstreams:
      app: { servers: ['http://$UPSTREAM'] }
      reports: { servers: ['http://$UPSTREAM'], audience: https://reports.example }
    routes:
      - { path: /open/, access: public, upstream: app }
      - { path: /reports/, upstream: reports, strip_prefix: /reports }
      - { path: /, access: optional, upstream: app }
";

fn start(yaml: &str) -> (EchoUpstream, TestGateway, Browser) {
    let upstream = EchoUpstream::start();
    let gateway = TestGateway::before(&upstream, yaml);
    let mut alice = Browser::of(&gateway);
    if yaml.contains("public_url") {
        alice.set_field("Origin", "http://app.example");
    }
    alice.sign_in("alice");
    (upstream, gateway, alice)
}

#[track_caller]
fn last(upstream: &EchoUpstream) -> Message {
    upstream.requests().pop().expect("something arrived")
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

/// The claims of an assertion that one of the published keys verifies.
#[track_caller]
fn verified(gateway: &TestGateway, token: &str) -> Value {
    let published = Browser::of(gateway).get("/_cloakroom/jwks.json");
    assert_eq!(published.status, 200);
    assert_eq!(published.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(published.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(published.header("set-cookie"), None);
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let json = |part| serde_json::from_slice::<Value>(&decoded(part)).expect("JSON");
    let kid = json(header)["kid"].clone();
    let keys = published.json()["keys"].clone();
    let key = keys.as_array().expect("a list").iter().find(|key| key["kid"] == kid).expect("the key").clone();
    let public = decoded(key["x"].as_str().expect("text"));
    UnparsedPublicKey::new(&ED25519, public)
        .verify(signed.as_bytes(), &decoded(signature))
        .expect("verified");
    json(claims)
}

#[test]
fn an_assertion_proves_who_asks_for_what_and_is_used_again() {
    let (upstream, gateway, mut alice) = start(SIGNED);
    alice.request(
        "GET",
        "/reports/a?b=%2F",
        &[("X-Auth-Assertion", "mine"), ("x_auth_assertion", "mine")],
        b"",
    );
    let seen = last(&upstream);
    let assertions = seen.headers("x-auth-assertion");
    assert_eq!(assertions.len(), 1, "{}", seen.head);
    assert!(!seen.head.contains("mine"));
    let token = seen.header("x-auth-assertion").expect("signed").to_owned();
    let claims = verified(&gateway, &token);
    for (claim, value) in [
        ("iss", "http://app.example"),
        ("aud", "https://reports.example"),
        ("sub", "alice"),
        ("user", "alice"),
        ("email", "alice@example.com"),
        ("name", "Alice Example"),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert_eq!(claims["groups"], serde_json::json!(["staff", "finance"]));
    assert_eq!(claims["sid"], seen.header("session-id").expect("told"));
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|iat| iat + 60));
    assert_eq!(seen.line(), "GET /a?b=%2F HTTP/1.1", "as the application sees it");
    assert_eq!(claims["req"], URL_SAFE_NO_PAD.encode(digest(&SHA256, b"GET /a?b=%2F")));

    let again = |alice: &mut Browser, method: &str, target: &str| {
        alice.request(method, target, &[], b"");
        last(&upstream).header("x-auth-assertion").expect("signed").to_owned()
    };
    gateway.advance(Duration::from_secs(29));
    assert_eq!(again(&mut alice, "GET", "/reports/a?b=%2F"), token);
    for (method, target) in [("GET", "/reports/a?b=2"), ("DELETE", "/reports/a?b=%2F"), ("GET", "/a?b=%2F")] {
        let other = again(&mut alice, method, target);
        let claims = verified(&gateway, &other);
        assert_ne!(other, token);
        let of_app = target == "/a?b=%2F";
        assert_eq!(claims["aud"], if of_app { "app" } else { "https://reports.example" });
    }
    gateway.advance(Duration::from_secs(2));
    assert_ne!(again(&mut alice, "GET", "/reports/a?b=%2F"), token, "half of its time is over");
    let mut bob = Browser::of(&gateway);
    bob.set_field("Origin", "http://app.example");
    bob.sign_in("bob");
    let claims = verified(&gateway, &again(&mut bob, "GET", "/reports/a?b=%2F"));
    assert_eq!(
        (&claims["sub"], &claims["groups"], claims.get("email")),
        (&"bob".into(), &serde_json::json!([]), None)
    );
}

#[test]
fn nothing_is_asserted_of_nobody() {
    let (upstream, gateway, mut alice) = start(SIGNED);
    alice.get("/open/");
    assert_eq!(last(&upstream).header("x-auth-assertion"), None);
    Browser::of(&gateway).get("/");
    assert_eq!(last(&upstream).header("x-auth-assertion"), None);
}

#[test]
fn a_proxy_that_asks_is_given_an_assertion_for_the_request_in_question() {
    let (_upstream, gateway, mut alice) = start(SIGNED);
    let said = [("X-Forwarded-Method", "PUT"), ("X-Forwarded-Uri", "/x?y")];
    let answer = alice.request("GET", "/_cloakroom/auth", &said, b"");
    let claims = verified(&gateway, answer.header("x-auth-assertion").expect("signed"));
    assert_eq!(claims["req"], URL_SAFE_NO_PAD.encode(digest(&SHA256, b"PUT /x?y")));
}

#[test]
fn without_assertions_there_are_no_keys() {
    let (_upstream, _gateway, mut alice) = start("log: { level: error }");
    assert_eq!(alice.get("/_cloakroom/jwks.json").status, 404);
}

fn read(text: &str) -> Result<Config, Problems> {
    let text =
        format!("listen: 127.0.0.1:0\nlogin: {{ local: {{ users_file: /dev/null }} }}\nadmin: off\n{text}");
    load(&Source::Text { name: "t.yaml".to_owned(), text })
}

#[test]
fn the_key_is_made_once_and_kept_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    for algorithm in ["EdDSA", "ES256"] {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        let text = format!(
            "state_dir: {}\npublic_url: https://a.example\nupstream: http://127.0.0.1:1\n\
             identity: {{ assertion: {{ algorithm: {algorithm} }} }}",
            state.display()
        );
        let published = || read(&text).expect("valid").assertion.expect("a signer").published().clone();
        let first = published();
        assert_eq!(first, published(), "a restart makes no other");
        let key = state.join(format!("assertion-{algorithm}.pem"));
        assert_eq!(std::fs::metadata(&key).expect("made").permissions().mode() & 0o777, 0o600);
        std::fs::write(&key, "nonsense").expect("written");
        let problems = read(&text).expect_err("refused").to_string();
        assert!(problems.contains("no private key"), "{problems}");
        assert_eq!(std::fs::read_to_string(&key).expect("there"), "nonsense", "never overwritten");
    }
}

#[test]
fn keys_of_ones_own_are_published_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let name = |name: &str| directory.path().join(name).display().to_string();
    use cloakroom::headers::assertion::keys::{Algorithm, SigningKey};
    for (file, algorithm) in [("new.pem", Algorithm::EdDsa), ("old.pem", Algorithm::Es256)] {
        std::fs::write(name(file), SigningKey::make(algorithm).as_bytes()).expect("written");
    }
    let yaml = |second: &str| {
        format!(
            "public_url: https://a.example\nupstream: http://127.0.0.1:1\nidentity: {{ assertion: {{ keys: [\
             {{ id: new, file: {} }}, {{ id: old, file: {} }}] }} }}",
            name("new.pem"),
            name(second)
        )
    };
    let signer = read(&yaml("old.pem")).expect("valid").assertion.expect("a signer");
    let published: Value = serde_json::from_slice(signer.published()).expect("JSON");
    let kinds: Vec<_> =
        (0..2).map(|at| (&published["keys"][at]["kid"], &published["keys"][at]["alg"])).collect();
    assert_eq!(kinds, [(&"new".into(), &"EdDSA".into()), (&"old".into(), &"ES256".into())]);
    let problems = read(&yaml("none.pem")).expect_err("refused").to_string();
    assert!(problems.contains("there is no such file") && problems.contains("openssl genpkey"), "{problems}");
}

#[test]
fn headers_by_template_say_what_the_operator_wants() {
    let (upstream, gateway, mut alice) = start(
        "
         identity:
           extra_headers:
             X-Who: '{name} <{email}>'
             X-Roles: '{groups|;}'
             X-Department: '{claims.department}'
             X-Gateway: cloakroom
           groups_separator: ', '
         routes: [{ path: /, access: optional }]",
    );
    let spoofed = [("X_Who", "root"), ("x-roles", "root"), ("X-DEPARTMENT", "root"), ("X.Gateway", "root")];
    alice.request("GET", "/", &spoofed, b"");
    let seen = last(&upstream);
    for (name, value) in [
        ("x-who", Some("Alice Example <alice@example.com>")),
        ("x-roles", Some("staff;finance")),
        ("x-department", None),
        ("x-gateway", Some("cloakroom")),
        ("x-auth-groups", Some("staff, finance")),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    let mut nobody = Browser::of(&gateway);
    nobody.request("GET", "/", &spoofed, b"");
    assert!(!last(&upstream).head.contains("X-Who") && !last(&upstream).head.contains("root"));
}

#[test]
fn what_cannot_be_said_in_a_header_is_an_error_of_the_configuration() {
    for (identity, why) in [
        ("extra_headers: { X-A: '{usr}' }", "is not known"),
        ("extra_headers: { X-A: '{user' }", "a brace has no partner"),
        ("extra_headers: { 'X A': '{user}' }", "is not a header name"),
        ("extra_headers: { Cookie: '{user}' }", "has a meaning of its own"),
        ("extra_headers: { X_Auth_User: '{user}' }", "cannot tell"),
        ("extra_headers: { X-Auth-Assertion: '{user}' }", "has a meaning of its own"),
        ("extra_headers: { X-A: \"a\\r\\nX-B: 1\" }", "cannot be sent"),
        ("extra_headers: { X-A: '안녕 {user}' }", "beyond ASCII"),
        ("groups_separator: x", "does not separate"),
        ("max_bytes: 100B", "too small"),
        ("encoding: latin1", "unknown value"),
        ("assertion: {}", "there is no `public_url`"),
        ("assertion: { lifetime: 5m }", "10 to 60 seconds"),
        ("assertion: { algorithm: RS256 }", "unknown value"),
    ] {
        let text = format!("upstream: http://127.0.0.1:1\nidentity: {{ {identity} }}");
        let problems = read(&text).expect_err(identity).to_string();
        assert!(problems.contains(why), "{identity}: {problems}");
    }
}

/// What the application was told in `Authorization`.
#[track_caller]
fn told(upstream: &EchoUpstream) -> Option<String> {
    let seen = last(upstream);
    let values = seen.headers("authorization");
    assert!(values.len() <= 1, "{}", seen.head);
    let pair = seen.header("authorization")?.strip_prefix("Basic ").expect("the scheme").to_owned();
    Some(String::from_utf8(STANDARD.decode(pair).expect("base64")).expect("UTF-8"))
}

#[test]
fn an_application_that_wants_a_password_gets_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("people.yaml");
    std::fs::write(&file, "alice: { user: ALICE01, password: 'wonder:land' }\n").expect("written");
    let yaml = format!(
        "
         upstreams:
           legacy:
             servers: ['http://$UPSTREAM']
             credentials: {{ basic: {{ user: 'corp-{{user}}', password: all, users_file: {} }} }}
         routes:
           - {{ path: /service/, access: public, upstream: legacy, credentials: {{ basic: {{ user: service, password: secret }} }} }}
           - {{ path: /kept/, upstream: legacy, credentials: {{ basic: {{ from_session: word }} }} }}
           - {{ path: /, access: optional, upstream: legacy }}",
        file.display()
    );
    let (upstream, gateway, mut alice) = start(&yaml);
    let own = [("Authorization", "Basic cm9vdDpyb290")];
    for (is_alice, target, expected) in [
        (true, "/", Some("ALICE01:wonder:land")),
        (true, "/service/", Some("service:secret")),
        (true, "/kept/", None),
        (false, "/", None),
        (false, "/service/", Some("service:secret")),
    ] {
        let mut nobody = Browser::of(&gateway);
        let browser = if is_alice { &mut alice } else { &mut nobody };
        assert_eq!(browser.request("GET", target, &own, b"").status, 200);
        assert_eq!(told(&upstream).as_deref(), expected, "{target}");
    }
    let mut bob = Browser::of(&gateway);
    bob.sign_in("bob");
    bob.get("/");
    assert_eq!(told(&upstream).as_deref(), Some("corp-bob:all"));
}

#[test]
fn a_password_may_be_kept_in_the_session() {
    let upstream = EchoUpstream::answering(
        "HTTP/1.1 200 OK\r\nSession-Set: word=\"open sesame\"\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = TestGateway::before(
        &upstream,
        "upstream: { servers: ['http://$UPSTREAM'], credentials: { basic: { from_session: word } } }",
    );
    let mut alice = Browser::of(&gateway);
    alice.sign_in("alice");
    alice.get("/");
    assert_eq!(told(&upstream), None);
    alice.get("/");
    assert_eq!(told(&upstream).as_deref(), Some("alice:open sesame"));
}

#[test]
fn credentials_that_would_not_work_are_errors_that_show_no_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("people.yaml");
    std::fs::write(&file, "alice: [wonderland]\nbob: { pasword: wonderland }\n").expect("written");
    let broken = format!("basic: {{ users_file: {} }}", file.display());
    for (credentials, why) in [
        ("{}", "credentials of no kind"),
        ("basic: {}", "a user without a password"),
        ("basic: { user: '{usr}', password: wonderland }", "is not known"),
        ("basic: { user: 'a:{user}', password: wonderland }", "no colon"),
        ("basic: { from_session: 'A b' }", "is not a key"),
        ("basic: { users_file: none.yaml }", "cannot read"),
        ("basic: { pasword: wonderland }", "did you mean `password`?"),
        (broken.as_str(), "pasword"),
    ] {
        let inner = if credentials == "{}" { credentials.to_owned() } else { format!("{{ {credentials} }}") };
        let text = format!("upstream: {{ servers: [http://127.0.0.1:1], credentials: {inner} }}");
        let problems = read(&text).expect_err(credentials).to_string();
        assert!(problems.contains(why), "{credentials}: {problems}");
        assert!(!problems.contains("wonderland"), "{problems}");
    }
    let text = "listen: 127.0.0.1:0\nlogin: { local: { users_file: /dev/null } }\n\
                upstream: { servers: [http://127.0.0.1:1], credentials: { basic: { password: wonderland } } }";
    let config = inspect(&Source::Text { name: "t.yaml".to_owned(), text: text.to_owned() }).expect("valid");
    assert!(!format!("{config:?}").contains("wonderland"));
}

#[test]
fn the_documented_configurations_can_be_run_as_they_stand() {
    use cloakroom::headers::assertion::keys::{Algorithm, SigningKey};
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let directory = tempfile::tempdir().expect("a directory");
    for file in ["assertion-2026.pem", "assertion-2027.pem"] {
        let key = SigningKey::make(Algorithm::EdDsa);
        std::fs::write(directory.path().join(file), key.as_bytes()).expect("written");
    }
    std::fs::write(directory.path().join("users.yaml"), "{}").expect("written");
    let mut count = 0;
    for document in ["forward-auth.md", "assertion.md", "identity.md"] {
        let text = std::fs::read_to_string(docs.join(document)).expect("readable");
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            if !block.contains("upstream") {
                // That is for another proxy.
                continue;
            }
            let path = directory.path().join("cloakroom.yaml");
            std::fs::write(&path, block).expect("written");
            inspect(&Source::File(path)).unwrap_or_else(|problems| panic!("{document}: {problems}\n{block}"));
            count += 1;
        }
    }
    assert_eq!(count, 5);
}
