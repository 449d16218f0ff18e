//! Segments of events, on PostgreSQL: `events` and `event_keys` become partitioned tables. Rows go into the segment that is
//! open, and retention removes a closed segment as a whole. Ids of rows become codes, which take half of their room.
//! Existing rows are segment 0: no row is written anew.
//!
//! SQLite keeps its tables. On both databases the view `stored_events` has the rows with their ids as text.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// `AdvisoryLock::Store` of weir-database: running storing transactions have ended then, and later ones see the new name.
const STORE_LOCK: &str = "8603398603445399410";
/// Collectors of before would write to columns that new rows don't have. On SQLite nothing changes for them.
const ADMIT_THIS_BUILD: &str = "UPDATE oldest_writer SET migration = 'm20261130_000017_event_segments'";
const ADMIT_THE_BUILD_BEFORE: &str = "UPDATE oldest_writer SET migration = 'm20261128_000012_database_clock'";
const UP: &str = include_str!("m20261130_000017_event_segments/up.sql");
const DOWN: &str = include_str!("m20261130_000017_event_segments/down.sql");
const UP_IN_SQLITE: &str = "CREATE VIEW stored_events AS SELECT * FROM events";
const DOWN_IN_SQLITE: &str = "DROP VIEW stored_events";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, [ADMIT_THIS_BUILD, UP], UP_IN_SQLITE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, [ADMIT_THE_BUILD_BEFORE, DOWN], DOWN_IN_SQLITE).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn run(manager: &SchemaManager<'_>, on_postgres: [&str; 2], on_sqlite: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Sqlite {
        return connection.execute_unprepared(on_sqlite).await.map(drop);
    }
    connection.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({STORE_LOCK})")).await?;
    for statements in on_postgres {
        connection.execute_unprepared(&statements.replace("{store_lock}", STORE_LOCK)).await?;
    }
    Ok(())
}
