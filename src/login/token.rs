//! Token: is it genuine, and for us?
//!
//! Comes in: a JSON Web Token (RFC 7519), keys, and what is wanted of it. Goes out: its claims, or the one thing that is
//! wrong with it. Takes signatures that only the holder of a private key can make, and no others: never `none`, never an
//! HMAC. Never fetches a key: [`issuer`](crate::login::issuer) does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// Clocks may differ by so much.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Bytes of the longest token that is looked at.
const LONGEST: usize = 64 * 1024;

/// Keys of a set that are used; the rest is left out.
const MOST_KEYS: usize = 64;

/// What is wanted of a token.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its `iss`, exactly.
    pub issuer: &'a str,
    /// One of these is among its `aud`.
    pub audiences: &'a [String],
    /// Its `alg` is one of these; empty: any that proves a private key.
    pub algorithms: &'a [String],
    /// Whether it must say when it expires.
    pub expires: bool,
}

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token at all.
    #[error("it is not a signed token")]
    Malformed,
    /// `none`, an HMAC, or one that is not allowed here.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// Its issuer has no key of this id, or none that fits.
    #[error("it was signed with an unknown key")]
    UnknownKey,
    /// It was changed, or signed by somebody else.
    #[error("its signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
    /// It is somebody else's.
    #[error("it comes from another issuer")]
    Issuer,
    /// It is meant for somebody else.
    #[error("it is meant for another audience")]
    Audience,
    /// It does not say something that it must.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// What stands at a path: a claim of that very name, or else the parts of it one below the other
    /// (`realm_access.roles`).
    pub fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(path) {
            return Some(value);
        }
        let mut parts = path.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The text there.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// All texts there: of a list, or one alone; numbers and truth values as they are written.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let one = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        match self.at(path) {
            Some(Value::Array(values)) => values.iter().filter_map(one).collect(),
            Some(value) => one(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The time there, in seconds since 1970; what is not a number is none.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        let value = self.0.get(name)?;
        // Fractions of a second are allowed (RFC 7519, section 2), and cut off.
        let text = value.as_number()?.to_string();
        let seconds: u64 = text.split('.').next()?.parse().ok()?;
        Some(Timestamp::from_unix_millis(seconds.checked_mul(1000)?))
    }
}

/// Which claims say what of a person; each as [`Claims::at`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user.
    pub user: String,
    /// The e-mail address.
    pub email: String,
    /// The name for people.
    pub name: String,
    /// The groups.
    pub groups: String,
    /// Others to keep.
    pub keep: Vec<String>,
}

/// Public keys, ready to be used.
#[derive(Default)]
pub struct KeySet(Vec<PublicKey>);

struct PublicKey {
    id: Option<String>,
    algorithm: Option<String>,
    key: DecodingKey,
}

