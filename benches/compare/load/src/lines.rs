//! Lines: a file in memory, by line.
//!
//! Comes in: a path. Goes out: its lines by number. Never holds more than the text and where each line ends: a million
//! cookies are a usual size.

use std::io;
use std::path::Path;
use std::rc::Rc;

/// A file's lines.
#[derive(Debug)]
pub struct Lines {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    pub fn read(path: &Path) -> io::Result<Rc<Self>> {
        let say = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let mut text = std::fs::read(path).map_err(|error| say(&error))?;
        if text.last().is_some_and(|&last| last != b'\n') {
            text.push(b'\n');
        }
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &text).collect();
        if ends.is_empty() {
            return Err(say(&"no lines"));
        }
        Ok(Rc::new(Self { text, ends }))
    }

    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// A line; after the last comes the first.
    pub fn get(&self, number: usize) -> &[u8] {
        let number = number % self.ends.len();
        let start = if number == 0 { 0 } else { self.ends[number - 1] + 1 };
        &self.text[start..self.ends[number]]
    }
}

/// Random numbers that are good enough to pick a line (Marsaglia's xorshift64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// From 0 up to `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper half of the product: even, and without a division.
        ((u128::from(self.0) * limit as u128) >> 64) as usize
    }
}
