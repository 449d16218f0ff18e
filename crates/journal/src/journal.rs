//! The journal over its two adapters, JetStream and the embedded file.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use weir_event::Source;
use weir_process::{Stop, clock::RoleClock};

use crate::{
    checkpoint::JournalCheckpoint,
    clock::Clock,
    consumer::Consumer,
    dead_letter::{DeadLetter, StoredDeadLetter},
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    durability::DurabilityReport,
    embedded::EmbeddedJournal,
    error::{AppendError, JournalError},
    frame::{FrameLimit, SealedFrame},
    jetstream::{JetStreamJournal, JournalSetting},
    names::Names,
    position::{AckFloor, PresentFrame},
    servers::Servers,
    settings::Settings,
    spans::MessagingSpans,
    usage::{Backlog, Usage},
};

/// The journal. A clone is cheap and is the same journal.
#[derive(Clone, Debug)]
pub enum Journal {
    JetStream(JetStreamJournal),
    Embedded(EmbeddedJournal),
}

impl Journal {
    /// Connects to JetStream, and retries for up to `timeout` while no server answers. An owner creates the streams and
    /// consumers, adopts those of an earlier build and changes settings that differ, as long as nothing shrinks. A guest
    /// waits for them.
    ///
    /// # Errors
    /// [`JournalError::Unreachable`] after `timeout`; [`JournalError::Unusable`] at once.
    pub async fn connect(
        servers: &Servers,
        settings: Settings,
        timeout: Duration,
    ) -> Result<Self, JournalError> {
        JetStreamJournal::connect(servers, settings, timeout).await.map(Self::JetStream)
    }

    /// Opens the embedded journal in `folder`, or creates it.
    ///
    /// # Errors
    /// The folder can't be written, or the file is no journal.
    pub async fn open(folder: &Path, settings: Settings) -> Result<Self, JournalError> {
        EmbeddedJournal::open(folder, settings).await.map(Self::Embedded)
    }

    /// The largest frame that the journal accepts now. The limits of servers and streams may change while a process
    /// runs.
    #[must_use]
    pub fn frame_limit(&self) -> FrameLimit {
        match self {
            Self::JetStream(journal) => journal.frame_limit(),
            Self::Embedded(_) => FrameLimit::default(),
        }
    }

