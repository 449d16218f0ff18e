//! The migration lock: one migrator at a time, however many instances start at once on an empty database.
//!
//! SeaORM's migrator takes no lock, and several of them race for its own table already.

use std::{fs::File, path::PathBuf};

use sea_orm::DatabaseConnection;
use sqlx::{Connection, PgConnection, PgPool, SqlitePool};

use super::error::MigrateError;
use crate::{advisory_lock::AdvisoryLock, dialect::Pool};

/// The right to migrate. It ends with the value, and with the process.
pub(super) enum MigrationLock {
    /// A connection of its own: a connection of the pool may be the last one, and the migrator needs another.
    Postgres(PgConnection),
    Sqlite(File),
}

impl MigrationLock {
    /// Waits until no other process migrates this database.
    pub(super) async fn acquire(database: &DatabaseConnection) -> Result<Self, MigrateError> {
        match Pool::of(database) {
            Pool::Postgres(pool) => lock_server(&pool).await.map(Self::Postgres).map_err(MigrateError::Lock),
            Pool::Sqlite(pool) => lock_file(&pool).await.map(Self::Sqlite).map_err(MigrateError::LockFile),
        }
    }

    /// Releases the lock. A lock that is only dropped ends too, but not before the server notices.
    pub(super) async fn release(self) -> Result<(), MigrateError> {
        match self {
            Self::Postgres(connection) => connection.close().await.map_err(MigrateError::Lock),
            Self::Sqlite(file) => file.unlock().map_err(MigrateError::LockFile),
        }
    }
}

async fn lock_server(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    AdvisoryLock::Migration.lock_session(&mut connection).await?;
    Ok(connection)
}

/// Locks a file beside the database. The file stays: if a process removed it, two processes could lock two files of
/// that name.
async fn lock_file(pool: &SqlitePool) -> std::io::Result<File> {
    let mut path = pool.connect_options().get_filename().as_os_str().to_owned();
    path.push(".migrate-lock");
    let path = PathBuf::from(path);
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.map_err(std::io::Error::other)?
}
