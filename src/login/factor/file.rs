//! File: who has a second factor, kept across restarts.
//!
//! Comes in: a path, and changes. Goes out: what is kept of somebody, as it is on the disk now: it is read again when it has
//! changed, so that an operator can take something out of it while the gateway runs. Written as a whole, by nobody else in
//! the meantime. What is kept is sealed; names can be read. Never knows a key.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::session::snapshot::replace::replace;

/// Sealed enrolments by user: the whole file, as JSON.
type Entries = BTreeMap<String, String>;

/// The file.
#[derive(Debug)]
pub(super) struct EnrolmentFile {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What told that the file is the one that was read; `None` before it was, and where there is none.
    mark: Option<Mark>,
    entries: Entries,
}

/// Size, time of change in nanoseconds, and number of a file: it is replaced, not written to.
type Mark = (u64, i64, i64, u64);

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FileError {
    path: String,
    why: io::Error,
}

impl EnrolmentFile {
    /// Reads it; one that is not there is empty.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let file = Self { path, kept: Mutex::default() };
        drop(file.now()?);
        Ok(file)
    }

    /// What is kept of a user.
    pub fn get(&self, user: &str) -> Result<Option<String>, FileError> {
        Ok(self.now()?.entries.get(user).cloned())
    }

    /// Changes what is kept of a user, unless `change` says no; `None` takes it out. What `change` is told is what the file
    /// says, and nobody else of this process changes it meanwhile.
    pub fn change<T>(
        &self,
        user: &str,
        now: Timestamp,
        change: impl FnOnce(Option<&str>) -> Option<(Option<String>, T)>,
    ) -> Result<Option<T>, FileError> {
        let mut kept = self.now()?;
        let Some((entry, told)) = change(kept.entries.get(user).map(String::as_str)) else { return Ok(None) };
        let mut entries = kept.entries.clone();
        match entry {
            Some(entry) => drop(entries.insert(user.to_owned(), entry)),
            None => drop(entries.remove(user)),
        }
        write(&self.path, &entries, now).map_err(|why| self.wrong(why))?;
        kept.mark = mark(&self.path).map_err(|why| self.wrong(why))?;
        kept.entries = entries;
        Ok(Some(told))
    }

    /// The entries as they are on the disk.
    fn now(&self) -> Result<MutexGuard<'_, Kept>, FileError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = mark(&self.path).map_err(|why| self.wrong(why))?;
        if found.is_none() || found != kept.mark {
            let entries = read(&self.path).map_err(|why| self.wrong(why))?;
            *kept = Kept { mark: found, entries };
        }
        Ok(kept)
    }

    fn wrong(&self, why: io::Error) -> FileError {
        FileError { path: self.path.display().to_string(), why }
    }
}

/// Takes a user out of a file of enrolments; whether there was one.
///
/// # Errors
/// When the file cannot be read or written.
pub fn take_out(path: &Path, user: &str, now: Timestamp) -> io::Result<bool> {
    let mut entries = read(path)?;
    let was_there = entries.remove(user).is_some();
    if was_there {
        write(path, &entries, now)?;
    }
    Ok(was_there)
}

fn mark(path: &Path) -> io::Result<Option<Mark>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.len(), found.mtime(), found.mtime_nsec(), found.ino()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Entries> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Entries::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, entries: &Entries, now: Timestamp) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(entries).map_err(io::Error::from)?;
    replace(path, now, |file| file.write_all(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn what_changes_on_the_disk_is_taken_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("totp.json");
        let file = EnrolmentFile::open(path.clone()).expect("none is empty");
        let set = |user: &str, text: Option<&str>| {
            let change = |_: Option<&str>| Some((text.map(str::to_owned), ()));
            file.change(user, NOW, change).expect("written")
        };
        assert_eq!(set("alice", Some("one")), Some(()));
        assert_eq!(set("김철수", Some("two")), Some(()));
        let again = EnrolmentFile::open(path.clone()).expect("readable");
        assert_eq!(again.get("김철수").expect("readable").as_deref(), Some("two"));
        assert!(take_out(&path, "alice", NOW).expect("written"));
        assert!(!take_out(&path, "alice", NOW).expect("nothing to do"));
        assert_eq!(file.get("alice").expect("readable"), None);
        assert_eq!(again.get("alice").expect("readable"), None);
        assert_eq!(file.change("bob", NOW, |_| None::<(_, ())>).expect("readable"), None);
        assert_eq!(set("김철수", None), Some(()));
        assert_eq!(again.get("김철수").expect("readable"), None);
    }

    #[test]
    fn a_broken_file_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("totp.json");
        fs::write(&path, "{\"alice\": ").expect("written");
        assert!(EnrolmentFile::open(path.clone()).is_err());
        fs::write(&path, "{\"alice\": \"one\"}").expect("written");
        let file = EnrolmentFile::open(path.clone()).expect("readable");
        fs::write(&path, "").expect("written");
        assert!(file.get("alice").is_err());
        assert!(file.change("alice", NOW, |_| Some((None, ()))).is_err());
    }
}
