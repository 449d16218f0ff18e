//! The tables that retention needs. `event_keys` has the keys of events without rows, so that a late repeat is still a
//! duplicate; `horizons` has the time from which on rows are complete; `frame_totals` has the totals of frames without
//! rows.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, small_integer},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(rows_by_arrival()).await?;
        manager.create_index(frames_by_commit()).await?;
        manager.create_table(event_keys(manager.get_database_backend())).await?;
        manager.create_index(keys_by_arrival()).await?;
        manager.create_table(horizons()).await?;
        manager.create_table(frame_totals()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["frame_totals", "horizons", "event_keys"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        manager.drop_index(Index::drop().name("frames_by_commit").table("frames").to_owned()).await?;
        manager.drop_index(Index::drop().name("events_by_arrival").table("events").to_owned()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Retention removes rows by arrival, the oldest first.
fn rows_by_arrival() -> IndexCreateStatement {
    Index::create().name("events_by_arrival").table("events").col("arrived_at").take()
}

fn frames_by_commit() -> IndexCreateStatement {
    Index::create().name("frames_by_commit").table("frames").col("committed_at").take()
}

fn event_keys(backend: DbBackend) -> TableCreateStatement {
    let storage = match backend {
        DbBackend::Postgres => "",
        _ => "WITHOUT ROWID",
    };
    Table::create()
        .table("event_keys")
        .col(small_integer("source"))
        .col(blob("key"))
        .col(big_integer("arrived_at"))
        .primary_key(Index::create().name("event_keys_pkey").col("source").col("key"))
        .extra(storage)
        .take()
}

/// Retention removes keys by arrival.
fn keys_by_arrival() -> IndexCreateStatement {
    Index::create().name("event_keys_by_arrival").table("event_keys").col("arrived_at").take()
}

fn horizons() -> TableCreateStatement {
    Table::create()
        .table("horizons")
        .col(small_integer("source"))
        .col(big_integer("complete_from"))
        .primary_key(Index::create().name("horizons_pkey").col("source"))
        .take()
}

fn frame_totals() -> TableCreateStatement {
    Table::create()
        .table("frame_totals")
        .col(small_integer("source"))
        .col(big_integer("frames"))
        .col(big_integer("stored"))
        .col(big_integer("duplicate"))
        .col(big_integer("parked"))
        .primary_key(Index::create().name("frame_totals_pkey").col("source"))
        .take()
}
