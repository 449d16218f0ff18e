//! The right to repair a store: two that repair at once would each add the same difference.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use sqlx::{Connection as _, PgConnection};

use super::error::ReconcileError;
use crate::store::{Pool, Store};

/// The number of the advisory lock of PostgreSQL ("weirmend" in ASCII).
const REPAIR_LOCK: i64 = 0x7765_6972_6d65_6e64;

/// The right to repair a store, for as long as the value lives.
#[derive(Debug)]
pub struct RepairClaim {
    _lock: Lock,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held, and never looked at")]
enum Lock {
    /// A connection of its own: the lock is its session's.
    Postgres(PgConnection),
    /// The file beside the database stays: removing it would let two in.
    Sqlite(File),
}

impl RepairClaim {
    /// # Errors
    /// [`ReconcileError::Claimed`] where somebody else has it; the store can't be reached.
    pub async fn take(store: &Store) -> Result<Self, ReconcileError> {
        let _lock = match &store.pool {
            Pool::Postgres(pool) => Lock::Postgres(lock_server(pool).await?),
            Pool::Sqlite(pool) => Lock::Sqlite(lock_file(pool)?),
        };
        Ok(Self { _lock })
    }
}

async fn lock_server(pool: &sqlx::PgPool) -> Result<PgConnection, ReconcileError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(REPAIR_LOCK)
        .fetch_one(&mut connection)
        .await?;
    if is_ours { Ok(connection) } else { Err(ReconcileError::Claimed) }
}

fn lock_file(pool: &sqlx::SqlitePool) -> Result<File, ReconcileError> {
    let mut path = pool.connect_options().get_filename().as_os_str().to_owned();
    path.push(".repair-lock");
    let options = File::options().create(true).truncate(false).write(true).open(PathBuf::from(path));
    let file = options.map_err(ReconcileError::ClaimFile)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReconcileError::Claimed),
        Err(TryLockError::Error(error)) => Err(ReconcileError::ClaimFile(error)),
    }
}
