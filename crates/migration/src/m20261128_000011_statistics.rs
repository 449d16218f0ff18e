//! Which index of `events` leads to few rows, for SQLite's planner.
//!
//! Of a table that was never analyzed it takes a key's first column for a better way than a range of times, and so read
//! every row of a source to find those of one minute. What stands here are round numbers of a large table:
//! <https://www.sqlite.org/fileformat2.html#stat1tab> says what they mean. Whoever analyzes the table gets its own.
//! PostgreSQL gathers them by itself.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The first makes the table of statistics where there is none, the last one lets the connection read it.
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

    /// Also on SQLite, so that a migrator that is killed leaves nothing half made.
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
