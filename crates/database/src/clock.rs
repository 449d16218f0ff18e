//! The database's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

/// An expression of PostgreSQL: its clock now, µs since the Unix epoch. Not that of the transaction's beginning, which may
/// have waited for a lock since.
pub const NOW_IN_POSTGRES: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// The time by the database's clock, or by this process's where the database is a file; µs since the Unix epoch.
///
/// # Errors
/// The database is away.
pub async fn now(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let backend = connection.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(own_clock());
    }
    let question = Statement::from_string(backend, format!("SELECT {NOW_IN_POSTGRES} AS now"));
    let row = connection.query_one_raw(question).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get("", "now")
}

/// The database's own time, µs since the Unix epoch; `None` where it is a file, which has no clock.
///
/// # Errors
/// The database is away.
pub async fn own_time(database: &DatabaseConnection) -> Result<Option<i64>, DbErr> {
    match database.get_database_backend() {
        DbBackend::Postgres => now(database).await.map(Some),
        _ => Ok(None),
    }
}

fn own_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
