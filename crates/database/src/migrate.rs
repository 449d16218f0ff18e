//! `weir migrate up|down|status`, and what every instance does at its start.

mod applied;
mod lock;

use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait;
use weir_migration::Migrator;

pub(crate) use applied::Applied;
use lock::MigrationLock;

use crate::{
    DatabaseUrl,
    fault::{Cause, Outlook, StoreFault, error_of},
};

/// Why the database is not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration did not go through, or the database can't be read.
    #[error("the migration failed")]
    Migration(#[from] DbErr),
    /// Migrations would be taken back whose last one only a newer build knows how to take back.
    #[error(
        "the database has migrations that this build does not know: {0}; take them back with the build that \
         applied them"
    )]
    Newer(String),
    /// The database was migrated by builds that do not follow each other.
    #[error(
        "the database has migrations that this build does not know, and they do not follow its own: {unknown} \
         (missing: {missing})"
    )]
    Diverged { unknown: String, missing: String },
    /// Something is missing, and this user may not make it.
    #[error(
        "the database lacks {lacking}, and this user may not add anything ({reason}): run `weir migrate up` as the \
         owner of the tables"
    )]
    NoRight { lacking: String, reason: String },
    /// The server's lock can't be taken.
    #[error("the migration lock can't be taken")]
    Lock(#[source] sqlx::Error),
    /// The lock file beside the SQLite file can't be taken.
    #[error("the migration lock file can't be taken")]
    LockFile(#[source] std::io::Error),
}

/// One migration, and whether this database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The name of its file.
    pub name: String,
    /// False: `up` would apply it.
    pub applied: bool,
    /// False: another build applied it, and this one neither changes it nor takes it back.
    pub known: bool,
}

impl MigrateError {
    /// The same, as it is told of the store as a whole.
    #[must_use]
    pub fn into_fault(self, url: &DatabaseUrl) -> StoreFault {
        let outlook = match &self {
            Self::NoRight { .. } => Outlook::Schema,
            Self::Newer(_) | Self::Diverged { .. } | Self::LockFile(_) => Outlook::Never,
            Self::Migration(error) => match error_of(error) {
                Some(error) => return StoreFault::of(url, error),
                None => Outlook::Refused,
            },
            Self::Lock(error) => return StoreFault::of(url, error),
        };
        StoreFault::new(url, Cause::new(outlook, self.to_string(), ""))
    }
}

/// Applies what is missing, or the next `steps` of it. Several instances may do so at once: one migrates, the
/// others wait for it and find nothing to do. Where nothing is missing, nothing is locked or changed, so that rights to
/// read suffice. Where a newer build has migrated, nothing is applied: its schema is one that this build runs on
/// (docs/upgrades.md), and the migrator would refuse it. Returns the names of what only a newer build knows.
///
/// # Errors
/// See [`MigrateError`]; the migration that failed left nothing behind.
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

/// Tells the lack of a right to change the schema from every other failure.
fn without_right(error: DbErr, applied: &Applied) -> MigrateError {
    let refusal = error_of(&error).and_then(|error| error.as_database_error());
    // No right, a session that only reads, and a file that can't be written.
    let codes = ["42501", "25006", "8"];
    match refusal.filter(|refusal| refusal.code().is_some_and(|code| codes.contains(&&*code))) {
        Some(refusal) => {
            MigrateError::NoRight { lacking: applied.lacking(), reason: refusal.message().to_owned() }
        }
        None => error.into(),
    }
}

/// Takes the last `steps` migrations back, with everything in their tables.
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

/// Every migration that this build knows, in order, then those of the database that it does not know. Changes
/// nothing.
///
/// # Errors
/// The database can't be read.
pub async fn status(database: &DatabaseConnection) -> Result<Vec<Step>, DbErr> {
    let Applied { known, missing, unknown } = Applied::read(database).await?;
    let own = known.into_iter().map(|name| Step { applied: !missing.contains(&name), known: true, name });
    Ok(own.chain(unknown.into_iter().map(|name| Step { name, applied: true, known: false })).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Access, DatabaseUrl, connect};

    #[tokio::test]
    async fn up_down_and_status_agree() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store ?#.sqlite"));
        let database = connect(&url, Access::Write, Duration::ZERO).await.unwrap();
        let applied = async || status(&database).await.unwrap().iter().filter(|step| step.applied).count();

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
    async fn a_reader_reads_and_can_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        let writer = connect(&url, Access::Write, Duration::ZERO).await.unwrap();
        up(&writer, None).await.unwrap();

        let reader = connect(&url, Access::Read, Duration::ZERO).await.unwrap();
        assert!(status(&reader).await.unwrap().iter().all(|step| step.applied));
        assert!(down(&reader, 1).await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_can_not_be_there_is_told_at_once_by_its_place() {
        let url: DatabaseUrl = "sqlite:///nowhere/at/all.sqlite".parse().unwrap();
        let error = connect(&url, Access::Write, Duration::from_secs(3600)).await.unwrap_err();
        assert!(error.to_string().starts_with("SQLite file /nowhere/at/all.sqlite"), "{error}");
        assert_eq!(error.outlook, Outlook::Never);
    }
}
