//! Transient or permanent: the only question a worker asks of a failure.

use sqlx::error::DatabaseError;
use weir_database::OutdatedWriter;

/// Why nothing of a transaction was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, busy, full or not as it should be: the same frames can be stored when it is back.
    /// Everything that is not known to be an event's own fault is this, so that an outage makes no dead letters.
    #[error("the store does not take it now")]
    Transient(#[source] sqlx::Error),
    /// The schema admits newer builds alone: another collector stores it.
    #[error(transparent)]
    Outdated(OutdatedWriter),
    /// The database refuses an event for what is in it, and will refuse it again.
    #[error("the store refuses it: {reason}")]
    Permanent { reason: String },
}

impl StoreError {
    /// What traces call it: the database's own code, where it said one.
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

/// Data exceptions; a check that fails; a trigger that raises; an index row that is too large.
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
    fn only_what_an_event_is_to_blame_for_is_permanent() {
        for code in ["22003", "22021", "22P02", "23514", "P0001", "54000"] {
            assert!(is_permanent_sqlstate(code), "{code}");
        }
        // Away, out of something, shut down, deadlocked, cancelled, locked, read-only, another schema, no right.
        let waits = [
            "08006", "53100", "53300", "57P01", "57014", "40P01", "40001", "55P03", "25006", "42P01",
            "42501", "23502", "58030", "XX000",
        ];
        for code in waits {
            assert!(!is_permanent_sqlstate(code), "{code}");
        }
        // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTNULL.
        for code in [5, 6, 8, 10, 11, 13, 14, 1299] {
            assert!(!is_permanent_in_sqlite(code), "{code}");
        }
    }

    #[test]
    fn a_pool_that_gives_no_connection_is_transient() {
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Transient(_)));
    }
}
