//! Errors of a journal, one variant for each reaction of the caller.

/// The reason that an append was not acknowledged. A part of the append may be durable all the same. Repeating it is
/// harmless, because frames keep their ids and events their identities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream has reached its limit and keeps its messages. The caller tries again when collectors have caught up.
    #[error("the journal is full")]
    Full,
    /// One message is larger than the journal accepts. Repeating it does not help.
    #[error("a frame of {bytes} bytes is over the journal's limit")]
    TooLarge { bytes: usize },
    /// No acknowledgement came in time: the journal is unreachable or does not answer.
    #[error("the journal is unreachable: {0}")]
    Unreachable(String),
}

/// The reason that the journal can't be opened, read or sent an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A later attempt may succeed.
    #[error("the journal is unreachable: {0}")]
    Unreachable(String),
    /// Waiting does not help: a stream has other settings, a file is no journal, or another process holds the lock.
    #[error("the journal can't be used: {0}")]
    Unusable(String),
}

impl JournalError {
    /// The reason alone, without the variant's own text.
    #[must_use]
    pub(super) fn reason(self) -> String {
        match self {
            Self::Unreachable(reason) | Self::Unusable(reason) => reason,
        }
    }
}
