//! Bearer: tokens of issuers that are trusted, and everything that can be wrong with one.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Browser, EchoUpstream, Message, Raw, TestGateway, assert_refused};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

/// Somebody who signs tokens.
struct Signer {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("made"), id }
    }

    fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn public(&self) -> Value {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig",
            "x": coordinate(&self.point()[1..33]), "y": coordinate(&self.point()[33..]),
        })
    }

    fn set(&self) -> Value {
        json!({ "keys": [self.public()] })
    }

    fn sign(&self, head: &Value, claims: &Value) -> String {
        let signed = unsigned(head, claims);
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = self.pair.sign(&random, signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.id }), claims)
    }
}

fn unsigned(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

fn claims(change: &[(&str, Value)]) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "api", "sub": "robot", "exp": NOW + 300, "iat": NOW, "groups": ["machines"],
        "scope": "orders.read orders.write", "email": "robot@example.com",
    });
    for (name, value) in change {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("a map").remove(*name)),
            value => claims[*name] = value.clone(),
        }
    }
    claims
}

/// A gateway that knows one issuer, whose keys are in a file.
fn gateway(upstream: &EchoUpstream, signer: &Signer, further: &str) -> (TestGateway, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    std::fs::write(&path, signer.set().to_string()).expect("written");
    let yaml = format!(
        "routes:
  - {{ path: /public, access: public }}
  - {{ path: /machines, access: {{ groups: [machines] }} }}
  - {{ path: /fresh, access: {{ within: 15m }} }}
  - {{ path: / }}
login:
  local: {{ users: {{ alice: '$HASH' }} }}
  bearer:
    issuers:
      - issuer: {ISSUER}
        audience: [api, other]
        jwks_file: '{}'
        {further}
",
        path.display()
    );
    (TestGateway::before(upstream, &yaml), directory)
}

fn ask(gateway: &TestGateway, path: &str, token: &str) -> Message {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
    Raw::ask(gateway.address(), request)
}

#[track_caller]
fn assert_invalid(response: &Message) {
    assert_refused(response, 401, "invalid_token");
    let challenge = "Bearer realm=\"cloakroom\", error=\"invalid_token\"";
    assert!(response.headers("www-authenticate").contains(&challenge), "{}", response.head);
}

#[test]
fn a_genuine_token_lets_a_program_pass_and_nothing_is_kept() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) = gateway(&upstream, &signer, "");
    let token = signer.token(&claims(&[]));
    for _ in 0..3 {
        let response = ask(&gateway, "/machines", &token);
        assert_eq!((response.status, response.header("set-cookie")), (200, None), "{}", response.head);
    }
    let seen = upstream.requests().pop().expect("three came");
    assert_eq!(seen.header("x-auth-user"), Some("robot"));
    assert_eq!(seen.header("x-auth-email"), Some("robot@example.com"));
    assert_eq!((seen.header("x-auth-groups"), seen.header("authorization")), (Some("machines"), None));
    assert_eq!(gateway.sessions(), (0, 0));
    assert_eq!(ask(&gateway, "/_cloakroom/session", &token).json()["user"], "robot");
    assert_eq!(ask(&gateway, "/public", &token).status, 200);
    let seen = upstream.requests().pop().expect("it came");
    assert_eq!(seen.header("x-auth-user"), None);
    assert!(seen.header("authorization").is_some(), "nobody looked at it");
    let plain = Raw::ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(plain.headers("www-authenticate").contains(&"Bearer realm=\"cloakroom\""), "{}", plain.head);
}

#[test]
fn each_thing_that_is_wrong_with_a_token_is_refused() {
    let (upstream, signer, stranger) = (EchoUpstream::start(), Signer::new("k1"), Signer::new("k1"));
    let (gateway, _directory) = gateway(&upstream, &signer, "");
    for change in [
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://id.example/")),
        ("iss", Value::Null),
        ("aud", json!("apis")),
        ("aud", json!(["x", "y"])),
        ("aud", Value::Null),
        ("exp", json!(NOW - 61)),
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(NOW + 61)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("a\r\nX-Auth-Groups: root")),
        ("cnf", json!({ "jkt": "x" })),
    ] {
        let token = signer.token(&claims(std::slice::from_ref(&change)));
        assert_invalid(&ask(&gateway, "/", &token));
    }
    let good = claims(&[]);
    let head = |change: Value| {
        let mut head = json!({ "alg": "ES256", "kid": "k1" });
        head.as_object_mut().expect("a map").extend(change.as_object().expect("a map").clone());
        head
    };
    for change in [
        json!({ "kid": "k2" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "es256" }),
        json!({ "crit": ["x"] }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "dpop+jwt" }),
    ] {
        assert_invalid(&ask(&gateway, "/", &signer.sign(&head(change), &good)));
    }
    assert_invalid(&ask(&gateway, "/", &stranger.token(&good)));
    let none = unsigned(&json!({ "alg": "none" }), &good);
    for token in [
        format!("{none}."),
        none.clone(),
        format!("{none}.x"),
        "x".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ] {
        assert_invalid(&ask(&gateway, "/", &token));
    }
    let genuine = signer.token(&good);
    let (signed, signature) = genuine.rsplit_once('.').expect("three parts");
    let other = unsigned(&json!({ "alg": "ES256", "kid": "k1" }), &claims(&[("sub", json!("root"))]));
    assert_invalid(&ask(&gateway, "/", &format!("{other}.{signature}")));
    assert_invalid(&ask(&gateway, "/", signed));
    assert_eq!(upstream.connections(), 0);
    assert_eq!(ask(&gateway, "/", &genuine).status, 200);
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) = gateway(&upstream, &signer, "");
    let jwk = signer.public().to_string();
    for secret in [signer.point(), &signer.point()[1..], jwk.as_bytes(), b""] {
        for alg in ["HS256", "HS384", "HS512"] {
            let signed = unsigned(&json!({ "alg": alg, "kid": "k1" }), &claims(&[]));
            let algorithm = match alg {
                "HS256" => hmac::HMAC_SHA256,
                "HS384" => hmac::HMAC_SHA384,
                _ => hmac::HMAC_SHA512,
            };
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
            assert_invalid(&ask(&gateway, "/", &format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))));
        }
    }
}

