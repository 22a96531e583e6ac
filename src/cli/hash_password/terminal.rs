//! Terminal: asks for a secret without showing what is typed.
//!
//! Comes in: prompts. Goes out: lines. The terminal is as it was afterwards, also after an error or Ctrl-C. Uses the
//! system's `stty`, since switching the echo off by hand needs `unsafe`.

use std::io::{self, BufRead as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use zeroize::Zeroizing;

/// Asks two questions on standard error and reads the answers from standard input, which must be a terminal.
///
/// # Errors
/// When `stty` cannot be run, or the terminal is closed.
pub fn ask_twice(first: &str, second: &str) -> io::Result<(Zeroizing<String>, Zeroizing<String>)> {
    let _silence = Silence::begin()?;
    Ok((ask(first)?, ask(second)?))
}

fn ask(prompt: &str) -> io::Result<Zeroizing<String>> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let mut answer = Zeroizing::new(String::with_capacity(256));
    let read = io::stdin().lock().read_line(&mut answer);
    eprintln!();
    if read? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = answer.trim_end_matches(['\r', '\n']).len();
    answer.truncate(length);
    Ok(answer)
}

/// The echo is off as long as this lives.
struct Silence {
    before: String,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let silence = Self { before: stty(&["-g"])?.trim().to_owned() };
        restore_on_interrupt(silence.before.clone())?;
        stty(&["-echo"])?;
        Ok(silence)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing is left to try if the terminal is gone.
        let _ = stty(&[&self.before]);
    }
}

/// Ctrl-C ends the program as always, with the status a shell expects, but not before the echo is back.
fn restore_on_interrupt(before: String) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = stty(&[&before]);
            eprintln!();
            std::process::exit(130);
        }
    })?;
    Ok(())
}

fn stty(arguments: &[&str]) -> io::Result<String> {
    let output =
        Command::new("stty").args(arguments).stdin(Stdio::inherit()).stderr(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("stty cannot change this terminal"));
    }
    String::from_utf8(output.stdout).map_err(|_| io::ErrorKind::InvalidData.into())
}
