//! Notes of `EVENTS` in the key-value bucket `WEIR_STATE`: one entry of JSON, changed only by who has read its
//! last revision.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use weir_event::Source;

use super::{
    api::{self, ApiError, Context},
    maintenance::{self, Observation},
};
use crate::{
    JournalError, JournalState, Names, Ownership,
    checkpoint::{self, Appended},
};

/// The key of the one entry.
const KEY: &str = "EVENTS";
/// Attempts at an entry that others change at the same time.
const ATTEMPTS: usize = 5;
/// What others change is known after it.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Frames behind the last note that are remembered: some seconds' worth, 10 MiB.
const MOST_APPENDED: usize = 100_000;
/// For one question to the bucket.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is noted, and what this process appended since.
#[derive(Debug)]
pub(super) struct Notebook {
    context: Context,
    names: Names,
    ownership: Ownership,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// As this process wrote or read it last.
    notes: Vec<JournalState>,
    /// This process's own frames behind the last note.
    appended: Vec<Appended>,
    /// Something else than Weir may have removed frames since the last note.
    suspected: bool,
    /// When the bucket was read last: others change what it says of losses.
    read_at: Option<Instant>,
}

/// The entry's value.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    journals: Vec<JournalState>,
}

impl Notebook {
    pub(super) fn new(context: Context, names: Names, ownership: Ownership) -> Self {
        Self { context, names, ownership, inner: Mutex::default() }
    }

    /// Frames that this process appended.
    pub(super) fn appended(&self, frames: Vec<Appended>) {
        let mut inner = self.lock();
        inner.appended.extend(frames);
        // While nothing can be noted.
        let excess = inner.appended.len().saturating_sub(MOST_APPENDED);
        inner.appended.drain(..excess);
    }

    /// Says that something else than Weir may remove frames now: the next note looks after those that waited.
    pub(super) fn suspect_removal(&self) {
        self.lock().suspected = true;
    }

    /// What was noted last, as far as this process knows.
    pub(super) fn known(&self) -> Vec<JournalState> {
        self.lock().notes.clone()
    }

    /// Notes what is seen now, where it differs from what is noted.
    pub(super) async fn note(&self, seen: JournalState) -> Result<(), JournalError> {
        let is_known = self.lock().read_at.is_some_and(|at| at.elapsed() < READ_EVERY);
        let known = self.known();
        let seen = self.with_own(seen);
        let unchanged = |note: &JournalState| {
            let mut same = JournalState {
                revision: note.revision,
                last_sequences: note.last_sequences.clone(),
                ..seen.clone()
            };
            Source::ALL.iter().for_each(|source| same.of_mut(*source).lost = note.of(*source).lost);
            *note == same
        };
        if is_known && known.iter().any(unchanged) {
            self.forget_appended(&seen);
            return Ok(());
        }
        self.reckon(seen, Vec::new()).await.map(drop)
    }

    /// Reads what is noted, takes `others` into account and what is seen now, and notes what comes of it.
    pub(super) async fn reckon(
        &self,
        seen: JournalState,
        others: Vec<JournalState>,
    ) -> Result<Vec<JournalState>, JournalError> {
        let mut seen = self.with_own(seen);
        let suspected = self.lock().suspected;
        let store = self.store().await?;
        for _ in 0..ATTEMPTS {
            let (revision, noted) = read(&store).await?;
            let mut notes = checkpoint::merge(checkpoint::merge(noted.clone(), self.known()), others.clone());
            if notes.iter().any(|note| note.contradicts(&seen)) {
                // Others may have noted what came after this look: only a look after theirs tells.
                let may_purge = seen.may_purge;
                let state = maintenance::observe(&self.context, &self.names).await?.state;
                seen = self.with_own(JournalState { may_purge, ..state });
            }
            if suspected {
                seen.may_purge = false;
                notes.iter_mut().for_each(|note| note.may_purge = false);
            }
            let appended = self.lock().appended.clone();
            let still_there = match notes.iter().find(|note| note.may_lack(&seen)) {
                Some(note) => self.frames_behind(note).await?,
                None => [0, 0],
            };
            let reckoned = checkpoint::reckon(notes, &seen, still_there, &appended);
            // Only the owner notes how far the journal has got.
            let is_noted = reckoned == noted
                || (self.ownership == Ownership::Guest && checkpoint::tells_the_same(&reckoned, &noted));
            if is_noted || write(&store, revision, &reckoned).await? {
                checkpoint::tell_losses(&noted, &reckoned);
                {
                    let mut inner = self.lock();
                    inner.notes.clone_from(&reckoned);
                    inner.read_at = Some(Instant::now());
                    inner.suspected = false;
                }
                self.forget_appended(&seen);
                return Ok(reckoned);
            }
        }
        Err(JournalError::Unreachable("others note at the same time".to_owned()))
    }

