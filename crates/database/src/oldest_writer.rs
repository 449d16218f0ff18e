//! The oldest build that may write: the schema names it, so that a later migration can stop those before it.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait as _};
use sea_orm_migration::MigratorTrait as _;
use weir_migration::Migrator;

use crate::entity::oldest_writer;

/// An expression: the last migration that a build must know to write.
pub const OLDEST_WRITER: &str = "(SELECT migration FROM oldest_writer WHERE number = 1)";
/// The number of the one row.
const NUMBER: i16 = 1;
/// The last migration that this build knows.
static NEWEST_KNOWN: LazyLock<String> = LazyLock::new(|| {
    Migrator::migrations().last().map(|migration| migration.name().to_owned()).unwrap_or_default()
});

/// This build may not write: the schema is for newer ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build is too old to write: the schema admits builds that know the migration {oldest}, and this one ends with \
     {newest}; start a newer build instead"
)]
pub struct OutdatedWriter {
    oldest: String,
    newest: &'static str,
}

/// Whether this build may write where the schema names `oldest`. Names of migrations ascend in the order of releases.
///
/// # Errors
/// It may not.
pub fn check_writer(oldest: Option<&str>) -> Result<(), OutdatedWriter> {
    let newest = NEWEST_KNOWN.as_str();
    match oldest {
        Some(oldest) if oldest > newest => Err(OutdatedWriter { oldest: oldest.to_owned(), newest }),
        _ => Ok(()),
    }
}

/// The last migration that a build must know to write; none where the schema does not say it.
///
/// # Errors
/// The database can't be read.
pub async fn oldest_writer(database: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let row = oldest_writer::Entity::find_by_id(NUMBER).one(database).await?;
    Ok(row.map(|row| row.migration))
}

/// [`oldest_writer`] of a schema that may be older than the table.
///
/// # Errors
/// The database can't be read.
pub async fn oldest_writer_if_named(database: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    if has_table(database, "oldest_writer").await? { oldest_writer(database).await } else { Ok(None) }
}

/// Whether a table is there and can be seen by this user.
pub(crate) async fn has_table(database: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    let backend = database.get_database_backend();
    let question = match backend {
        DbBackend::Postgres => format!("SELECT to_regclass('{name}') IS NOT NULL AS found"),
        _ => format!(
            "SELECT COUNT(*) > 0 AS found FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
        ),
    };
    let row = database.query_one_raw(sea_orm::Statement::from_string(backend, question)).await?;
    row.map_or(Ok(false), |row| row.try_get("", "found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_writes_where_the_schema_names_what_it_knows() {
        check_writer(None).unwrap();
        check_writer(Some("m20261122_000001_events_and_frames")).unwrap();
        check_writer(Some(&NEWEST_KNOWN)).unwrap();
        let refused = check_writer(Some("m29990101_000001_later")).unwrap_err().to_string();
        assert!(
            refused.contains("m29990101_000001_later") && refused.contains(NEWEST_KNOWN.as_str()),
            "{refused}"
        );
    }
}