    /// Appends frames, in order. When this returns `Ok`, all of them are durable.
    ///
    /// # Errors
    /// Not every frame was acknowledged; see [`AppendError`].
    pub async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        match self {
            Self::JetStream(journal) => journal.append(frames).await,
            Self::Embedded(journal) => journal.append(frames).await,
        }
    }

    /// Appends dead letters. When this returns `Ok`, all of them are durable. The journal keeps a rejected letter once:
    /// one whose fingerprint is in the stream already is the same item, posted again. It appends a parked letter always,
    /// because a redriven event may be parked again before its first letter is removed.
    ///
    /// # Errors
    /// Not every letter was acknowledged. `DEAD_LETTERS` may be full; `REJECTED` never is.
    pub async fn append_dead_letters(
        &self,
        stream: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        match self {
            Self::JetStream(journal) => journal.append_dead_letters(stream, letters).await,
            Self::Embedded(journal) => journal.append_dead_letters(stream, letters).await,
        }
    }

    /// Up to `limit` dead letters with a sequence over `after`, in the order in which they were appended. A shorter page
    /// is the last one.
    ///
    /// # Errors
    /// The journal is unreachable, or a letter can't be read.
    pub async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letters(stream, after, limit).await,
            Self::Embedded(journal) => journal.dead_letters(stream, after, limit).await,
        }
    }

    /// The dead letter at a sequence; `None` if there is none, or none any more.
    ///
    /// # Errors
    /// The journal is unreachable, or the letter can't be read.
    pub async fn dead_letter(
        &self,
        stream: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letter(stream, sequence).await,
            Self::Embedded(journal) => journal.dead_letter(stream, sequence).await,
        }
    }

    /// Removes dead letters for good. A sequence without a letter counts as removed.
    ///
    /// # Errors
    /// The journal is unreachable; some of the letters may be removed.
    pub async fn remove_dead_letters(
        &self,
        stream: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        match self {
            Self::JetStream(journal) => journal.remove_dead_letters(stream, sequences).await,
            Self::Embedded(journal) => journal.remove_dead_letters(stream, sequences).await,
        }
    }

    /// The newest dead letter of an identity. `source` is `None` for items that named no known source.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn last_dead_letter(
        &self,
        stream: DeadLetterStream,
        source: Option<Source>,
        event_id: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        let newest = match self {
            Self::JetStream(journal) => {
                let subject = journal.names().dead_letter(stream, source, event_id.as_bytes());
                journal.last_dead_letter(stream, &subject).await
            }
            Self::Embedded(journal) => {
                let subject = Names::default().dead_letter(stream, source, event_id.as_bytes());
                journal.last_dead_letter(stream, &subject).await
            }
        }?;
        // The subject of an item without an id has the hash of its bytes. Bytes that equal this id match it too.
        Ok(newest.filter(|stored| stored.letter.event_id.as_deref() == Some(event_id)))
    }

    /// The contents of a dead-letter stream, and the number of letters that left it.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn dead_letter_stats(&self, stream: DeadLetterStream) -> Result<DeadLetterStats, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letter_stats(stream).await,
            Self::Embedded(journal) => journal.dead_letter_stats(stream).await,
        }
    }

    /// The durable consumer of a source.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn consumer(&self, source: Source) -> Result<Consumer, JournalError> {
        match self {
            Self::JetStream(journal) => {
                journal.consumer(source).await.map(|consumer| Consumer::JetStream(Box::new(consumer)))
            }
            Self::Embedded(journal) => Ok(Consumer::Embedded(journal.consumer(source))),
        }
    }

    /// The frames that a source's collectors have not acknowledged.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(journal) => journal.backlog(source).await,
            Self::Embedded(journal) => journal.consumer(source).backlog().await,
        }
    }

    /// When the journal stored the oldest frame that a source's collectors have not acknowledged; `None` if there is
    /// none.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn oldest_unacknowledged(&self, source: Source) -> Result<Option<DateTime<Utc>>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.oldest_unacknowledged(source).await,
            Self::Embedded(journal) => journal.oldest_unacknowledged(source).await,
        }
    }

    /// The journal's usage. It is cheap enough for a readiness check every second: an error means that the journal accepts no
    /// append now.
    ///
    /// # Errors
    /// The journal is unreachable, or its streams are not as they must be. The text is for operators.
    pub async fn usage(&self) -> Result<Usage, JournalError> {
        match self {
            Self::JetStream(journal) => journal.usage().await,
            Self::Embedded(journal) => journal.usage(),
        }
    }

    /// The acknowledgement deadline that the journal applies.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        match self {
            Self::JetStream(journal) => journal.ack_wait(),
            Self::Embedded(journal) => journal.ack_wait(),
        }
    }

    /// The journal's clock, compared with the clock of this process.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn clock(&self) -> Result<Clock, JournalError> {
        match self {
            Self::JetStream(journal) => journal.clock().await,
            Self::Embedded(journal) => Ok(journal.clock()),
        }
    }

    /// Compares the role's clock with the journal's clock until `stop`.
    pub fn watch_clock(&self, clock: &RoleClock, stop: &Stop) {
        let journal = self.clone();
        clock.watch("journal", stop.clone(), move || {
            let journal = journal.clone();
            async move { journal.clock().await.map(Into::into).map_err(|error| error.to_string()) }
        });
    }

    /// Identifies this journal among all journals, the one that it replaces included. If a server's journal is replaced
    /// while this process uses it, the identity changes with the next [`Self::ack_floor`].
    #[must_use]
    pub fn identity(&self) -> i64 {
        match self {
            Self::JetStream(journal) => journal.identity(),
            Self::Embedded(journal) => journal.identity(),
        }
    }

    /// The acknowledgement floor, over both sources.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        match self {
            Self::JetStream(journal) => journal.ack_floor().await,
            Self::Embedded(journal) => journal.ack_floor().await,
        }
    }

    /// The frames at these sequences that are still in the journal, in the order of the sequences.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.present_frames(sequences).await,
            Self::Embedded(journal) => journal.present_frames(sequences).await,
        }
    }

    /// Updates the checkpoints: compares `recorded`, which the caller keeps elsewhere, and the checkpoints beside the
    /// journal with its contents now. Counts lost frames, records the result beside the journal and returns it: the
    /// checkpoints of this journal and of those before it.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn update_checkpoints(
        &self,
        recorded: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.update_checkpoints(recorded).await,
            Self::Embedded(journal) => journal.update_checkpoints(recorded).await,
        }
    }

    /// The checkpoints that this process recorded last, if it owns a journal on a server; empty otherwise.
    #[must_use]
    pub fn last_checkpoints(&self) -> Vec<JournalCheckpoint> {
        match self {
            Self::JetStream(journal) => journal.last_checkpoints(),
            Self::Embedded(_) => Vec::new(),
        }
    }

    /// The settings that differ between the journal and this process, and that this process does not change.
    ///
    /// # Errors
    /// The journal is unreachable, or a stream or consumer is another application's.
    pub async fn differing_settings(&self) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.differing_settings().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// The durability of an acknowledged append, as the journal's servers report it. The embedded journal syncs its file
    /// before it acknowledges.
    pub async fn durability(&self) -> DurabilityReport {
        match self {
            Self::JetStream(journal) => journal.durability().await,
            Self::Embedded(_) => DurabilityReport::of_synced_file(),
        }
    }

    /// The spans of this journal.
    #[must_use]
    pub fn spans(&self) -> MessagingSpans {
        match self {
            Self::JetStream(journal) => MessagingSpans::jetstream(journal.names().clone()),
            Self::Embedded(_) => MessagingSpans::embedded(),
        }
    }

    /// Sends acknowledgements that are on their way and closes, within `deadline`.
    pub async fn close(self, deadline: Duration) {
        match self {
            Self::JetStream(journal) => journal.close(deadline).await,
            Self::Embedded(journal) => journal.close(deadline).await,
        }
    }
}
