//! The embedded journal: an SQLite file of this process, used as a log. One writer commits many appends at once.

mod ack_floor;
mod checkpoint_file;
mod clock;
mod command;
mod commit;
mod compaction;
mod consumer;
mod dead_letters;
mod file;
mod read_only;
mod source_queue;
mod sql;
mod usage;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use checkpoint_file::CheckpointFile;
use chrono::{DateTime, Utc};
use clock::FileClock;
use command::{NewDeadLetter, NewFrame, Operation, WriterHandle};
pub(super) use consumer::{EmbeddedConsumer, Lease};
pub(super) use read_only::ReadOnlyFile;
use source_queue::SourceQueues;
use sqlx::SqlitePool;
use tokio::{sync::watch, time::timeout};
use usage::FileLimits;
use weir_event::Source;
use writer::Writer;

use crate::{
    checkpoint::JournalCheckpoint,
    clock::Clock,
    dead_letter::{DeadLetter, StoredDeadLetter},
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    error::{AppendError, JournalError},
    frame::SealedFrame,
    position::{AckFloor, PresentFrame},
    settings::Settings,
    usage::Usage,
};

/// The embedded journal. A clone is cheap and is the same journal.
#[derive(Clone, Debug)]
pub struct EmbeddedJournal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: WriterHandle,
    readers: SqlitePool,
    queues: SourceQueues,
    usage: watch::Receiver<Usage>,
    clock: FileClock,
    checkpoints: CheckpointFile,
    ack_wait: Duration,
    identity: i64,
}

impl EmbeddedJournal {
    pub(super) async fn open(folder: &Path, settings: Settings) -> Result<Self, JournalError> {
        let limits =
            FileLimits { frame_age: settings.acknowledged_frame_age, ..FileLimits::new(settings.max_bytes) };
        Self::open_with_limits(folder, limits, settings.ack_wait).await
    }

    async fn open_with_limits(
        folder: &Path,
        limits: FileLimits,
        ack_wait: Duration,
    ) -> Result<Self, JournalError> {
        let mut file = file::open(folder).await?;
        let queues = SourceQueues::default();
        let (usage_sender, usage) = watch::channel(Usage::default());
        let clock = FileClock::open(&mut file.writer).await;
        let clock = clock.map_err(|error| JournalError::Unusable(error.to_string()))?;
        let writer =
            Writer::start(file.writer, file.lock, limits, queues.clone(), usage_sender, clock.clone())
                .await?;
        let (readers, identity) = (file.readers, file.identity);
        let checkpoints = CheckpointFile::open(folder, readers.clone(), identity).await;
        let checkpoints = checkpoints.map_err(|error| JournalError::Unusable(error.to_string()))?;
        let shared = Shared { writer, readers, queues, usage, clock, checkpoints, ack_wait, identity };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        self.shared.writer.execute(Operation::Append(frames.iter().map(NewFrame::from).collect())).await
    }

    pub(super) async fn append_dead_letters(
        &self,
        stream: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        let letters = letters.iter().map(|letter| NewDeadLetter::new(stream, letter)).collect();
        self.shared.writer.execute(Operation::AppendDeadLetters(stream, letters)).await
    }

    pub(super) async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read_page(&self.shared.readers, stream, after, limit).await
    }

    pub(super) async fn dead_letter(
        &self,
        stream: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::read_at(&self.shared.readers, stream, sequence).await
    }

    pub(super) async fn remove_dead_letters(
        &self,
        stream: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        self.shared.writer.remove_dead_letters(stream, sequences).await
    }

    pub(super) async fn last_dead_letter(
        &self,
        stream: DeadLetterStream,
        subject: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::read_last(&self.shared.readers, stream, subject).await
    }

    pub(super) async fn dead_letter_stats(
        &self,
        stream: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(&self.shared.readers, stream).await
    }

    pub(super) async fn oldest_unacknowledged(
        &self,
        source: Source,
    ) -> Result<Option<DateTime<Utc>>, JournalError> {
        consumer::oldest_unacknowledged(&self.shared.readers, source).await
    }

    pub(super) fn consumer(&self, source: Source) -> EmbeddedConsumer {
        let queue = Arc::clone(self.shared.queues.of(source));
        let (readers, writer) = (self.shared.readers.clone(), self.shared.writer.clone());
        EmbeddedConsumer::new(queue, readers, writer, self.shared.ack_wait)
    }

    pub(super) fn ack_wait(&self) -> Duration {
        self.shared.ack_wait
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::Local { held: self.shared.clock.held_reason() }
    }

    pub(super) fn usage(&self) -> Result<Usage, JournalError> {
        if self.shared.writer.is_closed() {
            return Err(JournalError::Unreachable("the journal is closed".to_owned()));
        }
        Ok(*self.shared.usage.borrow())
    }

    pub(super) fn identity(&self) -> i64 {
        self.shared.identity
    }

    pub(super) async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        let through = ack_floor::read(&self.shared.readers).await?;
        Ok(AckFloor { journal: self.identity(), through })
    }

    pub(super) async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        ack_floor::present_frames(&self.shared.readers, sequences).await
    }

    pub(super) async fn update_checkpoints(
        &self,
        recorded: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, JournalError> {
        self.shared.checkpoints.update(recorded).await.map_err(sql::unreachable)
    }

    pub(super) async fn close(self, deadline: Duration) {
        let closing = async {
            self.shared.checkpoints.close().await;
            self.shared.writer.close().await;
            self.shared.readers.close().await;
        };
        if timeout(deadline, closing).await.is_err() {
            tracing::warn!("the journal's file did not close in time");
        }
    }
}

#[cfg(test)]
mod tests;
