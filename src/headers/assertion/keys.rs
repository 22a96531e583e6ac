//! Signing keys: what makes an assertion ours.
//!
//! Comes in: a private key as PEM, as `openssl genpkey` writes it, or the wish for a new one. Goes out: signatures, and the
//! public key as a JSON Web Key (RFC 7517, RFC 8037). Never prints the private key.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// How assertions are signed (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    #[default]
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Algorithm {
    /// As JOSE calls it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
        }
    }
}

/// A key to sign with.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
}

/// Why a text is not a key to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No PEM, or no private key in it.
    #[error("it holds no private key in PEM")]
    NoKey,
    /// A key of another kind.
    #[error("it is neither an Ed25519 key nor one for P-256")]
    OtherKind,
}

impl SigningKey {
    /// Reads a private key. Without an id its thumbprint is taken (RFC 7638).
    pub fn from_pem(id: Option<&str>, pem: &[u8]) -> Result<Self, InvalidKey> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| InvalidKey::NoKey)?;
        let es256 = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = key.secret_der();
        let pair = match &key {
            PrivateKeyDer::Pkcs8(_) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Pair::EdDsa)
                .or_else(|_| EcdsaKeyPair::from_pkcs8(es256, der).map(Pair::Es256))
                .ok(),
            PrivateKeyDer::Sec1(_) => EcdsaKeyPair::from_private_key_der(es256, der).map(Pair::Es256).ok(),
            _ => None,
        };
        let mut key = Self { id: String::new(), pair: pair.ok_or(InvalidKey::OtherKind)? };
        key.id = id.map_or_else(|| key.thumbprint(), str::to_owned);
        Ok(key)
    }

    /// A new private key, as PEM.
    pub fn make(algorithm: Algorithm) -> Zeroizing<String> {
        let der = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            }
        };
        let der = der.expect("the operating system gives random bytes");
        let text = Zeroizing::new(STANDARD.encode(&der));
        let mut pem = Zeroizing::new("-----BEGIN PRIVATE KEY-----\n".to_owned());
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        pem
    }

    /// What tells verifiers which of the published keys it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As JOSE calls it.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::EdDsa(_) => Algorithm::EdDsa.name(),
            Pair::Es256(_) => Algorithm::Es256.name(),
        }
    }

    /// The signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.expect("the operating system gives random bytes").as_ref().to_vec()
            }
        }
    }

    /// The public key, as it is published.
    pub(super) fn jwk(&self) -> Value {
        let mut key = self.public();
        key["use"] = "sig".into();
        key["alg"] = self.algorithm().into();
        key["kid"] = self.id.as_str().into();
        key
    }

    /// What the public key is made of; its members are in the order of RFC 7638.
    fn public(&self) -> Value {
        match &self.pair {
            Pair::EdDsa(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(pair.public_key()) })
            }
            Pair::Es256(pair) => {
                // Uncompressed: 4, x and y (SEC 1, section 2.3.3).
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
                json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
            }
        }
    }

    fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.public().to_string().as_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.id, self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_thumbprint_and_its_secret() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let pem = SigningKey::make(algorithm);
            let key = SigningKey::from_pem(None, pem.as_bytes()).expect("a key");
            assert_eq!(key.id().len(), 43);
            assert_eq!(SigningKey::from_pem(None, pem.as_bytes()).expect("a key").id(), key.id());
            assert_eq!(key.algorithm(), algorithm.name());
            let secret: String = pem.lines().nth(1).expect("base64").to_owned();
            assert!(!format!("{key:?} {}", key.jwk()).contains(&secret[20..40]));
        }
    }

    #[test]
    fn what_openssl_writes_is_read() {
        // The example of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(Some("a"), pem.as_bytes()).expect("a key");
        assert_eq!(key.jwk()["x"], "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
    }

    #[test]
    fn anything_else_is_no_key() {
        let refused = |pem: &str| SigningKey::from_pem(None, pem.as_bytes()).expect_err("refused");
        assert_eq!(refused(""), InvalidKey::NoKey);
        assert_eq!(
            refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            InvalidKey::OtherKind
        );
    }
}
