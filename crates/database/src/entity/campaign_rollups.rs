//! `campaign_rollups`: sums of the transactions of Facebook's campaigns by bucket of event time. The storing
//! transaction adds to them.

use sea_orm::entity::prelude::*;

/// The transactions of one campaign in one bucket that one shard counted.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_rollups")]
pub struct Model {
    /// [`crate::time_bucket::Grain::number`]: 1 minute, 2 hour, 3 day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The start of the bucket, µs since the Unix epoch, UTC: a multiple of its width.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// The campaign's id on Facebook.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub campaign_id: String,
    /// The shard of the writer: writers with different shards never wait for each other. A reader sums over the shards.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
    /// Transactions: a `checkout.complete` (Facebook) or `purchase` (TikTok) with an amount.
    pub transactions: i64,
    /// The high half of the sum of the amounts, in ten-thousandths: see [`crate::split_sum`].
    pub amount_high: i64,
    /// The low half of the same sum.
    pub amount_low: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
