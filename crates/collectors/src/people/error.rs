//! Errors of the tables of people.

use weir_database::MalformedBlob;

/// The reason for which a transaction changed nothing: it is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The database can't be read or written.
    #[error("the tables of people can't be read or written")]
    Store(#[from] sqlx::Error),
    /// A value of the tables is damaged.
    #[error(transparent)]
    Malformed(#[from] MalformedBlob),
    /// A partition has had 268 million people and aliases.
    #[error("there are no numbers left for people of source {0}")]
    NoNumbers(i16),
    /// Another process held the lock of people, or an erasure was under way, for too long.
    #[error("the tables of people are locked by another process for too long")]
    Busy,
}
