//! The column `stored_at` of `event_keys`, indexes by `stored_at`, and the table `journal_states`. Ages count from the
//! time when the database stored a row, and not from another machine's clock. The states of journals show the losses of
//! a vanished one.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, boolean, small_integer},
    sea_orm::{DbBackend, Statement},
};

use super::{m20261127_000010_event_row as event_row, on_postgres};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The time of the migration, µs since the Unix epoch. Existing keys count from it, because the time when their rows
/// were stored is unknown. So they are kept longer, and never shorter.
const NOW_IN_POSTGRES: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now";
const NOW_IN_SQLITE: &str = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now";
/// Statistics as of migration 11, for the new index.
const STATISTICS: &str =
    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('events', 'events_by_storage', '1000000 500')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(by_storage("events_by_storage", "events")).await?;
        add_key_time(manager).await?;
        manager.create_index(by_storage("event_keys_by_storage", "event_keys")).await?;
        manager.create_table(journal_states()).await?;
        // Unused: collectors copy rows.
        on_postgres(manager, "DROP TYPE event_row").await?;
        on_sqlite(manager, STATISTICS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, "DELETE FROM sqlite_stat1 WHERE idx = 'events_by_storage'").await?;
        on_postgres(manager, event_row::CREATE).await?;
        manager.drop_table(Table::drop().table("journal_states").take()).await?;
        for (index, table) in [("event_keys_by_storage", "event_keys"), ("events_by_storage", "events")] {
            manager.drop_index(Index::drop().name(index).table(table).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("event_keys").drop_column("stored_at").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn on_sqlite(manager: &SchemaManager<'_>, statement: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Sqlite {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

/// Retention finds old rows by it, the oldest first.
fn by_storage(name: &'static str, table: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table(table).col("stored_at").take()
}

/// A constant default rewrites the table on neither database, and serves collectors that don't know the column.
async fn add_key_time(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let now = if backend == DbBackend::Postgres { NOW_IN_POSTGRES } else { NOW_IN_SQLITE };
    let row = manager.get_connection().query_one_raw(Statement::from_string(backend, now)).await?;
    let row = row.ok_or_else(|| DbErr::Custom("the database does not tell its time".to_owned()))?;
    let now: i64 = row.try_get("", "now")?;
    let column = big_integer("stored_at").default(now).take();
    manager.alter_table(Table::alter().table("event_keys").add_column(column).take()).await
}

fn journal_states() -> TableCreateStatement {
    Table::create()
        .table("journal_states")
        .col(big_integer("journal"))
        .col(small_integer("source"))
        .col(big_integer("revision"))
        .col(big_integer("last_sequence"))
        .col(big_integer("acknowledged"))
        .col(big_integer("waiting"))
        .col(big_integer("lost"))
        .col(boolean("ended"))
        .col(big_integer("noted_at"))
        .primary_key(Index::create().name("journal_states_pkey").col("journal").col("source"))
        .take()
}
