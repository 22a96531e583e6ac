//! Keys: the secrets that sign session ids.
//!
//! Comes in: `keys:` as written, or none. Goes out: at least one key; one that was made is kept in `state_dir/keys`
//! (lines `id secret`, the secret in base64, mode 0600), or in memory for as long as the process lives. Never
//! overwrites a key.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

use super::{Context, secret_file};
use crate::config::file::{self, File};
use crate::session::Key;

/// Fewer bytes can be guessed.
const LEAST: usize = 32;

/// The key of this process, when there is nowhere to keep one: a reload must not sign everybody out.
static IN_MEMORY: OnceLock<[u8; LEAST]> = OnceLock::new();

/// The keys: given, kept, or made.
pub(super) fn resolve(context: &mut Context, file: &File, state_dir: Option<&Path>) -> Vec<Key> {
    if !file.keys.is_empty() {
        return given(context, &file.keys);
    }
    if context.document.is_damaged("keys") || context.document.is_damaged("") {
        return vec![temporary()];
    }
    let Some(directory) = state_dir else {
        context.warn(
            "",
            "no `keys` and no `state_dir`: the key is made in memory, and a restart signs everybody out\n\
             add `state_dir: /var/lib/cloakroom`",
        );
        return vec![temporary()];
    };
    let path = directory.join("keys");
    let kept = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && context.makes_keys => {
            make(&path).and_then(|()| read(&path))
        }
        kept => kept,
    };
    match kept {
        Ok(keys) => {
            secret_file::warn_if_open(context, "state_dir", &path);
            keys
        }
        Err(_) if !context.makes_keys => vec![temporary()],
        Err(error) => {
            context.error("state_dir", format!("cannot keep keys in {}: {error}", path.display()));
            vec![temporary()]
        }
    }
}

fn given(context: &mut Context, given: &[file::Key]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for (at, entry) in given.iter().enumerate() {
        let path = format!("keys[{at}]");
        let id = entry.id.clone().unwrap_or_default();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if entry.id.is_none() {
            context.missing(&path, "a key without an id\nadd `id: k1`");
        } else if id.is_empty() || id.len() > 32 || !id.bytes().all(valid) {
            context.error(&format!("{path}.id"), "an id is 1 to 32 letters, digits, `-` and `_`");
        } else if keys.iter().any(|key| key.id == id) {
            context.error(&format!("{path}.id"), format!("another key has the id `{id}` already"));
        }
        let Some(secret) = &entry.secret else {
            context.missing(&path, "a key without a secret\nadd `secret: \"${file:/run/secrets/key}\"`");
            continue;
        };
        let secret = secret.0.expose_secret().as_bytes();
        if secret.len() < LEAST {
            let message = format!(
                "a secret of {} bytes can be guessed; at least {LEAST} are needed\nmake one: openssl rand -base64 32",
                secret.len()
            );
            context.error(&format!("{path}.secret"), message);
        }
        keys.push(Key { id, secret: SecretBox::new(secret.into()) });
    }
    keys
}

fn temporary() -> Key {
    let secret = IN_MEMORY.get_or_init(random);
    Key { id: "memory".to_owned(), secret: SecretBox::new(secret.as_slice().into()) }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn read(path: &Path) -> io::Result<Vec<Key>> {
    let broken = || io::Error::new(ErrorKind::InvalidData, "not a file of keys (lines of `id secret`)");
    let text = Zeroizing::new(fs::read_to_string(path)?);
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (id, secret) = line.trim().split_once(' ').ok_or_else(broken)?;
        let secret = STANDARD.decode(secret.trim()).map_err(|_| broken())?;
        if secret.len() < LEAST {
            return Err(broken());
        }
        keys.push(Key { id: id.to_owned(), secret: SecretBox::new(secret.into()) });
    }
    if keys.is_empty() { Err(broken()) } else { Ok(keys) }
}

/// Makes a key. When another process makes one at the same time, the first one stays.
fn make(path: &Path) -> io::Result<()> {
    let [a, b, c, d] = random::<4>();
    let id = format!("k{a:02x}{b:02x}{c:02x}{d:02x}");
    let line = Zeroizing::new(format!("{id} {}\n", STANDARD.encode(random::<LEAST>())));
    secret_file::make(path, &line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_made_key_is_private_and_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state").join("keys");
        make(&path).expect("made");
        let first = read(&path).expect("read");
        make(&path).expect("left alone");
        let again = read(&path).expect("read");
        assert_eq!(first[0].secret.expose_secret(), again[0].secret.expose_secret());
        assert_eq!(first[0].secret.expose_secret().len(), LEAST);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a parent"))), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().expect("a parent")).expect("readable").count(), 1);
    }
}
