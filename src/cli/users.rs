//! `cloakroom users`: adds, lists and removes the entries of a `users_file`, and takes away second factors.
//!
//! Comes in: a file and a user. Goes out: the file, replaced as a whole, so that a running gateway reads either the old
//! one or the new one. Never shows a password or its hash.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::hash_password;
use crate::clock::Clock;
use crate::identity::Identity;
use crate::login::factor::take_out;

mod file;

use file::{NewUser, UsersFile};

/// Arguments of `users`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a user; the password is asked for, or read from standard input
    Add(Add),
    /// List the users
    List {
        /// The users file
        file: PathBuf,
    },
    /// Take away a user's second factor, for who has lost the telephone and the recovery codes
    TotpReset {
        /// The file of second factors: `login.local.totp.file`, or `totp.json` in `state_dir`
        file: PathBuf,
        /// The user's name
        user: String,
    },
    /// Remove a user
    Remove {
        /// The users file
        file: PathBuf,
        /// The user's name
        user: String,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The users file; made when it is not there
    file: PathBuf,
    /// The name to sign in with
    user: String,
    /// The name for people
    #[arg(long)]
    name: Option<String>,
    /// The e-mail address
    #[arg(long)]
    email: Option<String>,
    /// A group; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Replace the user's entry when there is one, password and all
    #[arg(long)]
    replace: bool,
}

/// Does what the subcommand says.
///
/// # Errors
/// When the file cannot be read or written, or the change makes no sense.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Add(add) => self::add(add)?,
        Command::List { file } => print!("{}", table(&read(file)?)),
        Command::TotpReset { file, user } => totp_reset(file, user)?,
        Command::Remove { file, user } => {
            replace(file, read(file)?.without(user)?.text())?;
            eprintln!("{user} is removed from {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(add: &Add) -> anyhow::Result<()> {
    Identity::new(&add.user, add.email.as_deref(), add.name.as_deref(), &add.groups)?;
    let mut file = if add.file.exists() { read(&add.file)? } else { UsersFile::parse(String::new())? };
    if file.contains(&add.user) {
        if !add.replace {
            bail!(
                "the user {:?} is in {} already; --replace makes a new entry",
                add.user,
                add.file.display()
            );
        }
        file = file.without(&add.user)?;
    }
    let password = hash_password::argon2id(&hash_password::ask_for_password()?)?;
    let new = NewUser {
        user: &add.user,
        password: &password,
        name: add.name.as_deref(),
        email: add.email.as_deref(),
        groups: &add.groups,
    };
    replace(&add.file, file.with(&new)?.text())?;
    eprintln!("{} is added to {}", add.user, add.file.display());
    Ok(())
}

fn totp_reset(file: &Path, user: &str) -> anyhow::Result<()> {
    // A file that is not there has nobody in it, but more likely it is another one.
    fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    let taken = take_out(file, user, Clock::System.now());
    if !taken.with_context(|| format!("cannot change {}", file.display()))? {
        bail!("{user:?} has no second factor in {}", file.display());
    }
    eprintln!("{user} has no second factor any more; a running gateway knows that already");
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<UsersFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    UsersFile::parse(text).with_context(|| path.display().to_string())
}

fn table(file: &UsersFile) -> String {
    const COLUMNS: [&str; 4] = ["name", "email", "groups", "disabled"];
    let mut rows = vec![["USER", "NAME", "EMAIL", "GROUPS", "DISABLED"].map(str::to_owned)];
    for entry in file.entries() {
        let fact = |key: &str| entry.facts.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        let facts = COLUMNS.map(|column| fact(column).map_or("-", String::as_str));
        let mut cells = [entry.user.as_str()].into_iter().chain(facts).map(printable);
        rows.push(std::array::from_fn(|_| cells.next().expect("a user and four facts")));
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 5]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Text from a file, for a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// Writes a new file beside the old one and renames it over it. Owner, group and mode stay, but others lose any access;
/// a file that was not there gets mode 0600.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = target.file_name().context("the users file has no name")?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = target.with_file_name(name);
    let done = write_draft(&draft, &target, text).and_then(|()| fs::rename(&draft, &target));
    if done.is_err() {
        // The error that matters is the first one; the draft may not even exist.
        let _ = fs::remove_file(&draft);
    }
    done.with_context(|| format!("cannot write {}", path.display()))
}

fn write_draft(draft: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    if let Ok(old) = fs::metadata(target) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
        file.set_permissions(Permissions::from_mode(old.mode() & 0o660))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_place_and_loses_access_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("users.yaml"), folder.path().join("link.yaml"));
        replace(&path, "a: x\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, "a: y\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a: y\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_table_is_aligned_and_shows_no_hash() {
        let text =
            "alice: \"$2y$10$secret\"\nbob: { password: secret, groups: [staff], email: b@example.com }\n";
        let table = table(&UsersFile::parse(text.to_owned()).unwrap());
        let expected = "USER   NAME  EMAIL          GROUPS  DISABLED\n\
                        alice  -     -              -       -\n\
                        bob    -     b@example.com  staff   -\n";
        assert_eq!(table, expected);
    }
}
