//! Errors of a comparison or a repair.

use crate::{people::PeopleError, rankings::RankingError};

/// The reason for which a comparison or a repair did not finish. Repaired buckets stay repaired.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database can't be reached, is too busy, or is damaged.
    #[error("the database can't be read or written")]
    Database(#[from] sqlx::Error),
    /// The sets of people can't be read or rebuilt.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The rankings of campaigns can't be read or rebuilt.
    #[error(transparent)]
    Rankings(#[from] RankingError),
    /// Another process repairs the store. Two repairs would each add the same difference.
    #[error("another process repairs this store")]
    Locked,
    /// The lock file of a SQLite store can't be locked.
    #[error("the lock file of repairs can't be locked")]
    LockFile(#[source] std::io::Error),
    /// The database has a value that no sum of events can have.
    #[error("a value is too large for its column")]
    TooLarge,
}
