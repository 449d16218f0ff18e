//! Why a comparison or a repair did not come to its end.

use crate::people::PeopleError;

/// Why a comparison or a repair did not come to its end. What was repaired until then stays repaired.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database is away, too busy, or not as it should be.
    #[error("the store can't be read or does not take it")]
    Database(#[from] sqlx::Error),
    /// The sets of people can't be read, or are not made anew.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Two repairs would each add the same difference.
    #[error("somebody else repairs this store")]
    Claimed,
    /// The file that keeps repairs of a SQLite store apart can't be written.
    #[error("the file that keeps repairs apart can't be locked")]
    ClaimFile(#[source] std::io::Error),
    /// What the store holds is no number that sums of events could be.
    #[error("a figure is too large to be kept")]
    TooLarge,
}
