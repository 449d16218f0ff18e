//! The tables `campaign_rankings` and `campaign_deltas`: the first campaigns of each minute, hour and day, and the sales
//! that are in no ranking yet. docs/rankings.md explains them.
//!
//! Both start empty. The counts of the rollups show which sales are missing in the rankings. Collectors then make them
//! from `campaign_rollups`. Builds that don't know the tables note no sales, which shows in the same way.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, small_integer},
};

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(rankings()).await?;
        manager.create_table(deltas()).await?;
        // Nearly every name is there once: PostgreSQL must not try to compress at each write.
        for table in ["campaign_rankings", "campaign_deltas"] {
            on_postgres(manager, &format!("ALTER TABLE {table} ALTER COLUMN data SET STORAGE EXTERNAL"))
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("campaign_deltas").take()).await?;
        manager.drop_table(Table::drop().table("campaign_rankings").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn rankings() -> TableCreateStatement {
    Table::create()
        .table("campaign_rankings")
        .col(small_integer("grain"))
        .col(big_integer("bucket"))
        .col(big_integer("transactions"))
        .col(big_integer("amount_high"))
        .col(big_integer("amount_low"))
        .col(blob("data"))
        .primary_key(Index::create().name("campaign_rankings_pkey").col("grain").col("bucket"))
        .take()
}

fn deltas() -> TableCreateStatement {
    Table::create()
        .table("campaign_deltas")
        .col(big_integer("id").auto_increment().primary_key())
        .col(big_integer("first_minute"))
        .col(big_integer("last_minute"))
        .col(big_integer("transactions"))
        .col(big_integer("stored_at"))
        .col(blob("data"))
        .take()
}
