//! Errors of the store, classified as transient or permanent: a worker needs no other distinction.

use sqlx::error::DatabaseError;
use weir_database::{OutdatedWriter, error_class::ErrorClass};

/// The reason for which a transaction stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unreachable, busy, full or damaged. The same frames can be stored later. Every error that is not
    /// known to be an event's own fault is transient, so that an outage makes no dead letters.
    #[error("the database can't be written now")]
    Transient(#[source] sqlx::Error),
    /// The schema admits newer builds alone: a newer collector stores the frames.
    #[error(transparent)]
    Outdated(OutdatedWriter),
    /// The database refuses an event for its content, and will refuse it again.
    #[error("the database refuses an event: {reason}")]
    Permanent { reason: String },
}

impl StoreError {
    /// The value of `error.type` in traces: the database's own code, where it reported one.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Permanent { .. } => "refused".to_owned(),
            Self::Outdated(_) => "outdated".to_owned(),
            Self::Transient(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                code.map_or_else(|| "unavailable".to_owned(), |code| code.into_owned())
            }
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Configuration(reason) = &error
            && let Some(refused) = reason.downcast_ref::<OutdatedWriter>()
        {
            return Self::Outdated(refused.clone());
        }
        match (ErrorClass::of(&error), error.as_database_error()) {
            (ErrorClass::Permanent, Some(refusal)) => Self::Permanent { reason: reason(refusal) },
            _ => Self::Transient(error),
        }
    }
}

fn reason(error: &dyn DatabaseError) -> String {
    format!("{} (code {})", error.message(), error.code().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_the_pool_is_transient() {
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Transient(_)));
    }
}
