//! Classes of database errors: a transient one may go away by itself, a permanent one comes again with each retry.

use sea_orm::{DbErr, RuntimeErr};
use sqlx::{error::DatabaseError, postgres::PgDatabaseError, sqlite::SqliteError};

/// Whether the same statement with the same values can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The database is away, busy, full or not as it should be. Every error that is not known to be permanent is
    /// transient, so that an outage makes no dead letters.
    Transient,
    /// The database refuses a value for what is in it, and will refuse it again.
    Permanent,
}

impl ErrorClass {
    /// The class of an error of a statement.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        let refusal = error.as_database_error();
        if refusal.is_some_and(is_permanent) { Self::Permanent } else { Self::Transient }
    }
}

/// The error of sqlx in an error of SeaORM; `None` where SeaORM itself made the error.
#[must_use]
pub fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether another session holds a lock that the statement waited for, and nothing was done yet.
#[must_use]
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    // LOCK_NOT_AVAILABLE of PostgreSQL, BUSY of SQLite.
    code_of(error).is_some_and(|code| ["55P03", "5"].contains(&&*code))
}

/// Whether this user may not change the database: no right, a session that only reads, a file that can't be written.
#[must_use]
pub fn is_denied(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| ["42501", "25006", "8"].contains(&&*code))
}

/// Whether another process holds the SQLite file for a moment. Its busy timeout does not cover the change of an
/// empty file to a write-ahead log, which all processes that start at once want to make.
pub(crate) fn is_busy_file(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code, 5 | 6))
}

/// Whether the SQLite file can't be used as it is: READONLY, CANTOPEN, NOTADB.
pub(crate) fn is_unusable_file(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code, 8 | 14 | 26))
}

/// The primary result code of SQLite, which is the low byte of the extended one.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let refusal = error.as_database_error()?;
    refusal.try_downcast_ref::<SqliteError>()?;
    refusal.code()?.parse::<u32>().ok().map(|code| code & 0xFF)
}

fn code_of(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error()?.code()
}

fn is_permanent(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    if let Some(refusal) = error.try_downcast_ref::<PgDatabaseError>() {
        // A row without a partition has the state of a check that fails, and no constraint: the partition is missing.
        let has_no_partition = code == "23514" && refusal.constraint().is_none();
        is_permanent_sqlstate(&code) && !has_no_partition
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_a_value_is_permanent() {
        for code in ["22003", "22021", "22P02", "23514", "P0001", "54000"] {
            assert!(is_permanent_sqlstate(code), "{code}");
        }
        // Away, out of something, shut down, deadlocked, cancelled, locked, read-only, another schema, no right.
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
    fn a_pool_without_a_free_connection_is_transient() {
        assert_eq!(ErrorClass::of(&sqlx::Error::PoolTimedOut), ErrorClass::Transient);
    }

    #[tokio::test]
    async fn a_check_that_fails_is_permanent_and_a_missing_table_is_not() {
        use sqlx::Connection as _;
        let mut file = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (n INTEGER CHECK (n > 0))").execute(&mut file).await.unwrap();
        let refused = sqlx::raw_sql("INSERT INTO t VALUES (0)").execute(&mut file).await.unwrap_err();
        assert_eq!(ErrorClass::of(&refused), ErrorClass::Permanent);
        let missing = sqlx::raw_sql("INSERT INTO u VALUES (0)").execute(&mut file).await.unwrap_err();
        assert_eq!(ErrorClass::of(&missing), ErrorClass::Transient);
        assert!(!is_lock_timeout(&missing) && !is_busy_file(&missing) && !is_unusable_file(&missing));
    }
}
