//! Notes of the journal beside its file, in `journal-state.json` of its folder: a file that is gone, or an older copy
//! of it, tells by it what went with it.

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

use super::ack_floor;
use crate::{
    JournalState,
    checkpoint::{self, merge},
};

const FILE: &str = "journal-state.json";
/// What changes is noted within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// The notes, and the task that keeps them.
#[derive(Debug)]
pub(super) struct Notebook {
    notes: Arc<Notes>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Notes {
    path: PathBuf,
    readers: SqlitePool,
    /// Of the journal.
    identity: i64,
    /// Held from the look at the journal to its note, so that no note is older than the one before.
    states: Mutex<Vec<JournalState>>,
}

/// The file's contents.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    journals: Vec<JournalState>,
}

impl Notebook {
    /// Notes what the journal holds, and goes on until it is dropped.
    pub(super) async fn keep(folder: &Path, readers: SqlitePool, identity: i64) -> Result<Self, sqlx::Error> {
        let path = folder.join(FILE);
        let states = Mutex::new(read(&path));
        let notes = Arc::new(Notes { path, readers, identity, states });
        notes.note(Vec::new()).await?;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&notes).watch()));
        Ok(Self { notes, _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// What is noted as of now, after what is noted `elsewhere`.
    pub(super) async fn note(&self, elsewhere: Vec<JournalState>) -> Result<Vec<JournalState>, sqlx::Error> {
        self.notes.note(elsewhere).await
    }

    /// Notes once more, and no more after that.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        if let Err(error) = self.note(Vec::new()).await {
            tracing::debug!(%error, "what the journal holds can't be noted");
        }
    }
}

impl Notes {
    async fn watch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.note(Vec::new()).await {
                tracing::debug!(%error, "what the journal holds can't be noted");
            }
        }
    }

    async fn note(&self, elsewhere: Vec<JournalState>) -> Result<Vec<JournalState>, sqlx::Error> {
        let mut noted = self.states.lock().await;
        let seen = ack_floor::observed(&self.readers, self.identity).await?;
        let known = merge(noted.clone(), elsewhere);
        let still_there = match known.iter().find(|note| note.may_lack(&seen)) {
            Some(note) => ack_floor::frames_behind(&self.readers, note).await?,
            None => [0, 0],
        };
        let states = checkpoint::reckon(known, &seen, still_there, &[]);
        if states != *noted {
            write(&self.path, &states)?;
            checkpoint::tell_losses(&noted, &states);
            noted.clone_from(&states);
        }
        Ok(states)
    }
}

/// A file that is not there, or can't be read, notes nothing.
fn read(path: &Path) -> Vec<JournalState> {
    let read = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice::<Entry>(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => Err(error.to_string()),
    };
    read.map(|entry| entry.journals).unwrap_or_else(|error| {
        tracing::warn!(error, path = %path.display(), "what is noted of the journal can't be read and is noted anew");
        Vec::new()
    })
}

/// Whole or not at all.
fn write(path: &Path, states: &[JournalState]) -> io::Result<()> {
    let next = path.with_extension("json.next");
    let mut file = File::create(&next)?;
    serde_json::to_writer(&mut file, &Entry { journals: states.to_vec() })?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(next, path)
}
