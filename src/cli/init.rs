//! `cloakroom init`: a commented configuration to start from.
//!
//! Comes in: where to write it. Goes out: a file that works as it is, with one user whose password is shown once.
//! Never overwrites a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use super::hash_password::argon2id;

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write it; `-` writes to standard output
    #[arg(default_value = "cloakroom.yaml", value_name = "FILE")]
    pub file: PathBuf,
}

/// Writes the starter file.
pub fn run(args: Args) -> ExitCode {
    let password = password();
    let text = match argon2id(&password) {
        Ok(hash) => starter(&hash),
        Err(error) => return super::failed(&error),
    };
    if args.file.as_os_str() == "-" {
        eprintln!("{}", farewell("-", &password));
        return super::print(&text);
    }
    let name = args.file.display();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => super::print(&farewell(&name.to_string(), &password)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            super::failed(&format_args!("{name} exists already; it was left as it is"))
        }
        Err(error) => super::failed(&format_args!("cannot write {name}: {error}")),
    }
}

/// The file, with the hash of alice's password.
fn starter(hash: &str) -> String {
    include_str!("starter.yaml").replace("HASH", hash)
}

fn farewell(name: &str, password: &str) -> String {
    let (written, file) = match name {
        "-" => (String::new(), String::new()),
        name => (format!("Wrote {name}.\n"), format!(" -c {name}")),
    };
    format!(
        "{written}User: alice\nPassword: {password}   (shown only now)\n\n\
         Next: set `upstream` to your application, then\n  cloakroom check{file}\n  cloakroom serve{file}\n"
    )
}

/// 100 bits as 20 letters and digits that cannot be taken for each other.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let letters: Vec<u8> = bytes.iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<String> =
        letters.chunks(5).map(|group| group.iter().copied().map(char::from).collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, inspect};

    #[test]
    fn the_starter_file_passes_the_check() {
        let hash = argon2id(&password()).expect("a hash");
        let source = Source::Text { name: "cloakroom.yaml".to_owned(), text: starter(&hash) };
        let config = inspect(&source).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.routes.len(), 1);
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cloakroom.yaml");
        std::fs::write(&file, "mine").expect("written");
        let code = run(Args { file: file.clone() });
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "mine");
    }
}
