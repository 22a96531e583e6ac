//! The program log, as the gateways of this process write it.

use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

static LINES: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer;

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps what is logged from now on.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Writer);
        log.with_max_level(tracing::Level::INFO).try_init().expect("nobody else does that");
    });
}

/// The lines so far with this in them: one that no other test logs.
pub fn with(mark: &str) -> Vec<String> {
    let all = String::from_utf8_lossy(&lines()).into_owned();
    all.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
}
