//! The table `duplicates`: the number of repeats of each identity. Only identities with repeats have rows, so that
//! events without duplicates, which are nearly all, cost nothing.
//!
//! A build that does not know the table continues to store. The duplicates that it finds are missing in these counts.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, small_integer, text},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The same order as in `events`, because queries join the two.
        let by_code_point = match manager.get_database_backend() {
            DbBackend::Postgres => r#"COLLATE "C""#,
            _ => "",
        };
        let duplicates = Table::create()
            .table("duplicates")
            .col(small_integer("source"))
            .col(text("event_id").extra(by_code_point))
            .col(big_integer("times"))
            .primary_key(Index::create().name("duplicates_pkey").col("source").col("event_id"))
            .take();
        manager.create_table(duplicates).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("duplicates").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
