//! The oldest build that may write. The schema names it, so that a later migration can stop the builds before it.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _};
use sea_orm_migration::MigratorTrait as _;
use weir_migration::Migrator;

use crate::{dialect::has_table, entity::oldest_writer};

/// An SQL expression: the last migration that a build must know to write.
pub const OLDEST_WRITER: &str = "(SELECT migration FROM oldest_writer WHERE number = 1)";
/// The key of the table's only row.
const NUMBER: i16 = 1;
/// The last migration that this build knows.
static NEWEST_KNOWN: LazyLock<String> = LazyLock::new(|| {
    Migrator::migrations().last().map(|migration| migration.name().to_owned()).unwrap_or_default()
});

/// This build may not write: the schema is for newer builds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build is too old to write: the schema admits builds that know the migration {oldest}, and this one ends with \
     {newest}; start a newer build instead"
)]
pub struct OutdatedWriter {
    oldest: String,
    newest: &'static str,
}

/// Checks whether this build may write where the schema names `oldest`. Names of migrations ascend in the order of
/// releases.
///
/// # Errors
/// The build is too old.
pub fn check_writer(oldest: Option<&str>) -> Result<(), OutdatedWriter> {
    let newest = NEWEST_KNOWN.as_str();
    match oldest {
        Some(oldest) if oldest > newest => Err(OutdatedWriter { oldest: oldest.to_owned(), newest }),
        _ => Ok(()),
    }
}

/// Reads the last migration that a build must know to write; `None` where the table has no row.
///
/// # Errors
/// The database can't be read.
pub async fn oldest_writer(database: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let row = oldest_writer::Entity::find_by_id(NUMBER).one(database).await?;
    Ok(row.map(|row| row.migration))
}

/// [`oldest_writer()`] in a schema that may be older than its table.
///
/// # Errors
/// The database can't be read.
pub async fn oldest_writer_if_named(database: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    if has_table(database, "oldest_writer").await? { oldest_writer(database).await } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_writes_where_it_knows_the_migration_that_the_schema_names() {
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
