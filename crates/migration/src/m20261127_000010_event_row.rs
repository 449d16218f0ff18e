//! The type `event_row`, a row of `events` as one value, on PostgreSQL. Collectors sent a batch as one array of it.
//!
//! The row type of the table itself would change with the table, while older builds still send its values. Collectors
//! copy rows since then, and no build uses the type any more.

use sea_orm_migration::prelude::*;

use super::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

pub(super) const CREATE: &str = "CREATE TYPE event_row AS ( \
    source smallint, event_id text, occurred_at bigint, funnel_stage smallint, event_type smallint, \
    frame_id text, correlation_id text, traceparent text, arrived_at bigint, stored_at bigint, \
    user_id text, user_name text, age smallint, gender smallint, followers bigint, country text, city text, \
    action_time bigint, referrer smallint, video_id text, ad_id text, campaign_id text, \
    click_position smallint, device smallint, browser smallint, watch_time double precision, \
    percentage_watched double precision, profile_id text, purchased_item text, purchase_amount bigint)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, "DROP TYPE event_row").await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
