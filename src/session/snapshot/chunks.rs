//! Chunks: one long text, sealed piece by piece.
//!
//! Comes in: bytes to hide, as many as there are, or a file that holds them. Goes out: the file, or the bytes again, a
//! chunk at a time, each only after it was verified. Left out, doubled, moved, changed or foreign chunks are noticed, and so
//! is a missing end. Never knows what the bytes mean.
//!
//! ```text
//! header: magic (8) ‖ format version (1) ‖ file's number (8) ‖ time of writing (8) ‖ tag (16)
//! chunk:  length (4; the highest bit marks the last one) ‖ sealed bytes ‖ tag (16)
//! ```
//! A chunk's nonce is the file's random number and its own place, the header's place being 0. Every tag vouches for the
//! header as well.

use std::io::{self, ErrorKind, Read, Write};

use crate::clock::Timestamp;
use crate::session::keys::sealing::{NONCE_LENGTH, Sealing, SealingKey, TAG_LENGTH};

/// No text: whoever opens the file in an editor shall see that.
const MAGIC: [u8; 8] = *b"\x89CLKRM\r\n";

/// The version that is written.
const VERSION: u8 = 1;

/// Plain bytes of a chunk; the last one has fewer.
pub(super) const CHUNK: usize = 256 * 1024;

/// Marks the last chunk.
const LAST: u32 = 1 << 31;

const PURPOSE: &[u8] = b"cloakroom/1 snapshot";

/// The header without its tag.
type Header = [u8; 25];

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Damage {
    Foreign,
    Newer(u8),
    OtherKey,
    /// At which byte.
    Torn(u64),
    /// As it was written, and not understood.
    Unreadable(u64),
    Io(io::Error),
}

/// The nonce of a chunk, and what its tag vouches for besides.
struct Bond {
    header: Header,
    place: u32,
}

impl Bond {
    fn nonce(&self) -> [u8; NONCE_LENGTH] {
        let mut nonce = [0; NONCE_LENGTH];
        nonce[..8].copy_from_slice(&self.header[9..17]);
        nonce[8..].copy_from_slice(&self.place.to_be_bytes());
        nonce
    }

    fn bound(&self, word: u32) -> Vec<u8> {
        [PURPOSE, &self.header, &self.place.to_be_bytes(), &word.to_be_bytes()].concat()
    }

    fn step(&mut self) {
        self.place = self.place.checked_add(1).expect("no file has a petabyte");
    }
}

/// Writes a file.
pub(super) struct Writer<'k, W> {
    out: W,
    key: &'k SealingKey,
    bond: Bond,
    plain: Vec<u8>,
    bytes: u64,
}

impl<'k, W: Write> Writer<'k, W> {
    /// Begins with the header.
    pub fn begin(mut out: W, keys: &'k Sealing, now: Timestamp) -> io::Result<Self> {
        let mut header = [0; size_of::<Header>()];
        header[..8].copy_from_slice(&MAGIC);
        header[8] = VERSION;
        getrandom::fill(&mut header[9..17])?;
        header[17..].copy_from_slice(&now.unix_millis().to_be_bytes());
        let (key, mut bond) = (keys.first(), Bond { header, place: 0 });
        let tag = key.seal(bond.nonce(), &bond.bound(0), &mut []);
        out.write_all(&header)?;
        out.write_all(&tag)?;
        bond.step();
        let bytes = (header.len() + tag.len()) as u64;
        Ok(Self { out, key, bond, plain: Vec::with_capacity(2 * CHUNK), bytes })
    }

    /// What `write` appends to the buffer follows.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.plain);
        while self.plain.len() > CHUNK {
            self.chunk(CHUNK, 0)?;
        }
        Ok(())
    }

    /// The end, without which the file is torn. Says how many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.chunk(self.plain.len(), LAST)?;
        self.out.flush()?;
        Ok(self.bytes)
    }

    fn chunk(&mut self, length: usize, mark: u32) -> io::Result<()> {
        let word = u32::try_from(length).expect("no chunk is longer than CHUNK") | mark;
        let text = &mut self.plain[..length];
        let tag = self.key.seal(self.bond.nonce(), &self.bond.bound(word), text);
        self.out.write_all(&word.to_be_bytes())?;
        self.out.write_all(text)?;
        self.out.write_all(&tag)?;
        self.bond.step();
        self.bytes += (size_of_val(&word) + length + tag.len()) as u64;
        self.plain.drain(..length);
        Ok(())
    }
}

/// Reads a file.
pub(super) struct Reader<'k, R> {
    input: R,
    key: &'k SealingKey,
    bond: Bond,
    sealed: Vec<u8>,
    /// Behind what was verified.
    at: u64,
    ended: bool,
}

