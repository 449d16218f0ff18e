//! The tables `rollups` and `campaign_rollups`: sums by minute, hour and day. So the cost of a report follows the
//! buckets of its range and not its events.
//!
//! `shard` separates writers, so that parallel collectors do not queue on the newest bucket; a reader sums over it. A
//! sum that may outgrow BIGINT is kept in two halves, of `value >> 26` and of `value & (2^26 − 1)`: SQLite has no wider
//! integer. Buckets start at multiples of their width since the Unix epoch.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, small_integer, text},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Number and width in µs of each grain.
const GRAINS: [(i16, i64); 3] = [(1, 60_000_000), (2, 3_600_000_000), (3, 86_400_000_000)];
const LOW_BITS: u32 = 26;
const LOW_MASK: i64 = (1 << LOW_BITS) - 1;
/// Source and type of a transaction: a checkout.complete of Facebook, a purchase of TikTok.
const IS_TRANSACTION: &str =
    "purchase_amount IS NOT NULL AND ((source = 1 AND event_type = 7) OR (source = 2 AND event_type = 11))";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(rollups(backend)).await?;
        manager.create_table(campaign_rollups(backend)).await?;
        for (grain, width) in GRAINS {
            manager.get_connection().execute_unprepared(&fill_rollups(grain, width)).await?;
            manager.get_connection().execute_unprepared(&fill_campaign_rollups(grain, width)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("campaign_rollups").take()).await?;
        manager.drop_table(Table::drop().table("rollups").take()).await
    }

    /// On SQLite too, so that a killed migrator leaves nothing half done.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn rollups(backend: DbBackend) -> TableCreateStatement {
    let key = ["grain", "bucket", "source", "funnel_stage", "event_type", "shard"];
    Table::create()
        .table("rollups")
        .col(small_integer("grain"))
        .col(big_integer("bucket"))
        .col(small_integer("source"))
        .col(small_integer("funnel_stage"))
        .col(small_integer("event_type"))
        .col(small_integer("shard"))
        .col(big_integer("events"))
        .col(big_integer("measured"))
        .col(big_integer("measure_high"))
        .col(big_integer("measure_low"))
        .col(big_integer("transactions"))
        .col(big_integer("amount_high"))
        .col(big_integer("amount_low"))
        .primary_key(&mut primary_key("rollups_pkey", &key))
        .extra(storage(backend))
        .take()
}

fn campaign_rollups(backend: DbBackend) -> TableCreateStatement {
    let by_code_point = match backend {
        DbBackend::Postgres => r#"COLLATE "C""#,
        _ => "",
    };
    let key = ["grain", "bucket", "campaign_id", "shard"];
    Table::create()
        .table("campaign_rollups")
        .col(small_integer("grain"))
        .col(big_integer("bucket"))
        .col(text("campaign_id").extra(by_code_point))
        .col(small_integer("shard"))
        .col(big_integer("transactions"))
        .col(big_integer("amount_high"))
        .col(big_integer("amount_low"))
        .primary_key(&mut primary_key("campaign_rollups_pkey", &key))
        .extra(storage(backend))
        .take()
}

fn primary_key(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create().name(name).take();
    for column in columns {
        key.col(*column);
    }
    key
}

/// PostgreSQL: free space on every page, so that an updated row stays on its page and its index entry stays valid.
fn storage(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "WITH (fillfactor = 50)",
        _ => "WITHOUT ROWID",
    }
}

fn fill_rollups(grain: i16, width: i64) -> String {
    format!(
        "INSERT INTO rollups (grain, bucket, source, funnel_stage, event_type, shard, events, measured, \
            measure_high, measure_low, transactions, amount_high, amount_low) \
         SELECT {grain}, occurred_at - occurred_at % {width}, source, funnel_stage, event_type, 0, COUNT(*), \
            COUNT(COALESCE(age, followers)), \
            COALESCE(SUM(COALESCE(age, followers) >> {LOW_BITS}), 0), \
            COALESCE(SUM(COALESCE(age, followers) & {LOW_MASK}), 0), \
            SUM(CASE WHEN {IS_TRANSACTION} THEN 1 ELSE 0 END), \
            SUM(CASE WHEN {IS_TRANSACTION} THEN purchase_amount >> {LOW_BITS} ELSE 0 END), \
            SUM(CASE WHEN {IS_TRANSACTION} THEN purchase_amount & {LOW_MASK} ELSE 0 END) \
         FROM events GROUP BY occurred_at - occurred_at % {width}, source, funnel_stage, event_type"
    )
}

fn fill_campaign_rollups(grain: i16, width: i64) -> String {
    format!(
        "INSERT INTO campaign_rollups (grain, bucket, campaign_id, shard, transactions, amount_high, amount_low) \
         SELECT {grain}, occurred_at - occurred_at % {width}, campaign_id, 0, COUNT(*), \
            SUM(purchase_amount >> {LOW_BITS}), SUM(purchase_amount & {LOW_MASK}) \
         FROM events WHERE campaign_id IS NOT NULL AND {IS_TRANSACTION} \
         GROUP BY occurred_at - occurred_at % {width}, campaign_id"
    )
}
