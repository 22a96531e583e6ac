//! Files: sessions that a Django site keeps as one file each.
//!
//! Comes in: a key that was checked. Goes out: what the file holds, and when it was written. Never writes or removes one,
//! and never waits for a file that is a pipe.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tokio::time::{Instant, timeout_at};

use super::format::{LONGEST, SessionKey};
use crate::clock::Timestamp;
use crate::session::store::StoreError;

/// A directory of sessions.
pub(super) struct Files {
    directory: PathBuf,
    prefix: String,
}

/// What a file holds.
pub(super) struct SessionFile {
    /// The signed text.
    pub data: String,
    /// When it was written.
    pub written: Timestamp,
}

impl Files {
    /// The site's `SESSION_FILE_PATH`, and the name of its cookie, with which the names of the files begin.
    pub fn new(directory: PathBuf, cookie_name: &str) -> Self {
        Self { directory, prefix: cookie_name.to_owned() }
    }

    /// The session under a key, expired or not. One that is being made is an empty file: that is none yet.
    pub async fn session(
        &self,
        key: SessionKey<'_>,
        until: Instant,
    ) -> Result<Option<SessionFile>, StoreError> {
        let path = self.directory.join(format!("{}{}", self.prefix, key.as_str()));
        let reading = tokio::task::spawn_blocking(move || read(&path));
        let read = timeout_at(until, reading).await.map_err(|_| StoreError::TimedOut)?;
        let read = read.map_err(|error| StoreError::Away(error.to_string()))?;
        read.map_err(|error| StoreError::Away(format!("{}: {error}", self.directory.display())))
    }
}

/// No file is no session, but no directory is trouble: nobody has logged out because of that.
fn read(path: &Path) -> io::Result<Option<SessionFile>> {
    let opened = fs::symlink_metadata(path)
        .and_then(|about| if about.is_file() { File::open(path).map(Some) } else { Ok(None) });
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return fs::metadata(path.parent().unwrap_or(path)).map(|_| None);
        }
        Ok(None) => return Ok(None),
        Ok(Some(file)) => file,
        Err(error) => return Err(error),
    };
    // base64 and a signature make it longer than what is in it.
    let mut bytes = Vec::new();
    let written = file.metadata()?.modified()?;
    file.take(2 * LONGEST as u64).read_to_end(&mut bytes)?;
    let since_epoch = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written = Timestamp::from_unix_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
    let data = String::from_utf8(bytes).unwrap_or_default();
    Ok((!data.is_empty()).then_some(SessionFile { data, written }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_file_is_read_and_all_else_is_no_session() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path().to_path_buf(), "sessionid");
        let until = Instant::now() + Duration::from_secs(5);
        let key = |letter: &str| letter.repeat(32);
        let path = |letter: &str| directory.path().join(format!("sessionid{}", key(letter)));
        fs::write(path("a"), "signed").expect("written");
        fs::write(path("b"), "").expect("written");
        fs::create_dir(path("c")).expect("made");
        std::os::unix::fs::symlink(path("a"), path("d")).expect("made");
        fs::write(path("e"), [0xff]).expect("written");
        let a = key("a");
        let found = files.session(SessionKey::parse(&a).expect("a key"), until).await.expect("readable");
        let found = found.expect("there");
        assert_eq!(found.data, "signed");
        assert!(found.written > Timestamp::from_unix_millis(1_700_000_000_000));
        for letter in ["b", "c", "d", "e", "f"] {
            let key = key(letter);
            let found =
                files.session(SessionKey::parse(&key).expect("a key"), until).await.expect("readable");
            assert!(found.is_none(), "{letter}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_read_is_no_logout() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let directory = tempfile::tempdir().expect("a directory");
        for path in [file.path().to_path_buf(), directory.path().join("gone")] {
            let files = Files::new(path, "sessionid");
            let key = "a".repeat(32);
            let until = Instant::now() + Duration::from_secs(5);
            let found = files.session(SessionKey::parse(&key).expect("a key"), until).await;
            assert!(matches!(found, Err(StoreError::Away(_))));
        }
    }
}
