//! An index of campaigns by name, with all columns that a report needs of their days. A report adds up campaigns one
//! after the other in the order of the index, and never gathers a group for each of them. It finds one campaign at
//! once.
//!
//! The index has only days, because a range has few hours and minutes. On PostgreSQL it kept the updates of all grains off
//! their pages all the same: migration 19 takes the sums out of it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const IN_POSTGRES: &str = "CREATE INDEX campaign_days ON campaign_rollups (campaign_id, bucket) \
    INCLUDE (transactions, amount_high, amount_low) WHERE grain = 3";
/// SQLite has no columns in an index besides its key.
const IN_SQLITE: &str = "CREATE INDEX campaign_days ON campaign_rollups \
    (campaign_id, bucket, transactions, amount_high, amount_low) WHERE grain = 3";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let create = match manager.get_database_backend() {
            DbBackend::Postgres => IN_POSTGRES,
            _ => IN_SQLITE,
        };
        manager.get_connection().execute_unprepared(create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX campaign_days").await.map(drop)
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
