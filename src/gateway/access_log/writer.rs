//! Writer: the thread that owns the log's output.
//!
//! Comes in: whole lines, over a queue bounded in lines and bytes. Goes out: batches, written as soon as the queue is
//! empty. Never makes the sender wait, and never ends because a write failed: that is counted, said at most every ten
//! seconds, and the next batch is tried again.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Output;
use super::sink::Sink;
use crate::clock::{Clock, Timestamp};

/// Lines in the queue, at most.
const QUEUE_LINES: usize = 8_192;
/// Bytes in the queue, at most: lines may be long when clients send long headers.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A batch is written when it is this long, even if more lines wait.
const BATCH_BYTES: usize = 64 * 1024;
/// The same trouble is said again only after this time.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Lines that come this long after the first one go into the same batch.
const GATHER: Duration = Duration::from_millis(10);
/// Closing waits this long for the last batch: a pipe that nobody reads must not keep the program from ending.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The sender's end; shared by all workers.
#[derive(Debug)]
pub struct Writer {
    lines: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

/// What both ends look at.
#[derive(Debug)]
struct Shared {
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
    clock: Clock,
    said_full: SaidAt,
    said_failed: SaidAt,
}

impl Writer {
    /// Opens the output and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(output: Output, clock: Clock) -> io::Result<Self> {
        let sink = Sink::open(&output)?;
        Self::start_with(sink, output, clock)
    }

