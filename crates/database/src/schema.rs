//! The check of the schema: its tables exist, this user may use them, and this build may write to them.

mod postgres;
mod tables;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};

pub use tables::Rights;
use tables::{MIGRATE, missing_tables};

use crate::{
    dialect::Dialect,
    fault::{Cause, FaultKind, StoreFault},
    migrate::Applied,
    oldest_writer::{check_writer, oldest_writer},
};

/// The tables and views of an SQLite file.
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')";

/// Checks whether the store can be used as it is: every table, migration and right is there, and this build may write.
///
/// # Errors
/// The first fault that was found.
pub async fn check(database: &DatabaseConnection, rights: Rights) -> Result<(), StoreFault> {
    let cause = find_cause(database, rights).await;
    let cause = cause.map_err(|error| StoreFault::of_statement(database, &error))?;
    cause.map_or(Ok(()), |cause| Err(StoreFault::in_database(database, cause)))
}

async fn find_cause(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let missing = match Dialect::of(database) {
        Dialect::Postgres => postgres::find_cause(database, rights).await?,
        Dialect::Sqlite => find_missing_tables(database, rights).await?,
    };
    if missing.is_some() {
        return Ok(missing);
    }
    let applied = Applied::read(database).await?;
    if let Err(diverged) = applied.is_newer() {
        return Ok(Some(Cause::new(FaultKind::Permanent, diverged.to_string(), "")));
    }
    if !applied.missing.is_empty() {
        let text = format!("it lacks {}", applied.lacking());
        return Ok(Some(Cause::new(FaultKind::Schema, text, MIGRATE)));
    }
    if rights == Rights::Read {
        return Ok(None);
    }
    let refused = check_writer(oldest_writer(database).await?.as_deref()).err();
    Ok(refused.map(|refused| Cause::new(FaultKind::Schema, refused.to_string(), "")))
}

/// Finds missing tables in an SQLite file, which knows no roles.
async fn find_missing_tables(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let query = Statement::from_string(Dialect::Sqlite.backend(), TABLES);
    let rows = database.query_all_raw(query).await?;
    let found: Vec<String> = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
    let needed = rights.tables(Dialect::Sqlite).into_iter().map(|(name, _)| name);
    let missing: Vec<&str> = needed.filter(|name| !found.iter().any(|found| found == name)).collect();
    Ok((!missing.is_empty()).then(|| missing_tables(&missing, rights, Dialect::Sqlite)))
}
