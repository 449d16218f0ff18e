//! The journal: where accepted events wait, durably, until they are stored.
//!
//! Two adapters, JetStream and embedded, keep the same promises, and one conformance suite
//! (`tests/it/journal.rs`) holds both to them: durable when answered, at least once, redelivered after a missed
//! deadline, refusing rather than forgetting.

mod checkpoint;
mod consumer;
mod dead_letter;
mod durability;
mod embedded;
mod error;
mod frame;
mod jetstream;
mod limits;
mod metrics;
mod names;
mod observer;
mod position;
mod servers;
mod settings;
mod settings_latch;
mod spans;

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};

pub use checkpoint::{JournalState, SourceState, forget_losses, merge};
use consumer::Verdict;
pub use consumer::{Consumer, Delivery};
pub use dead_letter::{DeadLetter, MAX_RAW_BYTES, MediaType, StoredDeadLetter};
pub use durability::{Durability, Promise};
use embedded::Embedded;
pub use error::{AppendError, JournalError};
pub use frame::{
    Content, Erasure, Frame, FrameError, FrameLimit, FramedEvent, Framer, MAX_FRAME_BYTES, MAX_FRAME_EVENTS,
    SealedFrame,
};
use jetstream::JetStream;
pub use jetstream::{JournalSetting, SettingState};
pub use metrics::JournalMetrics;
pub use names::Names;
pub use observer::Observer;
pub use position::{AckFloor, Position, PresentFrame};
pub use servers::{Identity, Servers, ServersError};
pub use settings::{Ownership, Settings};
pub use settings_latch::{Clock, LostFrames, SettingsLatch};
pub use spans::MessagingSpans;
use weir_event::Source;

/// The two dead-letter streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterStream {
    /// `REJECTED`: items that the gate refused. Full: the oldest go, counted.
    Rejected,
    /// `DEAD_LETTERS`: accepted events that storage refused. Full: the collector waits.
    Parked,
}

impl DeadLetterStream {
    /// In the order in which they are browsed.
    pub const ALL: [Self; 2] = [Self::Rejected, Self::Parked];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Parked => "parked",
        }
    }
}

/// What lies in a graveyard, and how much of it has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterStats {
    pub letters: u64,
    pub bytes: u64,
    /// The sequence of the letter that was laid down last, whether it is there or gone; 0 before the first.
    pub last: u64,
    /// Letters that were dropped to make room, are past their age or were removed; over the life of the stream.
    pub gone: u64,
}

/// How full `EVENTS` is, and how much of it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub max_bytes: u64,
    pub frames: u64,
}

/// Frames that a source's collectors have not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Never delivered yet.
    pub waiting: u64,
    /// Delivered, without a verdict yet.
    pub in_flight: u64,
}

/// The journal. Cheap to clone; every clone is the same journal.
#[derive(Clone, Debug)]
pub enum Journal {
    JetStream(JetStream),
    Embedded(Embedded),
}

impl Journal {
    /// Connects to JetStream. An owner creates the streams and consumers, adopts those of an earlier
    /// build and changes what differs, as far as nothing shrinks; a guest waits for them. Waits for a server that is not
    /// there yet up to `patience`.
    ///
    /// # Errors
    /// [`JournalError::Unreachable`] after `patience`; [`JournalError::Unusable`] at once.
    pub async fn connect(
        servers: &Servers,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        JetStream::connect(servers, settings, patience).await.map(Self::JetStream)
    }

    /// Opens or creates the embedded journal in `folder`.
    ///
    /// # Errors
    /// The folder can't be written, or the file is no journal.
    pub async fn open(folder: &Path, settings: Settings) -> Result<Self, JournalError> {
        Embedded::open(folder, settings).await.map(Self::Embedded)
    }

