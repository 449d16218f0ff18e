//! One migrator at a time, whatever number of instances start at once on an empty database. The migrator itself
//! takes no lock, and several of them race already for its own table.

use std::{fs::File, path::PathBuf};

use sea_orm::{DatabaseConnection, DbBackend};
use sqlx::{Connection, PgConnection};

use crate::MigrateError;

/// The advisory lock's key: "weir" in ASCII, so that other users of the same server hardly take it.
const ADVISORY_KEY: i64 = 0x7765_6972;

/// The right to migrate; it ends with the value, and with the process.
pub(crate) enum MigrationLock {
    /// A connection of its own: one of the pool's might be the last one, and the migrator needs another.
    Postgres(PgConnection),
    Sqlite(File),
}

impl MigrationLock {
    /// Waits until nobody else migrates this database.
    pub(crate) async fn acquire(database: &DatabaseConnection) -> Result<Self, MigrateError> {
        match database.get_database_backend() {
            DbBackend::Postgres => {
                lock_server(database).await.map(Self::Postgres).map_err(MigrateError::Lock)
            }
            _ => lock_file(database).await.map(Self::Sqlite).map_err(MigrateError::LockFile),
        }
    }

    /// Lets the next one in. A lock that is only dropped ends too, but not before the server notices.
    pub(crate) async fn release(self) -> Result<(), MigrateError> {
        match self {
            Self::Postgres(connection) => connection.close().await.map_err(MigrateError::Lock),
            Self::Sqlite(file) => file.unlock().map_err(MigrateError::LockFile),
        }
    }
}

async fn lock_server(database: &DatabaseConnection) -> Result<PgConnection, sqlx::Error> {
    let options = database.get_postgres_connection_pool().connect_options();
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(ADVISORY_KEY).execute(&mut connection).await?;
    Ok(connection)
}

/// The file beside the database stays: removing it would let two in.
async fn lock_file(database: &DatabaseConnection) -> std::io::Result<File> {
    let mut path =
        database.get_sqlite_connection_pool().connect_options().get_filename().as_os_str().to_owned();
    path.push(".migrate-lock");
    let path = PathBuf::from(path);
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.map_err(std::io::Error::other)?
}
