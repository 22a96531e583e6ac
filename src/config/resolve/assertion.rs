//! Assertion: the keys that sign statements of who is asking.
//!
//! Comes in: `identity.assertion:` as written. Goes out: a signer with at least one key; one that was made is kept in
//! `state_dir` (`assertion-EdDSA.pem`, mode 0600), or in memory for as long as the process lives. Never overwrites a key.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::{Context, secret_file};
use crate::config::file::{self, AssertionAlgorithm, File};
use crate::gateway::settings::PublicUrl;
use crate::headers::assertion::keys::{Algorithm, SigningKey};
use crate::headers::assertion::{LONGEST, Signer};

const AT: &str = "identity.assertion";

/// The keys of this process, when there is nowhere to keep them: a reload must not make new ones.
static IN_MEMORY: [OnceLock<Zeroizing<String>>; 2] = [const { OnceLock::new() }; 2];

/// Who signs assertions; nobody where none are wanted.
pub(super) fn resolve(
    context: &mut Context,
    file: &File,
    public_url: Option<&PublicUrl>,
    state_dir: Option<&Path>,
) -> Option<Arc<Signer>> {
    let given = file.identity.assertion.as_ref()?;
    if public_url.is_none() {
        let message = "an assertion says who issued it, and there is no `public_url`\n\
                       add `public_url: https://app.example.com`";
        context.key_error(AT, message);
    }
    let lifetime = given.lifetime.0;
    if lifetime > LONGEST || lifetime.as_secs() < 10 {
        context.error(&format!("{AT}.lifetime"), "an assertion counts for 10 to 60 seconds\nwrite `60s`");
    }
    let keys = match given.keys.as_slice() {
        [] => vec![kept(context, algorithm(given.algorithm), state_dir)],
        keys => those(context, keys),
    };
    let issuer = public_url.map(PublicUrl::origin).unwrap_or_default();
    let most_groups = usize::try_from(file.identity.max_bytes.0).unwrap_or(usize::MAX);
    (!keys.is_empty()).then(|| Arc::new(Signer::new(keys, issuer, lifetime, most_groups)))
}

fn algorithm(given: AssertionAlgorithm) -> Algorithm {
    match given {
        AssertionAlgorithm::EdDsa => Algorithm::EdDsa,
        AssertionAlgorithm::Es256 => Algorithm::Es256,
    }
}

/// Keys of the operator's own.
fn those(context: &mut Context, given: &[file::AssertionKey]) -> Vec<SigningKey> {
    let mut keys: Vec<SigningKey> = Vec::new();
    for (index, entry) in given.iter().enumerate() {
        let at = format!("{AT}.keys[{index}]");
        let (Some(id), Some(name)) = (&entry.id, &entry.file) else {
            context.missing(&at, "a key has an `id` and a `file`\nadd `{ id: a1, file: assertion.pem }`");
            continue;
        };
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if id.is_empty() || id.len() > 64 || !id.bytes().all(valid) {
            context.error(&format!("{at}.id"), "an id is 1 to 64 letters, digits, `-`, `_` and `.`");
        } else if keys.iter().any(|key| key.id() == id) {
            context.error(&format!("{at}.id"), format!("another key has the id `{id}` already"));
        }
        let path = context.file(name);
        let place = format!("{at}.file");
        match read(Some(id), &path) {
            Ok(key) => {
                secret_file::warn_if_open(context, &place, &path);
                keys.push(key);
            }
            Err(why) => {
                let hint = "openssl genpkey -algorithm ed25519 -out assertion.pem";
                context.error(&place, format!("cannot use {}: {why}\n{hint}", path.display()));
            }
        }
    }
    keys
}

/// The key in `state_dir`, made if it is not there.
fn kept(context: &mut Context, algorithm: Algorithm, state_dir: Option<&Path>) -> SigningKey {
    let Some(directory) = state_dir else {
        context.warn(
            AT,
            "no `keys` and no `state_dir`: the key that signs is made in memory, and another one after a restart\n\
             add `state_dir: /var/lib/cloakroom`",
        );
        return temporary(algorithm);
    };
    let path = directory.join(format!("assertion-{}.pem", algorithm.name()));
    if context.makes_keys
        && !path.exists()
        && let Err(error) = secret_file::make(&path, &SigningKey::make(algorithm))
    {
        context.error("state_dir", format!("cannot keep a key in {}: {error}", path.display()));
        return temporary(algorithm);
    }
    match read(None, &path) {
        Ok(key) => {
            secret_file::warn_if_open(context, "state_dir", &path);
            key
        }
        Err(_) if !context.makes_keys => temporary(algorithm),
        Err(why) => {
            context.error("state_dir", format!("cannot use {}: {why}", path.display()));
            temporary(algorithm)
        }
    }
}

fn read(id: Option<&str>, path: &Path) -> Result<SigningKey, String> {
    let pem = std::fs::read(path).map(Zeroizing::new).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    })?;
    SigningKey::from_pem(id, &pem).map_err(|error| error.to_string())
}

fn temporary(algorithm: Algorithm) -> SigningKey {
    let pem = IN_MEMORY[algorithm as usize].get_or_init(|| SigningKey::make(algorithm));
    SigningKey::from_pem(None, pem.as_bytes()).expect("what was made can be read")
}