#[test]
fn what_is_remembered_of_a_token_ends_with_it() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) = gateway(&upstream, &signer, "");
    let token = signer.token(&claims(&[("exp", json!(NOW + 10))]));
    assert_eq!(ask(&gateway, "/", &token).status, 200);
    gateway.advance(Duration::from_secs(69));
    assert_eq!(ask(&gateway, "/", &token).status, 200, "clocks may differ by a minute");
    gateway.advance(Duration::from_secs(1));
    assert_invalid(&ask(&gateway, "/", &token));
}

#[test]
fn a_scope_that_is_missing_is_said() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) =
        gateway(&upstream, &signer, "required: { scope: [orders.read, orders.write], tenant: a }");
    let with = |scope: Value| {
        ask(&gateway, "/", &signer.token(&claims(&[("scope", scope), ("tenant", json!("a"))])))
    };
    assert_eq!(with(json!("orders.write openid orders.read")).status, 200);
    assert_eq!(with(json!(["orders.write", "orders.read"])).status, 200);
    for scope in [json!("orders.read"), json!("orders.reads orders.write"), json!(""), Value::Null] {
        let refused = with(scope);
        assert_refused(&refused, 403, "insufficient_scope");
        let challenge = refused.header("www-authenticate").expect("why");
        assert!(challenge.contains("error=\"insufficient_scope\", scope=\"orders."), "{challenge}");
    }
    let other = signer.token(&claims(&[("tenant", json!("b"))]));
    assert_refused(&ask(&gateway, "/", &other), 403, "insufficient_scope");
}

#[test]
fn a_token_is_as_fresh_as_it_says() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) = gateway(&upstream, &signer, "");
    let with = |name: &str, time: Value| ask(&gateway, "/fresh", &signer.token(&claims(&[(name, time)])));
    assert_eq!(with("iat", json!(NOW - 60)).status, 200);
    assert_refused(&with("iat", json!(NOW - 901)), 401, "login_too_old");
    assert_refused(&with("iat", Value::Null), 401, "login_too_old");
    assert_refused(&with("auth_time", json!(NOW - 901)), 401, "login_too_old");
}

#[test]
fn a_token_counts_before_a_session() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let (gateway, _directory) =
        gateway(&upstream, &signer, "prefix: 'id:'\n        claims: { user: email, groups: none }");
    let mut browser = Browser::of(&gateway);
    browser.sign_in("alice");
    let mut with = |token: String| {
        let bearer = format!("Bearer {token}");
        browser.request("GET", "/", &[("Authorization", &bearer), ("Sec-Fetch-Mode", "cors")], b"")
    };
    assert_eq!(with(signer.token(&claims(&[]))).status, 200);
    let seen = upstream.only_request();
    assert_eq!(seen.header("x-auth-user"), Some("id:robot@example.com"));
    assert_eq!((seen.header("x-auth-groups"), seen.header("session-id")), (None, None));
    assert_invalid(&with("x".to_owned()));
    for denied in [json!(false), json!("false")] {
        let unverified = claims(&[("email_verified", denied)]);
        assert_invalid(&with(signer.token(&unverified)));
    }
}

/// An issuer's keys, served at an address of this machine.
fn served(set: &Value) -> EchoUpstream {
    let body = set.to_string();
    EchoUpstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn with_keys_at(upstream: &EchoUpstream, keys: &str) -> TestGateway {
    let yaml = format!(
        "login:\n  bearer:\n    issuers: [{{ issuer: {ISSUER}, audience: api, jwks_uri: 'http://{keys}/keys' }}]\n"
    );
    TestGateway::before(upstream, &yaml)
}

#[test]
fn keys_are_asked_for_once_and_only_of_issuers_that_are_trusted() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let issuer = served(&signer.set());
    let gateway = with_keys_at(&upstream, &issuer.address().to_string());
    let foreign = signer.token(&claims(&[("iss", json!(format!("http://{}", issuer.address())))]));
    assert_invalid(&ask(&gateway, "/", &foreign));
    assert_eq!(issuer.connections(), 0);
    for number in 0..5 {
        let token = signer.token(&claims(&[("jti", json!(number))]));
        assert_eq!(ask(&gateway, "/", &token).status, 200);
    }
    assert_eq!(issuer.requests().len(), 1);
    let unknown = Signer::new("k2");
    for _ in 0..5 {
        assert_invalid(&ask(&gateway, "/", &unknown.token(&claims(&[]))));
    }
    // On a machine that is slow it may be asked once more meanwhile.
    assert!(issuer.requests().len() <= 2, "not again right after it was asked");
}

#[test]
fn an_issuer_that_is_away_is_no_reason_to_let_anybody_in() {
    let (upstream, signer) = (EchoUpstream::start(), Signer::new("k1"));
    let gone = EchoUpstream::answering_once("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let gateway = with_keys_at(&upstream, &gone.address().to_string());
    let refused = ask(&gateway, "/", &signer.token(&claims(&[])));
    assert_refused(&refused, 503, "login_unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(upstream.connections(), 0);
}
