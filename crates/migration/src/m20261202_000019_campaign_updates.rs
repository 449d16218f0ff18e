//! The index of campaigns by name without their sums, on PostgreSQL.
//!
//! A row can stay on its page at an update only where no index of its table has a column that changes, not even as an
//! included one of other rows (section "Heap-Only Tuples" of
//! <https://www.postgresql.org/docs/current/storage-hot.html>). Because the index included the sums of days, every update
//! of a campaign's sums moved its row and made new entries in the indexes. A list that ranks all campaigns of some days
//! takes twice as long without them (docs/adr/0032-remembered-rankings.md).

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// The new index first, so that reports wait only for the change of names.
const UP: &str = "CREATE INDEX new_campaign_days ON campaign_rollups (campaign_id, bucket) WHERE grain = 3; \
    DROP INDEX campaign_days; ALTER INDEX new_campaign_days RENAME TO campaign_days";
const DOWN: &str = "CREATE INDEX old_campaign_days ON campaign_rollups (campaign_id, bucket) \
        INCLUDE (transactions, amount_high, amount_low) WHERE grain = 3; \
    DROP INDEX campaign_days; ALTER INDEX old_campaign_days RENAME TO campaign_days";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
