//! Assertion: a signed statement of who is asking, for applications that want proof (`X-Auth-Assertion`).
//!
//! Comes in: who is asking, where their request goes, and the time. Goes out: a JSON Web Token (RFC 7519) that counts for at
//! most a minute, at one upstream, for one method and target; and the public keys that verify it (RFC 7517). Never says
//! anything about somebody who is not logged in. `docs/assertion.md` is written for those who verify it.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Method;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::identity::Identity;

mod kept;
pub mod keys;

pub use kept::Assertions;
use keys::SigningKey;

/// The header.
pub const NAME: &str = "X-Auth-Assertion";

/// The longest an assertion may count.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Signs assertions as configured (`identity.assertion:`).
#[derive(Debug)]
pub struct Signer {
    /// The first signs.
    keys: Vec<SigningKey>,
    /// The JOSE header, encoded.
    header: String,
    issuer: String,
    lifetime: Duration,
    most_groups: usize,
    published: Bytes,
}

/// What is said in one assertion.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Who is asking.
    pub identity: &'a Identity,
    /// What stands for their session at this upstream, as in `Session-Id`.
    pub session: Option<&'a str>,
    /// When they logged in.
    pub authenticated_at: Option<Timestamp>,
    /// Who shall believe it.
    pub audience: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The request's target: path and query as they are sent to the upstream.
    pub target: &'a str,
}

/// The claims, in the order in which they are written.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    iat: u64,
    exp: u64,
    jti: String,
    req: String,
}

impl Signer {
    /// Signs with the first key, in the name of `issuer` (a URL). Assertions count for `lifetime`, at most [`LONGEST`], and
    /// name groups of `most_groups` bytes together.
    ///
    /// # Panics
    /// Without a key: the configuration makes one where none is given.
    pub fn new(keys: Vec<SigningKey>, issuer: String, lifetime: Duration, most_groups: usize) -> Self {
        let first = keys.first().expect("there is always a key to sign with");
        let header = serde_json::json!({ "alg": first.algorithm(), "typ": "JWT", "kid": first.id() });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let published: Vec<_> = keys.iter().map(SigningKey::jwk).collect();
        let published = serde_json::json!({ "keys": published }).to_string().into();
        Self { header, issuer, lifetime: lifetime.min(LONGEST), most_groups, published, keys }
    }

    /// The public keys, as a JSON Web Key Set.
    pub fn published(&self) -> &Bytes {
        &self.published
    }

    /// How long an assertion counts.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A signed statement, and how many groups were left out of it.
    pub fn sign(&self, statement: &Statement<'_>, now: Timestamp) -> (String, usize) {
        let Statement { identity, session, authenticated_at, audience, method, target } = *statement;
        let mut room = self.most_groups;
        let fits = |group: &&str| {
            let fits = group.len() < room;
            room -= if fits { group.len() + 1 } else { 0 };
            fits
        };
        let groups: Vec<_> = identity.groups().filter(fits).collect();
        let left_out = identity.groups().count() - groups.len();
        let claims = Claims {
            iss: &self.issuer,
            aud: audience,
            sub: identity.user(),
            user: identity.user(),
            email: identity.email(),
            name: identity.name(),
            groups,
            sid: session,
            auth_time: authenticated_at.map(Timestamp::unix_seconds),
            iat: now.unix_seconds(),
            exp: now.unix_seconds() + self.lifetime.as_secs(),
            jti: fresh_id(),
            req: request_digest(method, target),
        };
        let claims = serde_json::to_vec(&claims).expect("texts and numbers become JSON");
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.keys[0].sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        (token, left_out)
    }
}

/// What binds an assertion to its request: base64url of SHA-256 of method, a space and the target, without padding.
pub fn request_digest(method: &Method, target: &str) -> String {
    let line = [method.as_str(), " ", target].concat();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, line.as_bytes()))
}

fn fresh_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
    use serde_json::Value;

    use super::keys::Algorithm;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_500);

    fn alice() -> Identity {
        let groups = ["staff".to_owned(), "경리".to_owned(), "g".repeat(200)];
        Identity::new("alice", Some("alice@example.com"), None, &groups).expect("valid")
    }

    fn signer(algorithm: Algorithm) -> Signer {
        let key = |id| SigningKey::from_pem(Some(id), SigningKey::make(algorithm).as_bytes()).expect("a key");
        let issuer = "https://app.example.com".to_owned();
        Signer::new(vec![key("new"), key("old")], issuer, Duration::from_secs(3600), 100)
    }

    fn statement(identity: &Identity) -> Statement<'_> {
        Statement {
            identity,
            session: Some("digest"),
            authenticated_at: Some(Timestamp::from_unix_millis(1_799_999_000_000)),
            audience: "reports",
            method: &Method::GET,
            target: "/a?b=%2F",
        }
    }

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).expect("base64url")
    }

    fn json(part: &str) -> Value {
        serde_json::from_slice(&decoded(part)).expect("JSON")
    }

    #[test]
    fn an_assertion_says_who_asks_for_what() {
        let signer = signer(Algorithm::EdDsa);
        let (token, left_out) = signer.sign(&statement(&alice()), NOW);
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(json(parts[0]), serde_json::json!({ "alg": "EdDSA", "typ": "JWT", "kid": "new" }));
        let mut claims = json(parts[1]);
        let id = claims["jti"].take();
        assert_eq!(id.as_str().map(str::len), Some(22));
        assert_ne!(
            json(signer.sign(&statement(&alice()), NOW).0.split('.').nth(1).expect("claims"))["jti"],
            id
        );
        let expected = serde_json::json!({
            "iss": "https://app.example.com", "aud": "reports", "sub": "alice", "user": "alice",
            "email": "alice@example.com", "groups": ["staff", "경리"], "sid": "digest",
            "auth_time": 1_799_999_000, "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": null,
            "req": "bA7dwyrHP5vjJyABZmKyBTbLPKK_LJzqJ0rqIi0hbAo",
        });
        let sum = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"GET /a?b=%2F"));
        assert_eq!(claims["req"], sum);
        claims["req"] = expected["req"].clone();
        assert_eq!(
            (claims, left_out),
            (expected, 1),
            "no more groups than fit, and never longer than a minute"
        );
    }

    #[test]
    fn the_published_keys_verify_what_the_first_of_them_signed() {
        let verifies = |algorithm: &'static dyn VerificationAlgorithm, key: Vec<u8>, token: &str| {
            let (signed, signature) = token.rsplit_once('.').expect("three parts");
            UnparsedPublicKey::new(algorithm, key).verify(signed.as_bytes(), &decoded(signature)).is_ok()
        };
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let signer = signer(algorithm);
            let (token, _) = signer.sign(&statement(&alice()), NOW);
            let published: Value = serde_json::from_slice(signer.published()).expect("JSON");
            let verified = [0, 1].map(|at| {
                let key = &published["keys"][at];
                assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &algorithm.name().into()));
                assert!(key.get("d").is_none(), "never the private key");
                match algorithm {
                    Algorithm::EdDsa => verifies(&ED25519, decoded(&text(&key["x"])), &token),
                    Algorithm::Es256 => {
                        let point = [vec![4], decoded(&text(&key["x"])), decoded(&text(&key["y"]))].concat();
                        verifies(&ECDSA_P256_SHA256_FIXED, point, &token)
                    }
                }
            });
            assert_eq!(verified, [true, false]);
            assert_eq!(
                (&published["keys"][0]["kid"], &published["keys"][1]["kid"]),
                (&"new".into(), &"old".into())
            );
        }
    }
}
