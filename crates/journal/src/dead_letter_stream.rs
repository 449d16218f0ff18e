//! The two dead-letter streams, and their statistics.

/// One of the two dead-letter streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterStream {
    /// `REJECTED`: items that the gate refused. A full stream drops its oldest letters and counts them.
    Rejected,
    /// `DEAD_LETTERS`: accepted events that storage refused. A full stream refuses new letters, and the collector waits:
    /// an accepted event must not be lost.
    Parked,
}

impl DeadLetterStream {
    /// Both streams, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Rejected, Self::Parked];

    /// The name on command lines and in the embedded journal: `rejected` or `parked`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Parked => "parked",
        }
    }
}

/// The contents of a dead-letter stream, and the number of letters that left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterStats {
    /// Letters in the stream.
    pub letters: u64,
    /// Bytes of these letters, as the journal counts them.
    pub bytes: u64,
    /// The sequence of the letter that was appended last, whether it is still there or gone; 0 before the first.
    pub last_sequence: u64,
    /// Letters that were dropped to make room, expired or were removed, over the life of the stream.
    pub gone: u64,
}
