//! Positions of frames in a journal. The audit compares them with the positions that the store has recorded.

/// The position of a frame. A journal that is created anew counts from 1 again, and has another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The journal's identity; see [`Journal::identity`](crate::Journal::identity).
    pub journal: i64,
    /// From 1 on, over both sources.
    pub sequence: u64,
}

/// The acknowledgement floor of a journal, over both sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFloor {
    /// The journal's identity; see [`Journal::identity`](crate::Journal::identity).
    pub journal: i64,
    /// Every frame up to this sequence is acknowledged or gone. A server may report too high a floor for a moment while
    /// a frame comes in.
    pub through: u64,
}

/// A frame that is still in the journal, acknowledged or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentFrame {
    /// From 1 on, over both sources.
    pub sequence: u64,
    /// The frame's id; empty if another application wrote the message.
    pub id: String,
}
