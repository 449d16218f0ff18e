//! The journal in a file of this process: SQLite as a log, with one writer that commits many appends at once.

mod ack_floor;
mod bounds;
mod checkpoint_file;
mod clock;
mod command;
mod commit;
mod compaction;
mod consumer;
mod dead_letters;
mod file;
mod leases;
mod read_only;
mod source_queue;
mod usage;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use bounds::Bounds;
use checkpoint_file::Notebook;
use chrono::{DateTime, Utc};
use clock::FileClock;
use command::{Letter, Record, Work, Writing};
pub(super) use consumer::{Lease, Offers};
pub(super) use read_only::OpenedFile;
use source_queue::Lane;
use sqlx::SqlitePool;
use tokio::{sync::watch, time::timeout};
use weir_event::Source;
use writer::Writer;

use super::{
    AppendError, Clock, DeadLetter, DeadLetterStats, DeadLetterStream, JournalError, SealedFrame, Settings,
    StoredDeadLetter, Usage,
};

/// The embedded journal. Cheap to clone; every clone is the same journal.
#[derive(Clone, Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writing: Writing,
    readers: SqlitePool,
    lanes: Lanes,
    fill: watch::Receiver<Usage>,
    clock: FileClock,
    notebook: Notebook,
    ack_wait: Duration,
    identity: i64,
}

/// One lane per source.
#[derive(Clone, Debug)]
struct Lanes {
    facebook: Arc<Lane>,
    tiktok: Arc<Lane>,
}

impl Lanes {
    fn new() -> Self {
        Self { facebook: Arc::new(Lane::new(Source::Facebook)), tiktok: Arc::new(Lane::new(Source::Tiktok)) }
    }

    fn of(&self, source: Source) -> &Arc<Lane> {
        match source {
            Source::Facebook => &self.facebook,
            Source::Tiktok => &self.tiktok,
        }
    }
}

impl Embedded {
    pub(super) async fn open(folder: &Path, settings: Settings) -> Result<Self, JournalError> {
        let bounds = Bounds { frame_age: settings.acknowledged_frame_age, ..Bounds::new(settings.max_bytes) };
        Self::bounded(folder, bounds, settings.ack_wait).await
    }

    async fn bounded(folder: &Path, bounds: Bounds, ack_wait: Duration) -> Result<Self, JournalError> {
        let mut file = file::open(folder).await?;
        let lanes = Lanes::new();
        let (fill, shown) = watch::channel(Usage::default());
        let clock = FileClock::open(&mut file.writer).await;
        let clock = clock.map_err(|error| JournalError::Unusable(error.to_string()))?;
        let writing =
            Writer::start(file.writer, file.lock, bounds, lanes.clone(), fill, clock.clone()).await?;
        let (readers, identity) = (file.readers, file.identity);
        let notebook = Notebook::keep(folder, readers.clone(), identity).await;
        let notebook = notebook.map_err(|error| JournalError::Unusable(error.to_string()))?;
        let shared = Shared { writing, readers, lanes, fill: shown, clock, notebook, ack_wait, identity };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        self.shared.writing.ask(Work::Append(frames.iter().map(Record::from).collect())).await
    }

    pub(super) async fn append_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        let letters = letters.iter().map(|letter| Letter::new(graveyard, letter)).collect();
        self.shared.writing.ask(Work::Bury(graveyard, letters)).await
    }

    pub(super) async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read(&self.shared.readers, graveyard, after, limit).await
    }

    pub(super) async fn dead_letter(
        &self,
        graveyard: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::at(&self.shared.readers, graveyard, sequence).await
    }

    pub(super) async fn remove_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        self.shared.writing.remove(graveyard, sequences).await
    }

    pub(super) async fn last_dead_letter(
        &self,
        graveyard: DeadLetterStream,
        subject: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::last(&self.shared.readers, graveyard, subject).await
    }

    pub(super) async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(&self.shared.readers, graveyard).await
    }

    pub(super) async fn oldest_waiting(&self, source: Source) -> Result<Option<DateTime<Utc>>, JournalError> {
        consumer::oldest_waiting(&self.shared.readers, source).await
    }

    pub(super) fn consumer(&self, source: Source) -> Offers {
        let lane = Arc::clone(self.shared.lanes.of(source));
        Offers::new(lane, self.shared.readers.clone(), self.shared.writing.clone(), self.shared.ack_wait)
    }

    pub(super) fn ack_wait(&self) -> Duration {
        self.shared.ack_wait
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::Alone { held: self.shared.clock.held_reason() }
    }

    pub(super) fn usage(&self) -> Result<Usage, JournalError> {
        if self.shared.writing.is_closed() {
            return Err(JournalError::Unreachable("the journal is closed".to_owned()));
        }
        Ok(*self.shared.fill.borrow())
    }

    pub(super) async fn close(self, deadline: Duration) {
        let closing = async {
            self.shared.notebook.close().await;
            self.shared.writing.close().await;
            self.shared.readers.close().await;
        };
        if timeout(deadline, closing).await.is_err() {
            tracing::warn!("the journal's file did not close in time");
        }
    }
}

#[cfg(test)]
mod tests;
