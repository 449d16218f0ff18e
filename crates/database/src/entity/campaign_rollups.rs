//! `campaign_rollups`: transactions of Facebook's campaigns added up by bucket of event time, in the transaction
//! that stores them.

use sea_orm::entity::prelude::*;

/// The transactions of one campaign in one bucket, as far as one shard counted them.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_rollups")]
pub struct Model {
    /// 1 minutes, 2 hours, 3 days.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The bucket's start, µs since the Unix epoch, UTC: a multiple of its width.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// Facebook's.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub campaign_id: String,
    /// Whoever counts: writers with different shards never wait for each other. A reader sums over it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
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
