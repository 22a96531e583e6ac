//! `cloakroom hash-password`: a password in, its hash out.
//!
//! Comes in: a password, asked for twice on a terminal, or the first line of standard input. Goes out: one line for the
//! configuration. The password is never shown, logged or taken from the command line, where others could read it.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use zeroize::Zeroizing;

mod terminal;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What bcrypt looks at, at most (the 73rd byte it would silently ignore).
const BCRYPT_BYTES: usize = 72;
/// Far beyond any passphrase; a file piped in by mistake is not hashed.
const LONGEST: usize = 1024;

/// Arguments of `hash-password`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make a bcrypt hash ($2y$), for sharing with programs that know no argon2id
    #[arg(long)]
    bcrypt: bool,
    /// Cost of a bcrypt hash: each step doubles the time
    #[arg(long, requires = "bcrypt", default_value_t = 12, value_parser = clap::value_parser!(u32).range(10..=16))]
    cost: u32,
}

/// Prints the hash of a password that is asked for.
///
/// # Errors
/// When no usable password was given.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let password = ask_for_password()?;
    let hash = if args.bcrypt { bcrypt(&password, args.cost)? } else { argon2id(&password)? };
    println!("{hash}");
    Ok(ExitCode::SUCCESS)
}

/// Asks twice on a terminal, without showing what is typed; reads one line where standard input is no terminal.
///
/// # Errors
/// When nothing can be read, the two differ, or the password is empty or absurdly long.
pub fn ask_for_password() -> anyhow::Result<Zeroizing<String>> {
    let password = if io::stdin().is_terminal() {
        let (first, second) =
            terminal::ask_twice("Password: ", "Again: ").context("cannot read the password")?;
        ensure!(first == second, "the two passwords differ");
        first
    } else {
        first_line()?
    };
    ensure!(!password.is_empty(), "the password is empty");
    ensure!(password.len() <= LONGEST, "the password is longer than {LONGEST} bytes");
    Ok(password)
}

/// The argon2id hash of a password in PHC form, with a salt of its own.
///
/// # Errors
/// When the system gives no random numbers.
pub fn argon2id(password: &str) -> anyhow::Result<String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are valid");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).context("the system gives no random numbers")?;
    let hash =
        argon2.hash_password_with_salt(password.as_bytes(), &salt).context("cannot hash the password")?;
    Ok(hash.to_string())
}

fn bcrypt(password: &str, cost: u32) -> anyhow::Result<String> {
    ensure!(password.len() <= BCRYPT_BYTES, "bcrypt takes {BCRYPT_BYTES} bytes at most; use argon2id");
    ensure!(!password.contains('\0'), "bcrypt takes no NUL");
    let parts = ::bcrypt::hash_with_result(password, cost).context("cannot hash the password")?;
    Ok(parts.format_for_version(::bcrypt::Version::TwoY))
}

fn first_line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST + 2));
    let mut bounded = io::Read::take(io::stdin().lock(), LONGEST as u64 + 2);
    bounded.read_line(&mut line).context("cannot read the password from standard input")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;

    #[test]
    fn an_argon2id_hash_has_the_documented_cost_and_verifies() {
        let hash = argon2id("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(Argon2::default().verify_password(b"correct horse", hash.as_str()).is_ok());
        assert!(Argon2::default().verify_password(b"wrong horse", hash.as_str()).is_err());
    }

    #[test]
    fn a_bcrypt_hash_is_spelled_as_htpasswd_does_and_verifies() {
        let hash = bcrypt("correct horse", 10).unwrap();
        assert!(hash.starts_with("$2y$10$"), "{hash}");
        assert!(::bcrypt::verify("correct horse", &hash).unwrap());
    }

    #[test]
    fn bcrypt_never_ignores_a_part_of_a_password() {
        assert!(bcrypt(&"x".repeat(73), 10).is_err());
    }
}
