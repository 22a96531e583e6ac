//! Secret file: what is made once, is for nobody else to read, and stays.
//!
//! Comes in: a path and a text. Goes out: a file of mode 0600 in a directory of mode 0700. Never overwrites one: when another
//! process makes it at the same time, the first one stays.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Context;

/// Makes a file, unless it is there.
pub(super) fn make(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let draft = path.with_added_extension(format!("{:016x}", u64::from_be_bytes(random)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let made = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Warns, at the key `at`, of a file that others can read.
pub(super) fn warn_if_open(context: &mut Context, at: &str, path: &Path) {
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        let path = path.display();
        context.warn(at, format!("others can read {path}\nchmod 600 {path}"));
    }
}
