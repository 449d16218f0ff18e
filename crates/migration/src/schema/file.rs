//! Tables of an SQLite file, which knows no roles.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};

use super::{Rights, lacking};
use crate::fault::Cause;

const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table'";

/// What is missing.
pub(super) async fn find(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let rows =
        database.query_all_raw(Statement::from_string(database.get_database_backend(), TABLES)).await?;
    let found: Vec<String> = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
    let needed = rights.tables().into_iter().map(|(name, _)| name);
    let missing: Vec<&str> = needed.filter(|name| !found.iter().any(|found| found == name)).collect();
    Ok((!missing.is_empty()).then(|| lacking(&missing, rights)))
}
