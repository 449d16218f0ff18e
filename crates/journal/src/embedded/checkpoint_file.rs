//! The checkpoints beside the file, in `journal-state.json` of its folder. They reveal the frames that are lost with a
//! file that is gone or was replaced by an older copy.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use tokio::{sync::Mutex, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_event::Source;

use super::sql::{signed, unsigned};
use crate::checkpoint::{self, JournalCheckpoint, merge_checkpoints};

const FILE_NAME: &str = "journal-state.json";
/// A change is recorded within one second.
const INTERVAL: Duration = Duration::from_millis(500);

/// The checkpoints, and the task that records them.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    recorder: Arc<Recorder>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Recorder {
    path: PathBuf,
    readers: SqlitePool,
    /// The journal's identity.
    identity: i64,
    /// Locked from the reading of the journal to the writing of its checkpoint, so that no checkpoint is older than the
    /// one before.
    checkpoints: Mutex<Vec<JournalCheckpoint>>,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    journals: Vec<JournalCheckpoint>,
}

impl CheckpointFile {
    /// Records a checkpoint, and starts a task that records one every 500 ms until this is dropped.
    pub(super) async fn open(folder: &Path, readers: SqlitePool, identity: i64) -> Result<Self, sqlx::Error> {
        let path = folder.join(FILE_NAME);
        let checkpoints = Mutex::new(read(&path));
        let recorder = Arc::new(Recorder { path, readers, identity, checkpoints });
        recorder.update(Vec::new()).await?;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&recorder).run()));
        Ok(Self { recorder, _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// Updates the checkpoints with the contents of the journal and with those that are recorded `elsewhere`.
    pub(super) async fn update(
        &self,
        elsewhere: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, sqlx::Error> {
        self.recorder.update(elsewhere).await
    }

    /// Records a last checkpoint and ends the task.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        if let Err(error) = self.update(Vec::new()).await {
            tracing::debug!(%error, "the journal's checkpoint can't be recorded");
        }
    }
}

impl Recorder {
    async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.update(Vec::new()).await {
                tracing::debug!(%error, "the journal's checkpoint can't be recorded");
            }
        }
    }

    async fn update(&self, elsewhere: Vec<JournalCheckpoint>) -> Result<Vec<JournalCheckpoint>, sqlx::Error> {
        let mut recorded = self.checkpoints.lock().await;
        let current = observe(&self.readers, self.identity).await?;
        let known = merge_checkpoints(recorded.clone(), elsewhere);
        let present = match known.iter().find(|earlier| earlier.may_lack_frames(&current)) {
            Some(earlier) => count_present(&self.readers, earlier).await?,
            None => [0, 0],
        };
        let updated = checkpoint::advance(known, &current, present, &[]);
        if updated != *recorded {
            write(&self.path, &updated)?;
            checkpoint::log_new_losses(&recorded, &updated);
            recorded.clone_from(&updated);
        }
        Ok(updated)
    }
}

/// The checkpoint of the file's contents now.
async fn observe(readers: &SqlitePool, journal: i64) -> Result<JournalCheckpoint, sqlx::Error> {
    let mut transaction = readers.begin().await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'frame'")
        .fetch_optional(&mut *transaction)
        .await?;
    let mut current = JournalCheckpoint {
        journal,
        last_sequence: unsigned(last.unwrap_or_default()),
        ..JournalCheckpoint::default()
    };
    for &source in Source::ALL {
        let (waiting, first): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(sequence) FROM waiting WHERE source = ?")
                .bind(source.number())
                .fetch_one(&mut *transaction)
                .await?;
        let floor = first.map_or(current.last_sequence, |first| unsigned(first - 1));
        let of_source = current.of_mut(source);
        (of_source.waiting, of_source.floor) = (unsigned(waiting), floor);
    }
    transaction.rollback().await?;
    Ok(current)
}

/// The number of each source's frames between the floor and the last sequence of `earlier` that the file still has.
async fn count_present(readers: &SqlitePool, earlier: &JournalCheckpoint) -> Result<[u64; 2], sqlx::Error> {
    let mut present = [0; 2];
    for (count, &source) in present.iter_mut().zip(Source::ALL) {
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM frame WHERE source = ? AND sequence > ? AND sequence <= ?",
        )
        .bind(source.number())
        .bind(signed(earlier.of(source).floor))
        .bind(signed(earlier.last_sequence))
        .fetch_one(readers)
        .await?;
        *count = unsigned(found);
    }
    Ok(present)
}

/// Reads the checkpoints; none if the file is missing or can't be read.
fn read(path: &Path) -> Vec<JournalCheckpoint> {
    let read = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice::<Document>(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => Err(error.to_string()),
    };
    read.map(|document| document.journals).unwrap_or_else(|error| {
        tracing::warn!(error, path = %path.display(), "the journal's checkpoints can't be read and are recorded anew");
        Vec::new()
    })
}

/// Replaces the file in one step, so that a crash leaves the old contents or the new ones.
fn write(path: &Path, checkpoints: &[JournalCheckpoint]) -> io::Result<()> {
    let next = path.with_extension("json.next");
    let mut file = File::create(&next)?;
    serde_json::to_writer(&mut file, &Document { journals: checkpoints.to_vec() })?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(next, path)
}
