//! Campaigns by name, with all that a report needs of their days: it adds up campaigns one after the other, in the
//! order of the index, and gathers no group for each of them first. One campaign is found at once.
//!
//! Only of days: a range has few hours and minutes, and their rows stay where their other index entry points when they
//! are counted up.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const IN_POSTGRES: &str = "CREATE INDEX campaign_days ON campaign_rollups (campaign_id, bucket) \
    INCLUDE (transactions, amount_high, amount_low) WHERE grain = 3";
/// It knows no columns beside the key.
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

    /// Also on SQLite, so that a migrator that is killed leaves nothing half made.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
