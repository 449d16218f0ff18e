//! Why the tables of people were not changed.

use weir_database::people::Malformed;

/// What was begun is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("the store does not take it")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A partition has had 268 million people and aliases.
    #[error("there are no numbers left for people of source {0}")]
    NoNumbers(i16),
    #[error("somebody else changes people for too long")]
    Busy,
}
