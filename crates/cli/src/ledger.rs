//! The ledger: the answers that a publisher received, in a file that survives the publisher. It has one JSON
//! object per line, and each line is synced to the disk before the publisher continues.
//!
//! The ledger contains no events. Each can be generated again from the seed, its number and the time of its
//! request.

mod runs;

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use runs::Line;
pub(crate) use runs::{RequestOutcome, Run, read};

use crate::{generator::Mix, private_files};

/// The file of the current run. Cheap to clone; every clone writes to the same file.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    file: Arc<Mutex<File>>,
}

impl Ledger {
    /// Opens or creates the file, closes it to other users, and starts a run in it.
    ///
    /// # Errors
    /// The file can't be written or is not a ledger, or it has a run of this seed already, whose ids would be
    /// the same.
    pub(crate) fn start_run(path: &Path, seed: u64, mix: &Mix) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("can't open the ledger {shown}"))?;
        let runs = end_after_last_line(&mut file)
            .and_then(|lines| runs::parse(&lines))
            .with_context(|| format!("can't add to {shown}"))?;
        ensure!(
            runs.iter().all(|run| run.seed != seed),
            "the ledger {shown} has a run of the seed {seed} already: choose another seed or file"
        );
        private_files::close(path);
        let ledger = Self { file: Arc::new(Mutex::new(file)) };
        ledger.write(&Line::Run { seed, mix: mix.clone() })?;
        Ok(ledger)
    }

    /// Records a request before it is sent. Returns when the line is durable.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn record_request(&self, request: u64, at: DateTime<Utc>, events: u64) -> anyhow::Result<()> {
        self.write(&Line::Request { request, at_ms: at.timestamp_millis(), events })
    }

    /// Records the outcome of a request. Returns when the line is durable.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn record_answer(&self, request: u64, outcome: RequestOutcome) -> anyhow::Result<()> {
        self.write(&Line::Answer { request, outcome })
    }

    fn write(&self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line).context("a line of the ledger is plain JSON")?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text).and_then(|()| file.sync_data()).context("can't write the ledger")
    }
}

/// Removes an incomplete last line of a killed publisher, seeks to the end, and returns the whole lines.
fn end_after_last_line(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    bytes.truncate(runs::whole_lines(&bytes));
    file.set_len(bytes.len() as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mix() -> Mix {
        Mix { sizes: 1..=5, corrupt: 0.5, duplicates: 0.0, late: 0.0 }
    }

    #[test]
    fn a_ledger_is_read_without_its_incomplete_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::start_run(&path, 7, &mix()).unwrap();
        let now = DateTime::UNIX_EPOCH;
        for request in 0..3 {
            ledger.record_request(request, now, 5).unwrap();
        }
        ledger.record_answer(1, RequestOutcome::Refused { reason: "400".to_owned() }).unwrap();
        ledger.record_answer(0, RequestOutcome::Accepted { rejected: vec![4] }).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], br#"{"line":"answer","request":2,"outco"#].concat()).unwrap();

        let runs = read(&path).unwrap();
        assert_eq!((runs.len(), runs[0].seed, &runs[0].mix), (1, 7, &mix()));
        let outcomes: Vec<_> = runs[0].requests.iter().map(|request| request.outcome.clone()).collect();
        assert_eq!(outcomes[0], RequestOutcome::Accepted { rejected: vec![4] });
        assert!(matches!(outcomes[1], RequestOutcome::Refused { .. }));
        assert!(matches!(outcomes[2], RequestOutcome::Unknown { .. }));

        Ledger::start_run(&path, 8, &mix()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        assert!(Ledger::start_run(&path, 7, &mix()).is_err());
    }

    #[test]
    fn a_file_that_is_not_a_ledger_stays_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "call Orla back\n").unwrap();
        assert!(Ledger::start_run(&path, 7, &mix()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "call Orla back\n");
    }
}
