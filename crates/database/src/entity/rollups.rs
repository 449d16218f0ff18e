//! `rollups`: stored events added up by bucket of event time and kind, in the transaction that stores them.

use sea_orm::entity::prelude::*;

/// The events of one kind in one bucket, as far as one shard counted them. Numbers may be negative: only the sum over
/// the shards is a figure.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollups")]
pub struct Model {
    /// 1 minutes, 2 hours, 3 days.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The bucket's start, µs since the Unix epoch, UTC: a multiple of its width.
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
    /// Whoever counts: writers with different shards never wait for each other. A reader sums over it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
    /// Events, whether their rows are still there or not.
    pub events: i64,
    /// Events among them that tell an age (Facebook) or followers (TikTok): all but those whose person was erased.
    pub measured: i64,
    /// Sum of `measure >> 26` over the measured events; the measure is the age or the followers.
    pub measure_high: i64,
    /// Sum of `measure & (2^26 − 1)` over the measured events.
    pub measure_low: i64,
    /// Transactions: a `checkout.complete` (Facebook) or `purchase` (TikTok) with an amount.
    pub transactions: i64,
    /// Sum of `amount >> 26` over the transactions; amounts are ten-thousandths.
    pub amount_high: i64,
    /// Sum of `amount & (2^26 − 1)` over the transactions.
    pub amount_low: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
