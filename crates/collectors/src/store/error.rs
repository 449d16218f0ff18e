//! Errors of the store, classified as transient or permanent: a worker needs no other distinction.

use sqlx::error::DatabaseError;
use weir_database::OutdatedWriter;

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
        match error.as_database_error() {
            Some(refusal) if is_permanent(refusal) => Self::Permanent { reason: reason(refusal) },
            _ => Self::Transient(error),
        }
    }
}

fn is_permanent(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        is_permanent_sqlstate(&code)
    } else {
        code.parse().is_ok_and(is_permanent_in_sqlite)
    }
}

/// Data exceptions, a failed check, a trigger that raises, and an index row that is too large.
fn is_permanent_sqlstate(code: &str) -> bool {
    code.starts_with("22") || ["23514", "P0001", "54000"].contains(&code)
}

/// TOOBIG, MISMATCH, CONSTRAINT_CHECK, CONSTRAINT_DATATYPE, CONSTRAINT_TRIGGER (<https://sqlite.org/rescode.html>).
fn is_permanent_in_sqlite(code: u32) -> bool {
    [18, 20, 275, 3091, 1811].contains(&code)
}

fn reason(error: &dyn DatabaseError) -> String {
    format!("{} (code {})", error.message(), error.code().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_the_event_causes_is_permanent() {
        for code in ["22003", "22021", "22P02", "23514", "P0001", "54000"] {
            assert!(is_permanent_sqlstate(code), "{code}");
        }
        // Unreachable, out of a resource, shut down, deadlocked, cancelled, locked, read-only, another schema, no
        // right.
        let transient = [
            "08006", "53100", "53300", "57P01", "57014", "40P01", "40001", "55P03", "25006", "42P01",
            "42501", "23502", "58030", "XX000",
        ];
        for code in transient {
            assert!(!is_permanent_sqlstate(code), "{code}");
        }
        // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTNULL.
        for code in [5, 6, 8, 10, 11, 13, 14, 1299] {
            assert!(!is_permanent_in_sqlite(code), "{code}");
        }
    }

    #[test]
    fn a_timeout_of_the_pool_is_transient() {
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Transient(_)));
    }
}
