//! `rollups`: sums of the stored events by bucket of event time and kind. The storing transaction adds to them.

use sea_orm::entity::prelude::*;

/// The events of one kind in one bucket that one shard counted. A number may be negative: only the sum over the shards
/// is a figure.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollups")]
pub struct Model {
    /// [`crate::time_bucket::Grain::number`]: 1 minute, 2 hour, 3 day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The start of the bucket, µs since the Unix epoch, UTC: a multiple of its width.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// `weir.event.v1.FunnelStage`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub funnel_stage: i16,
    /// `weir.event.v1.EventType`; unique only together with the source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_type: i16,
    /// The shard of the writer: writers with different shards never wait for each other. A reader sums over the shards.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
    /// Events, with and without rows.
    pub events: i64,
    /// Events among them with an age (Facebook) or followers (TikTok): all but those of an erased person.
    pub measured: i64,
    /// The high half of the sum of ages or followers over the measured events: see [`crate::split_sum`].
    pub measure_high: i64,
    /// The low half of the same sum.
    pub measure_low: i64,
    /// Transactions: a `checkout.complete` (Facebook) or `purchase` (TikTok) with an amount.
    pub transactions: i64,
    /// The high half of the sum of the amounts of the transactions, in ten-thousandths.
    pub amount_high: i64,
    /// The low half of the same sum.
    pub amount_low: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
