//! Room: the memory that a thread reads into.
//!
//! Comes in: a connection and what it said before. Goes out: that and what it says now, as bytes that are passed on
//! without another copy. All connections of a thread read into the same few large pieces, so a fast sender costs few
//! system calls, and its bytes are still in the processor's cache when they leave. But a piece that was handed out
//! stays in memory until its receiver has taken it, and receivers may be slow on purpose: only some are out at a time.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

use crate::stream::Stream;

/// How much is read at once: a head, and as much of a body as still fits the cache. Less costs more system calls, more
/// brings nothing.
const LARGE: usize = (256 + 4) * 1024;
/// What is copied out of a piece instead of keeping it, and what is read while too many pieces are out.
const SMALL: usize = 16 * 1024;
/// Pieces of one thread that may be out at the same time: 4 MiB.
const MOST_OUT: usize = 16;
/// Pieces a thread keeps for its next reads.
const MOST_IDLE: usize = 4;

#[derive(Default)]
struct Room {
    idle: Vec<Box<[u8]>>,
    out: usize,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

impl Room {
    fn take(&mut self) -> Box<[u8]> {
        self.idle.pop().unwrap_or_else(|| vec![0; LARGE].into_boxed_slice())
    }

    fn put_back(&mut self, memory: Box<[u8]>) {
        if self.idle.len() < MOST_IDLE {
            self.idle.push(memory);
        }
    }
}

/// A piece that is out, back in its room when the last of its bytes has been dropped.
struct Piece {
    memory: Box<[u8]>,
    filled: usize,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // A thread that ends has no room any more.
        let _ = ROOM.try_with(|room| {
            let mut room = room.borrow_mut();
            room.out -= 1;
            room.put_back(memory);
        });
    }
}

/// Reads once and adds to `bytes` what has come; `Ready(0)` is the end of the stream.
pub fn poll_read(cx: &mut Context<'_>, stream: &mut Stream, bytes: &mut Bytes) -> Poll<io::Result<usize>> {
    poll_read_with(cx, stream, bytes, |_| 0)
}

/// The same. Where there was nothing before, `take` is shown what has come, where it lies, and says how much of it has been
/// used up.
pub fn poll_read_with(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    bytes: &mut Bytes,
    take: impl FnOnce(&[u8]) -> usize,
) -> Poll<io::Result<usize>> {
    let (mut memory, may_keep) = ROOM.with_borrow_mut(|room| (room.take(), room.out < MOST_OUT));
    let before = bytes.len();
    // Room for what there is already, in case the piece is kept.
    let place = if may_keep && before < SMALL { before..LARGE } else { 0..SMALL };
    let start = place.start;
    let mut buffer = ReadBuf::new(&mut memory[place]);
    let outcome = Pin::new(stream).poll_read(cx, &mut buffer);
    let read = buffer.filled().len();
    let taken = if before == 0 && read > 0 { take(&memory[start..start + read]) } else { 0 };
    // What has been used up is no reason to keep the piece: a connection that waits for more holds none.
    if read - taken > SMALL {
        memory[..before].copy_from_slice(bytes);
        ROOM.with_borrow_mut(|room| room.out += 1);
        *bytes = Bytes::from_owner(Piece { memory, filled: before + read });
        bytes.advance(taken);
    } else {
        let new = &memory[start + taken..start + read];
        match before {
            _ if new.is_empty() => {}
            0 => *bytes = Bytes::copy_from_slice(new),
            _ => *bytes = Bytes::from([bytes, new].concat()),
        }
        ROOM.with_borrow_mut(|room| room.put_back(memory));
    }
    ready!(outcome)?;
    Poll::Ready(Ok(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    async fn read_one(length: usize, bytes: &mut Bytes) {
        let (mut sender, receiver) = UnixStream::pair().expect("a pair");
        sender.write_all(&vec![b'x'; length]).await.expect("it is taken");
        let mut stream = Stream::Unix(receiver);
        assert_eq!(poll_fn(|cx| poll_read(cx, &mut stream, bytes)).await.expect("open"), length);
    }

    #[tokio::test]
    async fn only_some_pieces_of_a_thread_are_out_and_they_come_back() {
        let mut kept = Vec::new();
        for _ in 0..MOST_OUT {
            let mut bytes = Bytes::from_static(b"before");
            read_one(SMALL + 1, &mut bytes).await;
            assert!(bytes.starts_with(b"beforexx") && bytes.len() == 6 + SMALL + 1);
            kept.push(bytes);
        }
        let mut bytes = Bytes::new();
        read_one(SMALL, &mut bytes).await;
        assert_eq!(ROOM.with_borrow(|room| room.out), MOST_OUT);
        drop(kept);
        assert_eq!(ROOM.with_borrow(|room| (room.out, room.idle.len())), (0, MOST_IDLE));
    }

    #[tokio::test]
    async fn what_was_used_up_holds_no_piece() {
        for left in [0, 3] {
            let (mut sender, receiver) = UnixStream::pair().expect("a pair");
            sender.write_all(&vec![b'x'; SMALL + 9]).await.expect("it is taken");
            let (mut stream, mut bytes) = (Stream::Unix(receiver), Bytes::new());
            let take = |new: &[u8]| new.len() - left;
            poll_fn(|cx| poll_read_with(cx, &mut stream, &mut bytes, take)).await.expect("open");
            assert_eq!((bytes.len(), ROOM.with_borrow(|room| room.out)), (left, 0));
        }
    }

    #[tokio::test]
    async fn little_is_copied_and_holds_no_piece() {
        let mut bytes = Bytes::from_static(b"a");
        read_one(3, &mut bytes).await;
        assert_eq!(bytes, "axxx");
        assert_eq!(ROOM.with_borrow(|room| room.out), 0);
    }
}
