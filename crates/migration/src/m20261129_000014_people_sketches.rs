//! The table `people_sketches`: a sample of the users of each minute, hour and day, from which reports estimate their
//! number above two million. docs/people.md explains it.
//!
//! It starts empty. The counts of the rollups show which events are missing in it. Collectors then make the sketches
//! from the rows. Builds that don't know the table fold deltas that it misses, which shows in the same way.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, boolean, small_integer},
};

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("people_sketches")
            .col(small_integer("source"))
            .col(small_integer("grain"))
            .col(big_integer("bucket"))
            .col(big_integer("sightings"))
            .col(big_integer("users"))
            .col(blob("data"))
            .primary_key(
                Index::create().name("people_sketches_pkey").col("source").col("grain").col("bucket"),
            )
            .take();
        manager.create_table(table).await?;
        // Hashes do not compress: PostgreSQL must not try at each write.
        on_postgres(manager, "ALTER TABLE people_sketches ALTER COLUMN data SET STORAGE EXTERNAL").await?;
        let sketched =
            Table::alter().table("people_deltas").add_column(boolean("sketched").default(false)).take();
        manager.alter_table(sketched).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("people_deltas").drop_column("sketched").take()).await?;
        manager.drop_table(Table::drop().table("people_sketches").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
