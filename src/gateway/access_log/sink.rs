//! Sink: where the log's bytes go.
//!
//! Comes in: the configured output. Goes out: something to write to. Never buffers, and truncates no file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use super::Output;

/// Where bytes go.
pub enum Sink {
    /// Standard output.
    Stdout(io::Stdout),
    /// A file, appended to.
    File(File),
    /// A disk that misbehaves when told to.
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

impl Sink {
    /// Opens the output. Files are made with mode 0640: they name people.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(output: &Output) -> io::Result<Self> {
        match output {
            Output::Stdout => Ok(Self::Stdout(io::stdout())),
            Output::File(path) => {
                OpenOptions::new().append(true).create(true).mode(0o640).open(path).map(Self::File)
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file) => file.write(bytes),
            #[cfg(test)]
            Self::Test(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
            #[cfg(test)]
            Self::Test(sink) => sink.flush(),
        }
    }
}
