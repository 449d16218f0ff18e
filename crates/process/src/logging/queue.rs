//! Log lines on their way to standard error. A thread of their own writes them, so that a reader who does not read
//! stops nobody's work: what waits is bounded, and what finds no room is lost and counted.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Some ten thousand lines: more than a reader falls behind by who reads at all.
const MOST_BYTES: usize = 8 << 20;

/// Lines that wait. Cheap to clone; every clone is the same queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Taken out and not written yet.
    being_written: usize,
}

impl Lines {
    /// A queue that a new thread writes to `sink`, for as long as the process lives.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let queue = lines.clone();
        thread::Builder::new().name("logging".to_owned()).spawn(move || queue.write_to(sink))?;
        Ok(lines)
    }

    /// Lines that found no room.
    pub(super) fn lost(&self) -> Counter {
        self.0.lost.clone()
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let pending = |waiting: &mut Waiting| waiting.bytes() > 0;
        // Whether in time or not, there is nothing more to be done.
        let _ = self.0.changed.wait_timeout_while(self.waiting(), patience, pending);
    }

    fn write_to(&self, mut sink: impl Write) {
        loop {
            let lines = self.take();
            // There is nobody who could be told.
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            self.waiting().being_written = 0;
            self.0.changed.notify_all();
        }
    }

    /// Everything that waits, once something does.
    fn take(&self) -> Vec<u8> {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty();
        let woken = self.0.changed.wait_while(self.waiting(), nothing);
        let mut waiting = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.being_written = waiting.lines.len();
        std::mem::take(&mut waiting.lines)
    }

    /// Nobody panics while holding it.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.lines.len() + self.being_written
    }
}

/// Takes whole entries, as tracing-subscriber writes them.
impl Write for &Lines {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        if waiting.bytes() + entry.len() > MOST_BYTES {
            self.0.lost.inc();
        } else {
            waiting.lines.extend_from_slice(entry);
            self.0.changed.notify_all();
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn queue() -> (Lines, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (Lines::to(writer).unwrap(), reader)
    }

    #[test]
    fn lines_arrive_in_their_order() {
        let (lines, mut reader) = queue();
        for line in ["one\n", "two\n", "three\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        lines.flush(PATIENCE);
        let mut read = [0; 14];
        reader.read_exact(&mut read).unwrap();
        assert_eq!((&read, lines.lost().get()), (b"one\ntwo\nthree\n", 0));
    }

    #[test]
    fn a_reader_who_does_not_read_stops_nobody_and_what_is_lost_is_counted() {
        let (lines, mut reader) = queue();
        let line = [b'x'; 1 << 10];
        for _ in 0..2 * MOST_BYTES / line.len() {
            (&lines).write_all(&line).unwrap();
        }
        let lost = usize::try_from(lines.lost().get()).unwrap();
        // All but what waits and what the pipe took.
        assert!((MOST_BYTES / 2..=MOST_BYTES).contains(&(lost * line.len())), "{lost} lines were lost");
        lines.flush(Duration::from_millis(1));
        let mut kept = vec![0; 2 * MOST_BYTES - lost * line.len()];
        reader.read_exact(&mut kept).unwrap();
        lines.flush(PATIENCE);
        assert_eq!(lines.waiting().bytes(), 0);
    }
}