impl<'k, R: Read> Reader<'k, R> {
    /// Reads the header, and finds out which key sealed it.
    pub fn begin(mut input: R, keys: &'k Sealing) -> Result<Self, Damage> {
        let mut header: Header = [0; size_of::<Header>()];
        fill(&mut input, &mut header[..MAGIC.len()], 0).map_err(|damage| match damage {
            Damage::Torn(_) => Damage::Foreign,
            damage => damage,
        })?;
        if !header.starts_with(&MAGIC) {
            return Err(Damage::Foreign);
        }
        fill(&mut input, &mut header[MAGIC.len()..], MAGIC.len() as u64)?;
        let mut tag = [0; TAG_LENGTH];
        fill(&mut input, &mut tag, header.len() as u64)?;
        if header[8] > VERSION {
            return Err(Damage::Newer(header[8]));
        }
        let mut bond = Bond { header, place: 0 };
        let bound = bond.bound(0);
        let mut keys = keys.all();
        let opens = |key: &&SealingKey| key.open(bond.nonce(), &bound, (&[], &tag), &mut []).is_some();
        let key = keys.find(opens).ok_or(Damage::OtherKey)?;
        bond.step();
        let at = (header.len() + tag.len()) as u64;
        Ok(Self { input, key, bond, sealed: Vec::with_capacity(CHUNK), at, ended: false })
    }

    /// When the file was written.
    pub fn written(&self) -> Timestamp {
        let [.., a, b, c, d, e, f, g, h] = self.bond.header;
        Timestamp::from_unix_millis(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Up to where the file was verified.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Appends the next chunk to `plain`; false at the end.
    pub fn next(&mut self, plain: &mut Vec<u8>) -> Result<bool, Damage> {
        if self.ended {
            return Ok(false);
        }
        let mut word = [0; 4];
        fill(&mut self.input, &mut word, self.at)?;
        let word = u32::from_be_bytes(word);
        let length = (word & !LAST) as usize;
        if length > CHUNK {
            return Err(Damage::Torn(self.at));
        }
        self.sealed.resize(length, 0);
        fill(&mut self.input, &mut self.sealed, self.at)?;
        let mut tag = [0; TAG_LENGTH];
        fill(&mut self.input, &mut tag, self.at)?;
        let before = plain.len();
        plain.resize(before + length, 0);
        let sealed = (&self.sealed[..], &tag);
        let opened = self.key.open(self.bond.nonce(), &self.bond.bound(word), sealed, &mut plain[before..]);
        if opened.is_none() {
            plain.truncate(before);
            return Err(Damage::Torn(self.at));
        }
        self.bond.step();
        self.at += (size_of_val(&word) + length + tag.len()) as u64;
        self.ended = word & LAST != 0;
        if self.ended && self.input.read(&mut [0]).map_err(Damage::Io)? > 0 {
            return Err(Damage::Torn(self.at));
        }
        Ok(true)
    }
}

/// Fills `bytes`; a file that ends before is torn at `at`.
fn fill(input: &mut impl Read, bytes: &mut [u8], at: u64) -> Result<(), Damage> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Damage::Torn(at),
        _ => Damage::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use aws_lc_rs::hkdf;

    use super::*;

    fn keys() -> Sealing {
        Sealing::new(&[hkdf::Salt::new(hkdf::HKDF_SHA256, b"test").extract(&[1; 32])], b"test")
    }

    #[test]
    fn a_text_comes_back_chunk_by_chunk() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (mut file, now) = (Vec::new(), Timestamp::from_unix_millis(7));
            let keys = keys();
            let mut out = Writer::begin(&mut file, &keys, now).expect("memory");
            for part in text.chunks(1000) {
                out.append(|plain| plain.extend_from_slice(part)).expect("memory");
            }
            assert_eq!(out.finish().expect("memory"), file.len() as u64);
            let mut input = Reader::begin(&file[..], &keys).expect("ours");
            let (mut read, mut count) = (Vec::new(), 0);
            while input.next(&mut read).expect("whole") {
                count += 1;
            }
            assert!(read == text, "{length}");
            assert_eq!(count, length.div_ceil(CHUNK).max(1));
            assert_eq!((input.written(), input.at()), (now, file.len() as u64));
        }
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let (full, keys) = (OpenOptions::new().write(true).open("/dev/full").expect("Linux has it"), keys());
        let error = Writer::begin(full, &keys, Timestamp::from_unix_millis(0)).err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::StorageFull));
    }
}
