//! The watch of the schema: repeats the check while a process runs, and logs each new cause once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::DatabaseConnection;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::{
    dialect::Pool,
    fault::{Cause, FaultKind, StoreFault},
    probe,
    schema::{Rights, check},
};

/// Where the pool takes longer, a connection outside the pool finds out why.
const DIAGNOSE_AFTER: Duration = Duration::from_millis(500);
/// [`DIAGNOSE_AFTER`] and this together are shorter than a sample of a ready probe may take.
const LIMIT: Duration = Duration::from_millis(1_300);

/// Checks the store of a running process. Cheap to clone; all clones together log a cause once.
#[derive(Clone, Debug)]
pub struct SchemaWatch {
    database: DatabaseConnection,
    rights: Rights,
    last_logged: Arc<Mutex<Option<String>>>,
}

impl SchemaWatch {
    #[must_use]
    pub fn new(database: &DatabaseConnection, rights: Rights) -> Self {
        let database = match Pool::of(database) {
            Pool::Postgres(_) => database.clone(),
            Pool::Sqlite(pool) => separate_reader(&pool),
        };
        Self { database, rights, last_logged: Arc::default() }
    }

    /// Checks the store once, within 2 s.
    ///
    /// # Errors
    /// The fault, as text for an operator.
    pub async fn check(&self) -> Result<(), String> {
        let checked = self.check_in_time().await;
        self.log_change(&checked);
        checked.map_err(|fault| fault.to_string())
    }

    async fn check_in_time(&self) -> Result<(), StoreFault> {
        let mut checking = std::pin::pin!(check(&self.database, self.rights));
        if let Ok(checked) = timeout(DIAGNOSE_AFTER, &mut checking).await {
            return checked;
        }
        let diagnosed = async {
            self.diagnose().await?;
            // The server can be reached and is only slow: the check goes on.
            std::future::pending().await
        };
        let checked = async {
            tokio::select! {
                checked = &mut checking => checked,
                fault = diagnosed => fault,
            }
        };
        timeout(LIMIT, checked).await.unwrap_or_else(|_| {
            let cause = Cause::new(FaultKind::Unavailable, "it does not answer in time", "");
            Err(StoreFault::in_database(&self.database, cause))
        })
    }

    /// Opens a connection outside the pool, which fails with the cause.
    async fn diagnose(&self) -> Result<(), StoreFault> {
        match Pool::of(&self.database) {
            Pool::Postgres(pool) => probe::connect_within(&pool.connect_options(), LIMIT).await.map(drop),
            Pool::Sqlite(_) => Ok(()),
        }
    }

    fn log_change(&self, checked: &Result<(), StoreFault>) {
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        match checked {
            Ok(()) if last_logged.take().is_some() => info!("the database can be used again"),
            Ok(()) => {}
            Err(fault) => {
                let reason = fault.to_string();
                if last_logged.as_ref() == Some(&reason) {
                    return;
                }
                match fault.kind {
                    FaultKind::Unavailable => warn!(reason, "the database can't be used"),
                    FaultKind::Refused | FaultKind::Schema | FaultKind::Permanent => {
                        error!(reason, "the database can't be used");
                    }
                }
                *last_logged = Some(reason);
            }
        }
    }
}

/// A connection of the watch's own: a transaction that waits for the file may hold the writing one for seconds.
fn separate_reader(pool: &SqlitePool) -> DatabaseConnection {
    let options = pool.connect_options().as_ref().clone().create_if_missing(false).pragma("query_only", "ON");
    SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options).into()
}
