//! The same look again and again while a process runs; a cause is told once in the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbBackend};
use sqlx::sqlite::SqlitePoolOptions;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::{
    fault::{Cause, Outlook, StoreFault},
    probe,
    schema::{Rights, check, placed},
};

/// A pool that is slower is asked about by a connection of its own, which is told why there is none.
const SOON: Duration = Duration::from_millis(500);
/// Together shorter than a sample of a ready probe may take.
const LIMIT: Duration = Duration::from_millis(1_300);

/// A look at the store of a running process. Cheap to clone; all clones tell a cause once.
#[derive(Clone, Debug)]
pub struct SchemaWatch {
    database: DatabaseConnection,
    rights: Rights,
    told: Arc<Mutex<Option<String>>>,
}

impl SchemaWatch {
    #[must_use]
    pub fn new(database: &DatabaseConnection, rights: Rights) -> Self {
        let database = match database.get_database_backend() {
            DbBackend::Postgres => database.clone(),
            _ => reader_beside(database),
        };
        Self { database, rights, told: Arc::default() }
    }

    /// Looks once, within 2 s.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub async fn check(&self) -> Result<(), String> {
        let found = self.look().await;
        self.tell(&found);
        found.map_err(|fault| fault.to_string())
    }

    async fn look(&self) -> Result<(), StoreFault> {
        let mut asking = std::pin::pin!(check(&self.database, self.rights));
        if let Ok(found) = timeout(SOON, &mut asking).await {
            return found;
        }
        let diagnosed = async {
            self.diagnose().await?;
            // The server can be reached, and is only slow.
            std::future::pending().await
        };
        let found = async {
            tokio::select! {
                found = &mut asking => found,
                fault = diagnosed => fault,
            }
        };
        timeout(LIMIT, found).await.unwrap_or_else(|_| {
            Err(placed(&self.database, Cause::new(Outlook::Away, "it does not answer in time", "")))
        })
    }

    /// Why a new connection can't be had.
    async fn diagnose(&self) -> Result<(), StoreFault> {
        if self.database.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let options = self.database.get_postgres_connection_pool().connect_options();
        probe::reach(&options, LIMIT).await.map(drop)
    }

    fn tell(&self, found: &Result<(), StoreFault>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(()) if told.take().is_some() => info!("the database can be used again"),
            Ok(()) => {}
            Err(fault) => {
                let reason = fault.to_string();
                if told.as_ref() == Some(&reason) {
                    return;
                }
                match fault.outlook {
                    Outlook::Away => warn!(reason, "the database can't be used"),
                    Outlook::Refused | Outlook::Schema | Outlook::Never => {
                        error!(reason, "the database can't be used");
                    }
                }
                *told = Some(reason);
            }
        }
    }
}

/// A connection of its own: the one that writes to an SQLite file may be held for seconds by who waits for the file.
fn reader_beside(database: &DatabaseConnection) -> DatabaseConnection {
    let options = database.get_sqlite_connection_pool().connect_options();
    let options = options.as_ref().clone().create_if_missing(false).pragma("query_only", "ON");
    SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options).into()
}
