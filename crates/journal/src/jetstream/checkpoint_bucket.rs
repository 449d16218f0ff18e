//! The checkpoints of `EVENTS` in the key-value bucket `WEIR_STATE`: one entry of JSON. A process replaces the entry only
//! if it has read its last revision.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use weir_event::Source;

use super::{
    api::{self, ApiError, Context, unreachable},
    observation::{EventsObservation, observe},
};
use crate::{
    checkpoint::{self, AppendedFrame, JournalCheckpoint, merge_checkpoints},
    error::JournalError,
    names::Names,
    settings::Ownership,
};

/// The key of the one entry.
const KEY: &str = "EVENTS";
/// Attempts to replace an entry that other processes replace at the same time.
const ATTEMPTS: usize = 5;
/// The bucket is read again after this time, because other processes change it too.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// The most frames behind the last checkpoint that are kept in memory: those of some seconds, 10 MiB.
const MAX_APPENDED: usize = 100_000;
/// Timeout of one request to the bucket.
const BUCKET_TIMEOUT: Duration = Duration::from_secs(3);

/// The recorded checkpoints, and the frames that this process has appended since.
#[derive(Debug)]
pub(super) struct CheckpointBucket {
    context: Context,
    names: Names,
    ownership: Ownership,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// The checkpoints that this process wrote or read last.
    checkpoints: Vec<JournalCheckpoint>,
    /// This process's own frames behind the last checkpoint.
    appended: Vec<AppendedFrame>,
    /// Whether another application may have removed frames since the last checkpoint.
    removal_suspected: bool,
    /// When the bucket was read last. Other processes change the losses in it.
    read_at: Option<Instant>,
}

/// The value of the entry.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    journals: Vec<JournalCheckpoint>,
}

impl CheckpointBucket {
    pub(super) fn new(context: Context, names: Names, ownership: Ownership) -> Self {
        Self { context, names, ownership, cache: Mutex::default() }
    }

    /// Adds frames that this process has appended. Keeps the last [`MAX_APPENDED`] while no checkpoint can be recorded.
    pub(super) fn add_appended(&self, frames: Vec<AppendedFrame>) {
        let mut cache = self.lock();
        cache.appended.extend(frames);
        let excess = cache.appended.len().saturating_sub(MAX_APPENDED);
        cache.appended.drain(..excess);
    }

    /// Marks that another application may have removed frames: the next checkpoint counts the unacknowledged frames that
    /// are still there.
    pub(super) fn suspect_removal(&self) {
        self.lock().removal_suspected = true;
    }

    /// The checkpoints that this process wrote or read last.
    pub(super) fn last(&self) -> Vec<JournalCheckpoint> {
        self.lock().checkpoints.clone()
    }

    /// Records a checkpoint if it differs from the recorded one.
    pub(super) async fn record(&self, current: JournalCheckpoint) -> Result<(), JournalError> {
        let is_fresh = self.lock().read_at.is_some_and(|at| at.elapsed() < READ_INTERVAL);
        let known = self.last();
        let current = self.with_appended(current);
        let is_unchanged = |recorded: &JournalCheckpoint| {
            let mut same = JournalCheckpoint {
                revision: recorded.revision,
                last_sequences: recorded.last_sequences.clone(),
                ..current.clone()
            };
            Source::ALL.iter().for_each(|source| same.of_mut(*source).lost = recorded.of(*source).lost);
            *recorded == same
        };
        if is_fresh && known.iter().any(is_unchanged) {
            self.drop_appended(&current);
            return Ok(());
        }
        self.update(current, Vec::new()).await.map(drop)
    }

