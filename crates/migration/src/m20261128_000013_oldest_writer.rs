//! The table `oldest_writer`: the last migration that a build must know to write. A later migration raises it where
//! older builds must not write (docs/upgrades.md); builds that don't know the table read and write as before.

use sea_orm_migration::{
    prelude::*,
    schema::{small_integer, text},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The build before this migration may write.
const ROW: &str =
    "INSERT INTO oldest_writer (number, migration) VALUES (1, 'm20261128_000012_database_clock')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("oldest_writer")
            .col(small_integer("number"))
            .col(text("migration"))
            .primary_key(Index::create().name("oldest_writer_pkey").col("number"))
            .take();
        manager.create_table(table).await?;
        manager.get_connection().execute_unprepared(ROW).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("oldest_writer").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
