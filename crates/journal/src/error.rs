//! Errors of a journal, by what the caller does about them.

/// Why an append was not acknowledged. After any of these part of it may be durable all the same: repeating is
/// harmless, because frames keep their ids and events their identities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream is at its bound and does not forget: try again when collectors have caught up.
    #[error("the journal is full")]
    Full,
    /// One message is over the journal's limit.
    #[error("a frame of {bytes} bytes is over the journal's limit")]
    TooLarge { bytes: usize },
    /// No acknowledgement came in time: the journal is away or does not answer.
    #[error("the journal is unreachable: {0}")]
    Unreachable(String),
}

/// Why the journal can't be opened, read or told a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It may work later.
    #[error("the journal is unreachable: {0}")]
    Unreachable(String),
    /// Waiting will not help: a stream is set up otherwise, a file is no journal, a lock is held.
    #[error("the journal can't be used: {0}")]
    Unusable(String),
}

impl JournalError {
    /// What is wrong, without what it means for the caller.
    #[must_use]
    pub(super) fn reason(self) -> String {
        match self {
            Self::Unreachable(reason) | Self::Unusable(reason) => reason,
        }
    }
}
