//! The tables `events`, for the events of both sources, and `frames`.
//!
//! Times are BIGINT microseconds since the Unix epoch, UTC, on both databases. SQLite has no time type, and so ranges,
//! orders and buckets are the same integer arithmetic on both, exact to the microsecond. Closed sets (source,
//! funnel_stage, event_type, gender, referrer, click_position, device, browser) are the enum numbers of
//! `weir.event.v1`. Money is BIGINT ten-thousandths. Text is ordered by code point: "C" on PostgreSQL, BINARY (its
//! default) on SQLite.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, double_null, small_integer, small_integer_null, text, text_null,
    },
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_code_point = match manager.get_database_backend() {
            DbBackend::Postgres => r#"COLLATE "C""#,
            _ => "",
        };
        manager.create_table(events(by_code_point)).await?;
        manager.create_table(frames(by_code_point)).await?;
        manager.create_index(counts_by_time()).await?;
        manager.create_index(money_by_time()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("frames").take()).await?;
        manager.drop_table(Table::drop().table("events").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn events(by_code_point: &str) -> TableCreateStatement {
    let text = |name: &'static str| text(name).extra(by_code_point).take();
    let text_null = |name: &'static str| text_null(name).extra(by_code_point).take();
    Table::create()
        .table("events")
        .col(small_integer("source"))
        .col(text("event_id"))
        .col(big_integer("occurred_at"))
        .col(small_integer("funnel_stage"))
        .col(small_integer("event_type"))
        .col(text("frame_id"))
        .col(text("correlation_id"))
        .col(text_null("traceparent"))
        .col(big_integer("arrived_at"))
        .col(big_integer("stored_at"))
        .col(text("user_id"))
        .col(text("user_name"))
        .col(small_integer_null("age"))
        .col(small_integer_null("gender"))
        .col(big_integer_null("followers"))
        .col(text_null("country"))
        .col(text_null("city"))
        .col(big_integer_null("action_time"))
        .col(small_integer_null("referrer"))
        .col(text_null("video_id"))
        .col(text_null("ad_id"))
        .col(text_null("campaign_id"))
        .col(small_integer_null("click_position"))
        .col(small_integer_null("device"))
        .col(small_integer_null("browser"))
        .col(double_null("watch_time"))
        .col(double_null("percentage_watched"))
        .col(text_null("profile_id"))
        .col(text_null("purchased_item"))
        .col(big_integer_null("purchase_amount"))
        .primary_key(Index::create().name("events_pkey").col("source").col("event_id"))
        .take()
}

fn frames(by_code_point: &str) -> TableCreateStatement {
    Table::create()
        .table("frames")
        .col(text("frame_id").extra(by_code_point))
        .col(small_integer("source"))
        .col(big_integer("stored"))
        .col(big_integer("duplicate"))
        .col(big_integer("parked"))
        .col(big_integer("committed_at"))
        .primary_key(Index::create().name("frames_pkey").col("frame_id"))
        .take()
}

/// This index alone answers counts over a range of event time.
fn counts_by_time() -> IndexCreateStatement {
    Index::create()
        .name("events_by_time")
        .table("events")
        .col("occurred_at")
        .col("source")
        .col("funnel_stage")
        .col("event_type")
        .take()
}

/// This index alone answers revenue over a range of event time: one event in six has an amount.
fn money_by_time() -> IndexCreateStatement {
    Index::create()
        .name("events_with_money_by_time")
        .table("events")
        .col("occurred_at")
        .col("source")
        .col("event_type")
        .col("campaign_id")
        .col("purchase_amount")
        .and_where(Expr::col("purchase_amount").is_not_null())
        .take()
}