impl KeySet {
    /// The keys of a JSON Web Key Set (RFC 7517) that can be used; others in it do no harm. `None` when it is none.
    pub fn of(set: &Value) -> Option<Self> {
        let keys = set.get("keys")?.as_array()?;
        let usable = keys.iter().filter_map(|key| {
            let key: Jwk = serde_json::from_value(key.clone()).ok()?;
            let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
            let is_public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
            (signs && is_public).then_some(())?;
            Some(PublicKey {
                algorithm: key.common.key_algorithm.map(|algorithm| algorithm.to_string()),
                key: DecodingKey::from_jwk(&key).ok()?,
                id: key.common.key_id,
            })
        });
        Some(Self(usable.take(MOST_KEYS).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that may have signed a token with this head.
    fn fitting(&self, head: &Head, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&PublicKey| head.kid.is_none() || head.kid == key.id;
        let same = move |key: &&PublicKey| {
            key.key.family().algorithms().contains(&algorithm)
                && key.algorithm.as_ref().is_none_or(|named| *named == head.alg)
        };
        self.0.iter().filter(fits).filter(same).map(|key| &key.key)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.0.iter().map(|key| key.id.as_deref().unwrap_or("-")).collect();
        write!(f, "KeySet({})", ids.join(", "))
    }
}

/// The first part of a token (RFC 7515, section 4), as far as it matters.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood: we understand none.
    crit: Option<Value>,
}

/// Verifies a token. What it says of itself is looked at only after its signature was found right.
pub fn verify(token: &str, keys: &KeySet, wanted: &Wanted<'_>, now: Timestamp) -> Result<Claims, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (head, body) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let head: Head = part(head).ok_or(TokenError::Malformed)?;
    if head.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let algorithm = accepted(&head.alg, wanted.algorithms).ok_or(TokenError::Algorithm)?;
    let mut keys = keys.fitting(&head, algorithm).peekable();
    if keys.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    let genuine = |key| crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false);
    if !keys.any(genuine) {
        return Err(TokenError::Signature);
    }
    let claims = Claims(part(body).ok_or(TokenError::Malformed)?);
    check(&claims, wanted, now)?;
    Ok(claims)
}

/// Who a token says has issued it; nothing is proved by that.
pub fn claimed_issuer(token: &str) -> Option<String> {
    let body = token.split('.').nth(1).filter(|_| token.len() <= LONGEST)?;
    Claims(part(body)?).text("iss").map(str::to_owned)
}

fn check(claims: &Claims, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), TokenError> {
    if claims.0.get("iss").and_then(Value::as_str).ok_or(TokenError::Missing("iss"))? != wanted.issuer {
        return Err(TokenError::Issuer);
    }
    let audiences = match claims.0.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Err(TokenError::Missing("aud")),
    };
    if !wanted.audiences.iter().any(|ours| audiences.contains(&ours.as_str())) {
        return Err(TokenError::Audience);
    }
    match claims.time("exp") {
        Some(end) if end.plus(LEEWAY) <= now => return Err(TokenError::Expired),
        None if wanted.expires || claims.0.contains_key("exp") => return Err(TokenError::Missing("exp")),
        _ => {}
    }
    let begins = claims.time("nbf");
    if begins.is_none() && claims.0.contains_key("nbf") {
        return Err(TokenError::Missing("nbf"));
    }
    let early = |time: Timestamp| time > now.plus(LEEWAY);
    if begins.is_some_and(early) || claims.time("iat").is_some_and(early) {
        return Err(TokenError::NotYet);
    }
    Ok(())
}

/// The algorithm of this name, if only a private key can sign with it and it is allowed here.
fn accepted(name: &str, allowed: &[String]) -> Option<Algorithm> {
    let algorithm: Algorithm = name.parse().ok()?;
    let private = !AlgorithmFamily::Hmac.algorithms().contains(&algorithm);
    (private && (allowed.is_empty() || allowed.iter().any(|one| one == name))).then_some(algorithm)
}

