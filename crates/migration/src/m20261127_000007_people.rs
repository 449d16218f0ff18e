//! The tables that count distinct users: observations that are not folded yet (`people_deltas`), the numbers of each
//! person (`people`, `people_aliases`), the attributes of each number (`people_columns`), and the numbers that were
//! seen in each minute, hour and day (`people_sets`). docs/people.md explains how they work together.
//!
//! All of them start empty. The counts of the rollups show which rows are missing in them: older rows, and rows of the
//! previous build. Collectors then rebuild the sets from the rows.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, small_integer, text_null},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 5] = ["people_deltas", "people", "people_aliases", "people_columns", "people_sets"];
/// The blobs are compressed already: PostgreSQL must not try again at each write.
const WITH_BLOBS: [&str; 3] = ["people_deltas", "people_columns", "people_sets"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let by_key = if backend == DbBackend::Postgres { "" } else { "WITHOUT ROWID" };
        manager.create_table(deltas()).await?;
        manager.create_table(people(by_key)).await?;
        manager.create_table(aliases(by_key)).await?;
        manager.create_table(columns()).await?;
        manager.create_table(sets()).await?;
        if backend == DbBackend::Postgres {
            for table in WITH_BLOBS {
                let plain = format!("ALTER TABLE {table} ALTER COLUMN data SET STORAGE EXTERNAL");
                manager.get_connection().execute_unprepared(&plain).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn deltas() -> TableCreateStatement {
    Table::create()
        .table("people_deltas")
        .col(big_integer("id").auto_increment().primary_key())
        .col(small_integer("source"))
        .col(text_null("erasure_id"))
        .col(big_integer("first_minute"))
        .col(big_integer("last_minute"))
        .col(big_integer("sightings"))
        .col(big_integer("stored_at"))
        .col(blob("data"))
        .take()
}

fn people(storage: &str) -> TableCreateStatement {
    Table::create()
        .table("people")
        .col(small_integer("source"))
        .col(blob("key"))
        .col(big_integer("number"))
        .col(blob("marks"))
        .primary_key(Index::create().name("people_pkey").col("source").col("key"))
        .extra(storage)
        .take()
}

fn aliases(storage: &str) -> TableCreateStatement {
    Table::create()
        .table("people_aliases")
        .col(small_integer("source"))
        .col(big_integer("number"))
        .col(big_integer("alias"))
        .col(blob("marks"))
        .primary_key(Index::create().name("people_aliases_pkey").col("source").col("number").col("alias"))
        .extra(storage)
        .take()
}

fn columns() -> TableCreateStatement {
    Table::create()
        .table("people_columns")
        .col(small_integer("source"))
        .col(big_integer("block"))
        .col(big_integer("filled"))
        .col(blob("data"))
        .primary_key(Index::create().name("people_columns_pkey").col("source").col("block"))
        .take()
}

fn sets() -> TableCreateStatement {
    Table::create()
        .table("people_sets")
        .col(small_integer("source"))
        .col(small_integer("grain"))
        .col(big_integer("bucket"))
        .col(big_integer("sightings"))
        .col(blob("data"))
        .primary_key(Index::create().name("people_sets_pkey").col("source").col("grain").col("bucket"))
        .take()
}
