//! The clock of the database.

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::dialect::Dialect;

/// An SQL expression of PostgreSQL: its clock now, µs since the Unix epoch. Not the time of the transaction's
/// beginning: the transaction may have waited for a lock since.
pub const NOW_IN_POSTGRES: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// The time by the clock of the database, or of this process where the database is a file; µs since the Unix epoch.
///
/// # Errors
/// The database can't be reached.
pub async fn now(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let dialect = Dialect::of(connection);
    if dialect == Dialect::Sqlite {
        return Ok(process_time());
    }
    let query = Statement::from_string(dialect.backend(), format!("SELECT {NOW_IN_POSTGRES} AS now"));
    let row = connection.query_one_raw(query).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get("", "now")
}

/// The time by the clock of a database server, µs since the Unix epoch; `None` where the database is a file, which has
/// no clock.
///
/// # Errors
/// The database can't be reached.
pub async fn server_time(database: &DatabaseConnection) -> Result<Option<i64>, DbErr> {
    match Dialect::of(database) {
        Dialect::Postgres => now(database).await.map(Some),
        Dialect::Sqlite => Ok(None),
    }
}

fn process_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
