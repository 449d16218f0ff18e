//! Standard error behind a bounded queue: whoever reads it and stops reading makes no work wait.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing::warn;

/// Entries that wait to be written, some 300 bytes each: what comes while they do is lost.
const MOST_WAITING: usize = 8_192;
/// How long the end of the process waits for its last entries.
const FLUSH: Duration = Duration::from_millis(500);

/// The queue of this process; it has one as soon as it logs.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The way to standard error. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    lost: Lost,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Entries that were not written.
#[derive(Clone, Debug, Default)]
pub(in crate::process) struct Lost {
    ever: Counter,
    untold: Arc<AtomicU64>,
}

impl Lines {
    /// The queue of this process.
    pub(super) fn get() -> Self {
        LINES.get_or_init(|| Self::start(io::stderr())).clone()
    }

    fn start(out: impl io::Write + Send + 'static) -> Self {
        let (queue, entries) = sync_channel(MOST_WAITING);
        let lost = Lost::default();
        let told = lost.clone();
        std::thread::spawn(move || write_all(out, &entries, &told));
        Self { queue, lost }
    }

    pub(super) fn lost(&self) -> Lost {
        self.lost.clone()
    }

    fn flush(&self, patience: Duration) {
        let (done, flushed) = sync_channel(1);
        // A full queue is one that nobody reads.
        if self.queue.try_send(Entry::Flush(done)).is_ok() {
            let _nobody_reads = flushed.recv_timeout(patience);
        }
    }
}

/// Returns when what was logged is written, or nobody reads it; the last thing that a process does.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH);
    }
}

fn write_all(mut out: impl io::Write, entries: &Receiver<Entry>, lost: &Lost) {
    for entry in entries {
        match entry {
            // Nobody can be told that nobody can be told.
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::Flush(done) => drop(done.send(())),
        }
        let untold = lost.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            warn!(entries = untold, "log entries were lost while nobody read them");
        }
    }
}

/// One call is one entry.
impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.ever.inc();
            self.lost.untold.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lost {
    /// What a metric counts.
    pub(in crate::process) fn ever(&self) -> Counter {
        self.ever.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, sync::Mutex};

    use super::*;

    /// Writes nothing while it is locked.
    #[derive(Clone, Default)]
    struct Reader(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_makes_nobody_wait_and_gets_what_fits_later() {
        let reader = Reader::default();
        let mut lines = Lines::start(reader.clone());
        let stopped = reader.0.lock().unwrap();
        for _ in 0..2 * MOST_WAITING {
            lines.write_all(b"x").unwrap();
        }
        let lost = lines.lost().ever().get();
        assert!(lost >= MOST_WAITING as u64 - 1, "{lost}");
        lines.flush(Duration::ZERO);
        drop(stopped);
        // Its place in the queue is free as soon as the reader reads.
        while reader.0.lock().unwrap().len() < MOST_WAITING {}
        lines.flush(Duration::from_secs(60));
        let written = reader.0.lock().unwrap().len() as u64;
        assert_eq!(written + lost, 2 * MOST_WAITING as u64);
    }
}