    /// Observes the journal first.
    pub(super) async fn observe_and_reckon(
        &self,
        others: Vec<JournalState>,
    ) -> Result<Vec<JournalState>, JournalError> {
        let Observation { state, .. } = maintenance::observe(&self.context, &self.names).await?;
        self.reckon(state, others).await
    }

    /// Takes note of the losses: from now on none is told.
    pub(super) async fn forget_losses(&self) -> Result<u64, JournalError> {
        let store = self.store().await?;
        for _ in 0..ATTEMPTS {
            let (revision, mut notes) = read(&store).await?;
            let lost = checkpoint::forget_losses(&mut notes);
            if lost == 0 || write(&store, revision, &notes).await? {
                return Ok(lost);
            }
        }
        Err(JournalError::Unreachable("others note at the same time".to_owned()))
    }

    /// With the last sequences of this process's own frames.
    fn with_own(&self, mut seen: JournalState) -> JournalState {
        for frame in &self.lock().appended {
            if frame.sequence <= seen.last_sequence {
                let last = seen.last_sequences.entry(frame.subject.clone()).or_default();
                *last = frame.sequence.max(*last);
            }
        }
        seen
    }

    /// Those that the note knows of.
    fn forget_appended(&self, noted: &JournalState) {
        self.lock().appended.retain(|frame| frame.sequence > noted.last_sequence);
    }

    /// How many frames of each source lie between the floor and the last sequence that were noted of it.
    async fn frames_behind(&self, note: &JournalState) -> Result<[u64; 2], ApiError> {
        let mut behind = [0; 2];
        for (count, &source) in behind.iter_mut().zip(Source::ALL) {
            let subjects = vec![self.names.events(source), self.names.erasures(source)];
            let (events, floor) = (self.names.events_stream(), note.of(source).floor);
            let behind_floor = api::frames_behind(&self.context, &events, subjects.clone(), floor).await?;
            let newer = api::frames_behind(&self.context, &events, subjects, note.last_sequence).await?;
            *count = behind_floor.saturating_sub(newer);
        }
        Ok(behind)
    }

    async fn store(&self) -> Result<Store, JournalError> {
        let bucket = self.names.state_bucket();
        let opened = timeout(PATIENCE, self.context.get_key_value(&bucket)).await.map_err(away)?;
        opened
            .map_err(|error| JournalError::Unreachable(format!("the bucket {bucket} can't be read: {error}")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Every change is one step, so that a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry's revision and what it says; an entry that can't be read is as none.
async fn read(store: &Store) -> Result<(Option<u64>, Vec<JournalState>), JournalError> {
    let entry = timeout(PATIENCE, store.entry(KEY)).await.map_err(away)?.map_err(away)?;
    let Some(entry) = entry else { return Ok((None, Vec::new())) };
    let read: Entry = serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
        tracing::warn!(%error, "what is noted of the journal can't be read and is noted anew");
        Entry::default()
    });
    Ok((Some(entry.revision), read.journals))
}

/// False where somebody else wrote meanwhile.
async fn write(
    store: &Store,
    revision: Option<u64>,
    journals: &[JournalState],
) -> Result<bool, JournalError> {
    let value = serde_json::to_vec(&Entry { journals: journals.to_vec() }).map_err(away)?.into();
    match revision {
        Some(revision) => match timeout(PATIENCE, store.update(KEY, value, revision)).await.map_err(away)? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(away(error)),
        },
        None => match timeout(PATIENCE, store.create(KEY, value)).await.map_err(away)? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(away(error)),
        },
    }
}

fn away(error: impl std::fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