    /// How large a frame may be now. Servers and their streams have limits of their own, which may change while a process
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
    /// Not all of them were acknowledged; see [`AppendError`].
    pub async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        match self {
            Self::JetStream(journal) => journal.append(frames).await,
            Self::Embedded(journal) => journal.append(frames).await,
        }
    }

    /// Lays dead letters down. When this returns `Ok`, all of them are durable. A rejected one whose fingerprint lies
    /// there already is that letter, posted again, and is not laid down again. A parked one always is: while a letter
    /// is redriven, the event may be parked anew before that letter is removed.
    ///
    /// # Errors
    /// Not all of them were acknowledged; `REJECTED` is never full, `DEAD_LETTERS` may be.
    pub async fn append_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        match self {
            Self::JetStream(journal) => journal.append_dead_letters(graveyard, letters).await,
            Self::Embedded(journal) => journal.append_dead_letters(graveyard, letters).await,
        }
    }

    /// Dead letters in the order in which they were laid down, at most `limit`, with a sequence over `after`; fewer
    /// only where no more are there.
    ///
    /// # Errors
    /// The journal is away, or a letter can't be read.
    pub async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letters(graveyard, after, limit).await,
            Self::Embedded(journal) => journal.dead_letters(graveyard, after, limit).await,
        }
    }

    /// The dead letter at a sequence; `None` where there is none, or none any more.
    ///
    /// # Errors
    /// The journal is away, or the letter can't be read.
    pub async fn dead_letter(
        &self,
        graveyard: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letter(graveyard, sequence).await,
            Self::Embedded(journal) => journal.dead_letter(graveyard, sequence).await,
        }
    }

    /// Removes dead letters for good. One that is not there is removed already.
    ///
    /// # Errors
    /// The journal is away; some of them may be removed.
    pub async fn remove_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        match self {
            Self::JetStream(journal) => journal.remove_dead_letters(graveyard, sequences).await,
            Self::Embedded(journal) => journal.remove_dead_letters(graveyard, sequences).await,
        }
    }

    /// The newest dead letter of an identity. An item that named no source that exists lies under none.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn last_dead_letter(
        &self,
        graveyard: DeadLetterStream,
        source: Option<Source>,
        event_id: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        let newest = match self {
            Self::JetStream(journal) => {
                let subject = journal.names().letter(graveyard, source, event_id.as_bytes());
                journal.last_dead_letter(graveyard, &subject).await
            }
            Self::Embedded(journal) => {
                let subject = Names::default().letter(graveyard, source, event_id.as_bytes());
                journal.last_dead_letter(graveyard, &subject).await
            }
        }?;
        // Where an item has no id, its subject is named for its bytes.
        Ok(newest.filter(|stored| stored.letter.event_id.as_deref() == Some(event_id)))
    }

    /// What a graveyard holds and has lost.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        match self {
            Self::JetStream(journal) => journal.dead_letter_stats(graveyard).await,
            Self::Embedded(journal) => journal.dead_letter_stats(graveyard).await,
        }
    }

    /// The durable consumer of a source.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn consumer(&self, source: Source) -> Result<Consumer, JournalError> {
        match self {
            Self::JetStream(journal) => {
                journal.consumer(source).await.map(|pull| Consumer::JetStream(Box::new(pull)))
            }
            Self::Embedded(journal) => Ok(Consumer::Embedded(journal.consumer(source))),
        }
    }

    /// What a source's collectors still have to do.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(journal) => journal.backlog(source).await,
            Self::Embedded(journal) => journal.consumer(source).backlog().await,
        }
    }

    /// When the oldest frame came in that a source's collectors have not acknowledged; `None` where there is none.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn oldest_waiting(&self, source: Source) -> Result<Option<DateTime<Utc>>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.oldest_waiting(source).await,
            Self::Embedded(journal) => journal.oldest_waiting(source).await,
        }
    }

    /// Whether appends would be taken now, cheaply enough to be asked every second; the error is for people.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn usage(&self) -> Result<Usage, JournalError> {
        match self {
            Self::JetStream(journal) => journal.usage().await,
            Self::Embedded(journal) => journal.usage(),
        }
    }

    /// How long a frame may be held before it is offered again, as the journal has it.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        match self {
            Self::JetStream(journal) => journal.ack_wait(),
            Self::Embedded(journal) => journal.ack_wait(),
        }
    }

    /// The journal's clock, beside this process's.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn clock(&self) -> Result<Clock, JournalError> {
        match self {
            Self::JetStream(journal) => journal.clock().await,
            Self::Embedded(journal) => Ok(journal.clock()),
        }
    }

    /// What is to be noted of this journal and of those before it, as of now: after `noted`, which the caller keeps
    /// elsewhere, and after what is noted beside the journal itself, which is brought up to date.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn states(&self, noted: Vec<JournalState>) -> Result<Vec<JournalState>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.states(noted).await,
            Self::Embedded(journal) => journal.states(noted).await,
        }
    }

    /// What this process noted last, where it owns a journal on a server; empty elsewhere.
    #[must_use]
    pub fn known_states(&self) -> Vec<JournalState> {
        match self {
            Self::JetStream(journal) => journal.known_states(),
            Self::Embedded(_) => Vec::new(),
        }
    }

    /// Settings that the journal has otherwise than this process was told, and that this process leaves so.
    ///
    /// # Errors
    /// The journal is away, or is another application's.
    pub async fn differences(&self) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.differences().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// What an acknowledged append outlives, as far as the journal's servers say. The embedded journal syncs.
    pub async fn promise(&self) -> Promise {
        match self {
            Self::JetStream(journal) => journal.promise().await,
            Self::Embedded(_) => {
                Promise { durability: Durability::PowerLoss, silent: Vec::new(), is_asked: false }
            }
        }
    }

    /// Flushes what was said and closes; within `deadline`.
    pub async fn close(self, deadline: Duration) {
        match self {
            Self::JetStream(journal) => journal.close(deadline).await,
            Self::Embedded(journal) => journal.close(deadline).await,
        }
    }
}