/// Whether a name is that of an algorithm that tokens may be signed with.
pub fn is_algorithm(name: &str) -> bool {
    accepted(name, &[]).is_some()
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_unix_millis(NOW * 1000)
    }

    /// A key that signs, and its public half.
    fn pair(id: &str) -> (EncodingKey, Value) {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("made");
        let private = pair.to_pkcs8v1().expect("written");
        let point = pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = json!({
            "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
            "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]),
        });
        (EncodingKey::from_ec_der(private.as_ref()), public)
    }

    fn signed(key: &EncodingKey, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, key).expect("signed")
    }

    fn good() -> Value {
        json!({ "iss": "https://id.example", "aud": ["other", "us"], "exp": NOW + 60, "iat": NOW, "sub": "alice" })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    fn judge(token: &str, keys: &KeySet) -> Result<Claims, TokenError> {
        let audiences = ["us".to_owned()];
        let wanted =
            Wanted { issuer: "https://id.example", audiences: &audiences, algorithms: &[], expires: true };
        verify(token, keys, &wanted, now())
    }

    #[test]
    fn a_genuine_token_is_taken_and_each_thing_wrong_with_it_is_named() {
        let ((key, public), (stranger, _)) = (pair("k1"), pair("k1"));
        let keys = KeySet::of(&json!({ "keys": [{ "kty": "new" }, 7, public] })).expect("a set");
        assert_eq!(keys.len(), 1);
        let token = signed(&key, Some("k1"), &good());
        assert_eq!(judge(&token, &keys).expect("good").text("sub"), Some("alice"));
        assert!(judge(&signed(&key, None, &good()), &keys).is_ok(), "without an id every key is tried");
        let cases = [
            (with("iss", json!("https://evil.example")), TokenError::Issuer),
            (with("iss", json!(["https://id.example"])), TokenError::Missing("iss")),
            (with("aud", json!("other")), TokenError::Audience),
            (with("aud", json!({ "us": 1 })), TokenError::Missing("aud")),
            (with("exp", json!(NOW - 60)), TokenError::Expired),
            (with("exp", json!("tomorrow")), TokenError::Missing("exp")),
            (with("exp", json!(null)), TokenError::Missing("exp")),
            (with("nbf", json!(NOW + 61)), TokenError::NotYet),
            (with("nbf", json!("x")), TokenError::Missing("nbf")),
            (with("iat", json!(NOW + 61)), TokenError::NotYet),
        ];
        for (claims, wrong) in cases {
            assert_eq!(judge(&signed(&key, Some("k1"), &claims), &keys), Err(wrong), "{claims}");
        }
        assert!(judge(&signed(&key, Some("k1"), &with("exp", json!(NOW - 59))), &keys).is_ok(), "the leeway");
        assert!(judge(&signed(&key, Some("k1"), &with("exp", json!(NOW as f64 + 0.5))), &keys).is_ok());
        assert_eq!(judge(&signed(&stranger, Some("k1"), &good()), &keys), Err(TokenError::Signature));
        assert_eq!(judge(&signed(&key, Some("k2"), &good()), &keys), Err(TokenError::UnknownKey));
    }

    #[test]
    fn a_token_that_anybody_could_have_made_is_refused() {
        let (key, public) = pair("k1");
        let keys = KeySet::of(&json!({ "keys": [public, { "kty": "oct", "kid": "k1", "k": "AAAA" }] }))
            .expect("a set");
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let token = format!("{}.{}.", encode(&json!({ "alg": alg, "kid": "k1" })), encode(&good()));
            assert_eq!(judge(&token, &keys), Err(TokenError::Algorithm), "{alg}");
        }
        let public_text = public.to_string();
        for secret in [public_text.as_bytes(), b"\0\0\0"] {
            let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
            let token =
                jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(secret)).expect("signed");
            assert_eq!(judge(&token, &keys), Err(TokenError::Algorithm));
        }
        let token = signed(&key, Some("k1"), &good());
        let parts: Vec<_> = token.split('.').collect();
        let critical = encode(&json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false }));
        for broken in [
            String::new(),
            "a.b".to_owned(),
            "..".to_owned(),
            format!("{}.{}", parts[0], parts[1]),
            format!("{critical}.{}.{}", parts[1], parts[2]),
            "x".repeat(LONGEST + 1),
        ] {
            assert_eq!(judge(&broken, &keys), Err(TokenError::Malformed), "{broken:.40}");
        }
        let other = encode(&with("sub", json!("root")));
        assert_eq!(judge(&format!("{}.{other}.{}", parts[0], parts[2]), &keys), Err(TokenError::Signature));
        assert!(judge(&format!("{token}="), &keys).is_err());
    }

    #[test]
    fn only_the_algorithms_that_are_allowed_here_are_taken() {
        let (key, public) = pair("k1");
        let keys = KeySet::of(&json!({ "keys": [public] })).expect("a set");
        let (audiences, algorithms) = (["us".to_owned()], ["RS256".to_owned()]);
        let wanted = Wanted {
            issuer: "https://id.example",
            audiences: &audiences,
            algorithms: &algorithms,
            expires: true,
        };
        let token = signed(&key, Some("k1"), &good());
        assert_eq!(verify(&token, &keys, &wanted, now()), Err(TokenError::Algorithm));
        assert!(is_algorithm("EdDSA") && !is_algorithm("HS256") && !is_algorithm("none"));
    }

    #[test]
    fn claims_are_found_by_name_or_by_path() {
        let Value::Object(claims) = json!({
            "realm_access": { "roles": ["a", 7, true, null, {}] }, "https://example.com/role": "x", "one": "y",
        }) else {
            panic!("an object")
        };
        let claims = Claims(claims);
        assert_eq!(claims.texts("realm_access.roles"), ["a", "7", "true"]);
        assert_eq!(claims.text("https://example.com/role"), Some("x"));
        assert_eq!(claims.texts("one"), ["y"]);
        assert_eq!((claims.at("one.two"), claims.texts("none").len()), (None, 0));
    }
}
