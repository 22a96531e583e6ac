//! Replace: a file is the old one or the new one, never half of either.
//!
//! Comes in: a path, and somebody who writes. Goes out: a file there, whole and on the disk, that only its owner reads. Where
//! anything fails, a full disk among it, what was there before stays, and nothing else does.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Timestamp;

/// What a draft's name ends in.
const SUFFIX: &str = ".new";

/// A draft that nobody has written to for so long was left behind by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(600);

/// Writes `path` anew.
pub fn replace<T>(
    path: &Path,
    now: Timestamp,
    write: impl FnOnce(&mut File) -> io::Result<T>,
) -> io::Result<T> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    clear(directory, name, now)?;
    let mut draft = Draft::new(directory, name)?;
    let told = write(&mut draft.file)?;
    draft.file.sync_all()?;
    fs::rename(&draft.path, path)?;
    draft.kept = true;
    // Only now the new name outlasts a loss of power.
    File::open(directory)?.sync_all()?;
    Ok(told)
}

/// A file beside the one to replace; gone again unless it is kept.
struct Draft {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Draft {
    fn new(directory: &Path, name: &OsStr) -> io::Result<Self> {
        let mut number = [0; 8];
        getrandom::fill(&mut number)?;
        let mut draft = OsString::from(name);
        draft.push(format!(".{:016x}{SUFFIX}", u64::from_be_bytes(number)));
        let path = directory.join(draft);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, kept: false })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // It is cleared away later, should this fail.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes drafts that a killed process has left behind: each is as large as the file.
fn clear(directory: &Path, name: &OsStr, now: Timestamp) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name();
        let number = file
            .as_encoded_bytes()
            .strip_prefix(name.as_encoded_bytes())
            .and_then(|rest| rest.strip_prefix(b"."))
            .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        if !number.is_some_and(|number| number.len() == 16 && number.iter().all(u8::is_ascii_hexdigit)) {
            continue;
        }
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let passed = Duration::from_millis(now.unix_millis()).saturating_sub(modified);
        if passed > ABANDONED {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::clock::Clock;

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().display().to_string()).collect();
        names.sort();
        names
    }

    fn now() -> Timestamp {
        Clock::System.now()
    }

    #[test]
    fn the_new_file_takes_the_place_of_the_old_one_and_is_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        for text in ["one", "other"] {
            replace(&path, now(), |file| file.write_all(text.as_bytes())).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(files(directory.path()), ["snapshot"]);
    }

    #[test]
    fn whoever_fails_half_way_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        replace(&path, now(), |file| file.write_all(b"old")).expect("written");
        let full = replace(&path, now(), |file| {
            file.write_all(b"half")?;
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        let panics = AssertUnwindSafe(|| replace(&path, now(), |_| -> io::Result<()> { panic!("a defect") }));
        assert!(catch_unwind(panics).is_err());
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
        assert_eq!(files(directory.path()), ["snapshot"]);
    }

    #[test]
    fn drafts_of_a_killed_process_are_cleared_away_and_those_of_a_living_one_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        for name in ["snapshot.0123456789abcdef.new", "snapshot.mine.new", "other.0123456789abcdef.new"] {
            fs::write(directory.path().join(name), "draft").expect("written");
        }
        replace(&path, now(), |_| Ok(())).expect("written");
        assert_eq!(files(directory.path()).len(), 4);
        replace(&path, now().plus(2 * ABANDONED), |_| Ok(())).expect("written");
        assert_eq!(files(directory.path()), ["other.0123456789abcdef.new", "snapshot", "snapshot.mine.new"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(replace(&directory.path().join("no/snapshot"), now(), |_| Ok(())).is_err());
        fs::create_dir(directory.path().join("taken")).expect("made");
        assert!(replace(&directory.path().join("taken"), now(), |_| Ok(())).is_err());
        assert_eq!(files(directory.path()), ["taken"]);
    }
}