    /// Observes the journal, and updates the checkpoints with the observation and with `others`.
    pub(super) async fn observe_and_update(
        &self,
        others: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, JournalError> {
        let EventsObservation { checkpoint, .. } = observe(&self.context, &self.names).await?;
        self.update(checkpoint, others).await
    }

    /// Reads the recorded checkpoints, advances them to `current` and records the result.
    async fn update(
        &self,
        current: JournalCheckpoint,
        others: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, JournalError> {
        let mut current = self.with_appended(current);
        let removal_suspected = self.lock().removal_suspected;
        let store = self.store().await?;
        for _ in 0..ATTEMPTS {
            let (revision, recorded) = read(&store).await?;
            let known = merge_checkpoints(recorded.clone(), self.last());
            let mut known = merge_checkpoints(known, others.clone());
            if known.iter().any(|earlier| earlier.contradicts(&current)) {
                // Another process may have recorded a later state: only an observation after its record is conclusive.
                let may_purge = current.may_purge;
                let checkpoint = observe(&self.context, &self.names).await?.checkpoint;
                current = self.with_appended(JournalCheckpoint { may_purge, ..checkpoint });
            }
            if removal_suspected {
                current.may_purge = false;
                known.iter_mut().for_each(|earlier| earlier.may_purge = false);
            }
            let appended = self.lock().appended.clone();
            let present = match known.iter().find(|earlier| earlier.may_lack_frames(&current)) {
                Some(earlier) => self.count_present(earlier).await?,
                None => [0, 0],
            };
            let updated = checkpoint::advance(known, &current, present, &appended);
            // A guest records losses and replaced journals, and leaves the progress to the owner.
            let is_recorded = updated == recorded
                || (self.ownership == Ownership::Guest && checkpoint::have_same_losses(&updated, &recorded));
            if is_recorded || write(&store, revision, &updated).await? {
                checkpoint::log_new_losses(&recorded, &updated);
                {
                    let mut cache = self.lock();
                    cache.checkpoints.clone_from(&updated);
                    cache.read_at = Some(Instant::now());
                    cache.removal_suspected = false;
                }
                self.drop_appended(&current);
                return Ok(updated);
            }
        }
        Err(concurrent_writes())
    }

    /// Resets every loss to 0. Returns the number of frames that were lost.
    pub(super) async fn reset_losses(&self) -> Result<u64, JournalError> {
        let store = self.store().await?;
        for _ in 0..ATTEMPTS {
            let (revision, mut checkpoints) = read(&store).await?;
            let lost = checkpoint::reset_losses(&mut checkpoints);
            if lost == 0 || write(&store, revision, &checkpoints).await? {
                return Ok(lost);
            }
        }
        Err(concurrent_writes())
    }

    /// The checkpoint with the last sequences of this process's own frames.
    fn with_appended(&self, mut current: JournalCheckpoint) -> JournalCheckpoint {
        for frame in &self.lock().appended {
            if frame.sequence <= current.last_sequence {
                let last = current.last_sequences.entry(frame.subject.clone()).or_default();
                *last = frame.sequence.max(*last);
            }
        }
        current
    }

    /// Drops the appended frames that the checkpoint covers.
    fn drop_appended(&self, recorded: &JournalCheckpoint) {
        self.lock().appended.retain(|frame| frame.sequence > recorded.last_sequence);
    }

    /// The number of each source's frames between the floor and the last sequence of `earlier` that the stream still has.
    async fn count_present(&self, earlier: &JournalCheckpoint) -> Result<[u64; 2], ApiError> {
        let mut present = [0; 2];
        for (count, &source) in present.iter_mut().zip(Source::ALL) {
            let subjects = vec![self.names.events(source), self.names.erasures(source)];
            let (events, floor) = (self.names.events_stream(), earlier.of(source).floor);
            let after_floor = api::count_after(&self.context, &events, subjects.clone(), floor).await?;
            let after_last =
                api::count_after(&self.context, &events, subjects, earlier.last_sequence).await?;
            *count = after_floor.saturating_sub(after_last);
        }
        Ok(present)
    }

    async fn store(&self) -> Result<Store, JournalError> {
        let bucket = self.names.state_bucket();
        let opened = timeout(BUCKET_TIMEOUT, self.context.get_key_value(&bucket)).await;
        opened
            .map_err(unreachable)?
            .map_err(|error| JournalError::Unreachable(format!("the bucket {bucket} can't be read: {error}")))
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        // Every change is one step, so that a panic elsewhere leaves the cache consistent.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn concurrent_writes() -> JournalError {
    JournalError::Unreachable("other processes record checkpoints at the same time".to_owned())
}

/// Reads the entry's revision and checkpoints. An entry that can't be read counts as empty.
async fn read(store: &Store) -> Result<(Option<u64>, Vec<JournalCheckpoint>), JournalError> {
    let entry = timeout(BUCKET_TIMEOUT, store.entry(KEY)).await.map_err(unreachable)?.map_err(unreachable)?;
    let Some(entry) = entry else { return Ok((None, Vec::new())) };
    let document: Document = serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
        tracing::warn!(%error, "the journal's checkpoints can't be read and are recorded anew");
        Document::default()
    });
    Ok((Some(entry.revision), document.journals))
}

/// Writes the entry. Returns false if another process has written it meanwhile.
async fn write(
    store: &Store,
    revision: Option<u64>,
    checkpoints: &[JournalCheckpoint],
) -> Result<bool, JournalError> {
    let value = serde_json::to_vec(&Document { journals: checkpoints.to_vec() }).map_err(unreachable)?.into();
    match revision {
        Some(revision) => {
            match timeout(BUCKET_TIMEOUT, store.update(KEY, value, revision)).await.map_err(unreachable)? {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(error) => Err(unreachable(error)),
            }
        }
        None => match timeout(BUCKET_TIMEOUT, store.create(KEY, value)).await.map_err(unreachable)? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(unreachable(error)),
        },
    }
}
