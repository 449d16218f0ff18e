//! Statistics of the indexes of `events`, for SQLite's planner.
//!
//! The planner prefers the first column of a key to a range of times in a table that was never analyzed. It then reads
//! every row of a source to find those of one minute. The statistics are round numbers of a large table;
//! <https://www.sqlite.org/fileformat2.html#stat1tab> explains them. An operator who analyzes the table replaces them.
//! PostgreSQL gathers statistics by itself.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The first statement creates the table of statistics where there is none; the last one makes the connection read it.
const NOTE: [&str; 3] = [
    "ANALYZE sqlite_schema",
    "INSERT INTO sqlite_stat1 (tbl, idx, stat) \
     SELECT 'events', column1, column2 FROM (VALUES \
         ('sqlite_autoindex_events_1', '1000000 500000 1'), \
         ('events_by_time', '1000000 2 2 1 1'), \
         ('events_by_arrival', '1000000 500'), \
         ('events_with_money_by_time', '100000 2 2 1 1 1')) \
     WHERE NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE tbl = 'events')",
    "ANALYZE sqlite_schema",
];
const FORGET: [&str; 2] = ["DELETE FROM sqlite_stat1 WHERE tbl = 'events'", "ANALYZE sqlite_schema"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, &NOTE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, &FORGET).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn on_sqlite(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Sqlite {
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
    }
    Ok(())
}
