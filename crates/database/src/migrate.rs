//! Migrations: `weir migrate up|down|status`, and the migration of every instance at its start.

mod applied;
mod error;
mod lock;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait;
use weir_migration::Migrator;

pub(crate) use applied::Applied;
pub use error::MigrateError;
use lock::MigrationLock;

use crate::error_class::{is_denied, sqlx_error};

/// The state of one migration in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// The name of its file.
    pub name: String,
    /// False where `up` would apply it.
    pub applied: bool,
    /// False where another build applied it. This build neither changes it nor takes it back.
    pub known: bool,
}

/// Applies the missing migrations, or the next `steps` of them. Returns the names of migrations that only a newer build
/// knows.
///
/// Several instances may call it at once: one migrates, the others wait for it and then find nothing to do. Where no
/// migration is missing it locks and changes nothing, therefore rights to read suffice. Where a newer build has
/// migrated it applies nothing: this build runs on the newer schema (docs/upgrades.md), and SeaORM's migrator would
/// refuse it.
///
/// # Errors
/// See [`MigrateError`]. A migration that fails leaves nothing behind.
pub async fn up(database: &DatabaseConnection, steps: Option<u32>) -> Result<Vec<String>, MigrateError> {
    let applied = Applied::read(database).await?;
    if applied.is_newer()? || applied.missing.is_empty() {
        return Ok(applied.unknown);
    }
    let lock = MigrationLock::acquire(database).await?;
    let applied = Applied::read(database).await?;
    if !applied.is_newer()? {
        Migrator::up(database, steps).await.map_err(|error| without_right(error, &applied))?;
    }
    lock.release().await?;
    Ok(applied.unknown)
}

/// Distinguishes a missing right to change the schema from every other failure.
fn without_right(error: DbErr, applied: &Applied) -> MigrateError {
    let refusal = sqlx_error(&error).and_then(|error| error.as_database_error());
    match refusal.filter(|refusal| is_denied(*refusal)) {
        Some(refusal) => {
            MigrateError::NoRight { lacking: applied.lacking(), reason: refusal.message().to_owned() }
        }
        None => error.into(),
    }
}

/// Takes the last `steps` migrations back and drops everything in their tables.
///
/// # Errors
/// See [`MigrateError`].
pub async fn down(database: &DatabaseConnection, steps: u32) -> Result<(), MigrateError> {
    let lock = MigrationLock::acquire(database).await?;
    let unknown = Applied::read(database).await?.unknown;
    if !unknown.is_empty() {
        return Err(MigrateError::Newer(unknown.join(", ")));
    }
    Migrator::down(database, Some(steps)).await?;
    lock.release().await
}

/// The state of every migration that this build knows, in order, then of those that only the database knows. Changes
/// nothing.
///
/// # Errors
/// The database can't be read.
pub async fn status(database: &DatabaseConnection) -> Result<Vec<MigrationState>, DbErr> {
    let Applied { known, missing, unknown } = Applied::read(database).await?;
    let own =
        known.into_iter().map(|name| MigrationState { applied: !missing.contains(&name), known: true, name });
    Ok(own
        .chain(unknown.into_iter().map(|name| MigrationState { name, applied: true, known: false }))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Access, DatabaseUrl, FaultKind, connect};

    #[tokio::test]
    async fn up_down_and_status_agree() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store ?#.sqlite"));
        let database = connect(&url, Access::Write, Duration::ZERO).await.unwrap();
        let applied =
            async || status(&database).await.unwrap().iter().filter(|migration| migration.applied).count();

        assert_eq!(applied().await, 0);
        up(&database, None).await.unwrap();
        up(&database, None).await.unwrap();
        let all = status(&database).await.unwrap().len();
        assert_eq!(applied().await, all);
        down(&database, 1).await.unwrap();
        assert_eq!(applied().await, all - 1);
        down(&database, u32::try_from(all).unwrap()).await.unwrap();
        assert_eq!(applied().await, 0);
        up(&database, Some(1)).await.unwrap();
        assert_eq!(applied().await, 1);
    }

    #[tokio::test]
    async fn a_reading_connection_can_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        let writer = connect(&url, Access::Write, Duration::ZERO).await.unwrap();
        up(&writer, None).await.unwrap();

        let reader = connect(&url, Access::Read, Duration::ZERO).await.unwrap();
        assert!(status(&reader).await.unwrap().iter().all(|migration| migration.applied));
        assert!(down(&reader, 1).await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_can_not_exist_is_reported_at_once_by_its_location() {
        let url: DatabaseUrl = "sqlite:///nowhere/at/all.sqlite".parse().unwrap();
        let error = connect(&url, Access::Write, Duration::from_secs(3600)).await.unwrap_err();
        assert!(error.to_string().starts_with("SQLite file /nowhere/at/all.sqlite"), "{error}");
        assert_eq!(error.kind, FaultKind::Permanent);
    }
}