    fn start_with(sink: Sink, output: Output, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queued_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            clock,
            said_full: SaidAt::default(),
            said_failed: SaidAt::default(),
        });
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let (end, ended) = channel();
        let scribe = Scribe { output, sink, torn: false, shared: Arc::clone(&shared) };
        thread::Builder::new().name("access-log".into()).spawn(move || scribe.run(queue, end))?;
        Ok(Self { lines, shared, ended: Mutex::new(ended) })
    }

    /// Queues one line, or drops and counts it.
    pub fn hand_over(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.shared.queued_bytes.fetch_add(length, Ordering::Relaxed);
        if before + length > QUEUE_BYTES || self.lines.try_send(line).is_err() {
            self.shared.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            if !self.shared.closing.load(Ordering::SeqCst)
                && self.shared.said_full.may_say(&self.shared.clock)
            {
                tracing::warn!(
                    dropped = self.dropped(),
                    "access log: the output is too slow, lines are dropped"
                );
            }
        }
    }

    /// Has the output opened again before the next batch.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// How many lines never reached the output.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Ends the thread after the lines queued so far; waits for it, but not for ever.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.wake();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Both outcomes are fine: the thread has ended and dropped its end, or waiting any longer is no use.
        let _ = ended.recv_timeout(CLOSE_WAIT);
    }

    /// An empty line is no line: it ends the thread's wait. When the queue is full, the thread is not waiting.
    fn wake(&self) {
        let _ = self.lines.try_send(Vec::new());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's end.
struct Scribe {
    output: Output,
    sink: Sink,
    /// The last write broke off within a line.
    torn: bool,
    shared: Arc<Shared>,
}

impl Scribe {
    fn run(mut self, queue: Receiver<Vec<u8>>, end: Sender<()>) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        while let Some(first) = self.next(&queue) {
            // To be woken for each line costs the one who wakes more than the line does.
            if !self.shared.closing.load(Ordering::SeqCst) {
                thread::sleep(GATHER);
            }
            let mut lines = self.take(&mut batch, first);
            while let Ok(next) = queue.try_recv() {
                lines += self.take(&mut batch, next);
                if batch.len() >= BATCH_BYTES {
                    self.write(&mut batch, lines);
                    lines = 0;
                }
            }
            self.write(&mut batch, lines);
        }
        // First nothing more is taken, then the end is told.
        drop(queue);
        drop(end);
    }

    /// Waits for a line; once closing, takes what is left. Closing is announced before the wake-up is sent, so whoever
    /// missed the first is not left waiting.
    fn next(&self, queue: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
        match self.shared.closing.load(Ordering::SeqCst) {
            true => queue.try_recv().ok(),
            false => queue.recv().ok(),
        }
    }

    /// Adds a line to the batch; says how many lines that were.
    fn take(&self, batch: &mut Vec<u8>, line: Vec<u8>) -> u64 {
        self.shared.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
        batch.extend_from_slice(&line);
        u64::from(!line.is_empty())
    }

    fn write(&mut self, batch: &mut Vec<u8>, lines: u64) {
        if self.shared.reopen.swap(false, Ordering::SeqCst) {
            match Sink::open(&self.output) {
                Ok(sink) => self.sink = sink,
                Err(error) => {
                    self.say_failed(&error, "access log: cannot open the file again, the old one is kept")
                }
            }
        }
        if !batch.is_empty()
            && let Err(error) = self.write_whole(batch)
        {
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
            self.say_failed(&error, "access log: cannot write, lines are lost");
        }
        batch.clear();
    }

    /// Writes the batch; after a write that broke off within a line, begins a new one first.
    fn write_whole(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.torn {
            self.sink.write_all(b"\n")?;
            self.torn = false;
        }
        let mut written = 0;
        while written < batch.len() {
            match self.sink.write(&batch[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    self.torn = batch[written - 1] != b'\n';
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sink.flush()
    }

    fn say_failed(&self, error: &io::Error, what: &'static str) {
        if self.shared.said_failed.may_say(&self.shared.clock) {
            let dropped = self.shared.dropped.load(Ordering::Relaxed);
            tracing::error!(%error, dropped, "{what}");
        }
    }
}

/// When something was said last: milliseconds since the epoch, plus one; zero is never.
#[derive(Debug, Default)]
struct SaidAt(AtomicU64);

impl SaidAt {
    /// Whether it may be said now; if so, it counts as said.
    fn may_say(&self, clock: &Clock) -> bool {
        let now = clock.now();
        let last = self.0.load(Ordering::Relaxed);
        let is_due = last == 0 || now.since(Timestamp::from_unix_millis(last - 1)) >= SAY_AGAIN_AFTER;
        let said = now.unix_millis().saturating_add(1);
        is_due && self.0.compare_exchange(last, said, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Condvar;

    use super::*;

    /// A disk: it can stand still, be full, and remembers what was written.
    #[derive(Clone, Default)]
    struct Disk(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        stands_still: bool,
        is_waited_for: bool,
        room: Option<usize>,
        text: Vec<u8>,
        refusals: usize,
    }

    impl Disk {
        fn change(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn wait_until(&self, is_so: impl Fn(&State) -> bool) {
            let mut state = self.0.0.lock().unwrap();
            while !is_so(&state) {
                state = self.0.1.wait(state).unwrap();
            }
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().text.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.0.lock().unwrap();
            while state.stands_still {
                state.is_waited_for = true;
                self.0.1.notify_all();
                state = self.0.1.wait(state).unwrap();
            }
            let count = bytes.len().min(state.room.unwrap_or(usize::MAX));
            state.room = state.room.map(|room| room - count);
            state.text.extend_from_slice(&bytes[..count]);
            state.refusals += usize::from(count == 0);
            self.0.1.notify_all();
            if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer_on(disk: &Disk) -> Writer {
        let clock = Clock::manual(Timestamp::from_unix_millis(0));
        Writer::start_with(Sink::Test(Box::new(disk.clone())), Output::Stdout, clock).expect("a thread")
    }

    #[test]
    fn a_disk_that_stands_still_costs_lines_and_never_the_sender() {
        let disk = Disk::default();
        disk.change(|state| state.stands_still = true);
        let writer = writer_on(&disk);
        writer.hand_over(b"first\n".to_vec());
        disk.wait_until(|state| state.is_waited_for);
        for _ in 0..QUEUE_LINES + 7 {
            writer.hand_over(b"line\n".to_vec());
        }
        assert_eq!(writer.dropped(), 7);
        disk.change(|state| state.stands_still = false);
        writer.close();
        assert_eq!(disk.text().lines().count(), 1 + QUEUE_LINES);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_as_well() {
        let disk = Disk::default();
        disk.change(|state| state.stands_still = true);
        let writer = writer_on(&disk);
        writer.hand_over(b"first\n".to_vec());
        disk.wait_until(|state| state.is_waited_for);
        let long = vec![b'x'; QUEUE_BYTES / 4];
        (0..6).for_each(|_| writer.hand_over(long.clone()));
        assert_eq!(writer.dropped(), 2);
        disk.change(|state| state.stands_still = false);
    }

    #[test]
    fn a_full_disk_is_counted_and_tried_again() {
        let disk = Disk::default();
        disk.change(|state| state.room = Some(4));
        let writer = writer_on(&disk);
        writer.hand_over(b"broken off\n".to_vec());
        disk.wait_until(|state| state.refusals == 1);
        disk.change(|state| state.room = None);
        writer.hand_over(b"whole\n".to_vec());
        writer.close();
        assert_eq!(disk.text(), "brok\nwhole\n");
        assert_eq!(writer.dropped(), 1);
    }

    #[test]
    fn a_renamed_file_is_left_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let writer = Writer::start(Output::File(path.clone()), Clock::System).unwrap();
        writer.hand_over(b"one\n".to_vec());
        while std::fs::read(&path).unwrap() != b"one\n" {
            thread::yield_now();
        }
        std::fs::rename(&path, &old).unwrap();
        writer.reopen();
        while !path.exists() {
            thread::yield_now();
        }
        writer.hand_over(b"two\n".to_vec());
        writer.close();
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        assert_eq!(std::fs::read(&old).unwrap(), b"one\n");
    }

    #[test]
    fn the_same_trouble_is_said_at_most_every_ten_seconds() {
        let clock = Clock::manual(Timestamp::from_unix_millis(0));
        let said = SaidAt::default();
        assert!(said.may_say(&clock));
        clock.advance(Duration::from_millis(9_999));
        assert!(!said.may_say(&clock));
        clock.advance(Duration::from_millis(1));
        assert!(said.may_say(&clock));
    }
}
