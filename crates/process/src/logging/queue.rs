//! A queue of log lines to standard error. Its own thread writes them, so that a reader that does not read
//! blocks no work. The queue is bounded in bytes; lines that find no room are lost and counted.
//!
//! tracing-appender's `NonBlocking` is not used. If standard output and standard error share a pipe that no
//! process reads, its guard blocks at exit: it prints to standard output that its worker is late. It also
//! counts lines, which have no limit of bytes.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Some ten thousand lines: no reader that reads at all falls behind by more.
const MAX_BYTES: usize = 8 << 20;

/// Lines that wait for the thread. Cheap to clone; every clone is the same queue.
#[derive(Clone, Debug, Default)]
pub(super) struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    being_written: usize,
}

impl LogQueue {
    /// Makes a queue that a new thread writes to `sink`, for as long as the process lives.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(super) fn to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let queue = lines.clone();
        thread::Builder::new().name("logging".to_owned()).spawn(move || queue.write_to(sink))?;
        Ok(lines)
    }

    /// Counts the lines that found no room.
    pub(super) fn lost(&self) -> Counter {
        self.0.lost.clone()
    }

    /// Waits until everything is written, but no longer than `max_wait`.
    pub(super) fn flush(&self, max_wait: Duration) {
        let pending = |pending: &mut Pending| pending.bytes() > 0;
        // A late flush has no remedy, so the result does not matter.
        let _ = self.0.changed.wait_timeout_while(self.pending(), max_wait, pending);
    }

    fn write_to(&self, mut sink: impl Write) {
        loop {
            let lines = self.take();
            // A failed write can't be reported: this is the log.
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            self.pending().being_written = 0;
            self.0.changed.notify_all();
        }
    }

    /// Waits for lines and takes all of them.
    fn take(&self) -> Vec<u8> {
        let nothing = |pending: &mut Pending| pending.lines.is_empty();
        let woken = self.0.changed.wait_while(self.pending(), nothing);
        let mut pending = woken.unwrap_or_else(PoisonError::into_inner);
        pending.being_written = pending.lines.len();
        std::mem::take(&mut pending.lines)
    }

    /// No code panics while it holds the lock.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn bytes(&self) -> usize {
        self.lines.len() + self.being_written
    }
}

/// Takes whole entries, as tracing-subscriber writes them.
impl Write for &LogQueue {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let mut pending = self.pending();
        if pending.bytes() + entry.len() > MAX_BYTES {
            self.0.lost.inc();
        } else {
            pending.lines.extend_from_slice(entry);
            self.0.changed.notify_all();
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    const MAX_WAIT: Duration = Duration::from_secs(10);

    fn queue() -> (LogQueue, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (LogQueue::to(writer).unwrap(), reader)
    }

    #[test]
    fn lines_arrive_in_their_order() {
        let (lines, mut reader) = queue();
        for line in ["one\n", "two\n", "three\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        lines.flush(MAX_WAIT);
        let mut read = [0; 14];
        reader.read_exact(&mut read).unwrap();
        assert_eq!((&read, lines.lost().get()), (b"one\ntwo\nthree\n", 0));
    }

    #[test]
    fn a_blocked_reader_blocks_no_writer_and_lost_lines_are_counted() {
        let (lines, mut reader) = queue();
        let line = [b'x'; 1 << 10];
        for _ in 0..2 * MAX_BYTES / line.len() {
            (&lines).write_all(&line).unwrap();
        }
        let lost = usize::try_from(lines.lost().get()).unwrap();
        // All lines but those in the queue and in the pipe.
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&(lost * line.len())), "{lost} lines were lost");
        lines.flush(Duration::from_millis(1));
        let mut kept = vec![0; 2 * MAX_BYTES - lost * line.len()];
        reader.read_exact(&mut kept).unwrap();
        lines.flush(MAX_WAIT);
        assert_eq!(lines.pending().bytes(), 0);
    }
}
