//! The usage of the journal, and the backlog of its consumers.

/// The usage of `EVENTS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all frames, acknowledged ones included.
    pub bytes: u64,
    /// The journal refuses appends beyond this many bytes.
    pub max_bytes: u64,
    /// Frames, acknowledged ones included.
    pub frames: u64,
}

/// The frames that the collectors of one source have not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Frames that were never delivered. On JetStream the number is a moment old, but 0 only where there is none.
    pub waiting: u64,
    /// Frames that were delivered and are not acknowledged.
    pub in_flight: u64,
}
