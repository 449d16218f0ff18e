//! The lock of repairs: two repairs at once would each add the same difference.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use sqlx::{Connection as _, PgConnection};
use weir_database::{advisory_lock::AdvisoryLock, dialect::Pool};

use super::error::ReconcileError;
use crate::store::Store;

/// The exclusive lock of repairs of a store, held until the value is dropped.
#[derive(Debug)]
pub struct RepairLock {
    _lock: Lock,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
enum Lock {
    /// A connection of its own, because the lock belongs to its session.
    Postgres(PgConnection),
    /// The file beside the database is never removed, because removing it would let two repairs lock different files.
    Sqlite(File),
}

impl RepairLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// [`ReconcileError::Locked`] where another process holds it; the database can't be reached.
    pub async fn take(store: &Store) -> Result<Self, ReconcileError> {
        let _lock = match &store.pool {
            Pool::Postgres(pool) => Lock::Postgres(lock_postgres(pool).await?),
            Pool::Sqlite(pool) => Lock::Sqlite(lock_file(pool)?),
        };
        Ok(Self { _lock })
    }
}

async fn lock_postgres(pool: &sqlx::PgPool) -> Result<PgConnection, ReconcileError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    if AdvisoryLock::Repair.try_lock_session(&mut connection).await? {
        Ok(connection)
    } else {
        Err(ReconcileError::Locked)
    }
}

fn lock_file(pool: &sqlx::SqlitePool) -> Result<File, ReconcileError> {
    let mut path = pool.connect_options().get_filename().as_os_str().to_owned();
    path.push(".repair-lock");
    let options = File::options().create(true).truncate(false).write(true).open(PathBuf::from(path));
    let file = options.map_err(ReconcileError::LockFile)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReconcileError::Locked),
        Err(TryLockError::Error(error)) => Err(ReconcileError::LockFile(error)),
    }
}
