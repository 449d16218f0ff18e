//! What a journal knows of frames that collectors are done with, for comparison with what the store knows of them.

use super::{Journal, JournalError};

/// Where a frame stands. A journal that is made anew counts from 1 again, and is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// [`Journal::identity`].
    pub journal: i64,
    /// From 1 on, over both sources.
    pub sequence: u64,
}

/// How far a journal's collectors have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFloor {
    /// [`Journal::identity`].
    pub journal: i64,
    /// Every frame up to this sequence, of either source, is acknowledged or gone. A server may tell too much of it
    /// for a moment, while a frame comes in.
    pub through: u64,
}

/// A frame that is still in the journal, acknowledged or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentFrame {
    pub sequence: u64,
    /// Empty where somebody else wrote it.
    pub id: String,
}

impl Journal {
    /// Tells this journal from any other one, and from the one that it replaces. One that is replaced while it is in
    /// use is known to be when [`Self::ack_floor`] was asked.
    #[must_use]
    pub fn identity(&self) -> i64 {
        match self {
            Self::JetStream(journal) => journal.identity(),
            Self::Embedded(journal) => journal.identity(),
        }
    }

    /// How far collectors have got.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        match self {
            Self::JetStream(journal) => journal.ack_floor().await,
            Self::Embedded(journal) => journal.ack_floor().await,
        }
    }

    /// Which of these frames are still there, in the order of their sequences.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        match self {
            Self::JetStream(journal) => journal.present_frames(sequences).await,
            Self::Embedded(journal) => journal.present_frames(sequences).await,
        }
    }
}
