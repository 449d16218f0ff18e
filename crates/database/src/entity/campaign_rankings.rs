//! `campaign_rankings`: the first campaigns of each minute, hour and day of event time, by revenue.

use sea_orm::entity::prelude::*;

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_rankings")]
pub struct Model {
    /// [`crate::time_bucket::Grain::number`]: 1 minute, 2 hour, 3 day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: i16,
    /// The start of the bucket, µs since the Unix epoch, UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// Transactions of all campaigns of the bucket. The ranking is right where the rollups count as many, those in
    /// deltas included.
    pub transactions: i64,
    /// The high half of the sum of their amounts, in ten-thousandths: see [`crate::split_sum`].
    pub amount_high: i64,
    /// The low half of the same sum.
    pub amount_low: i64,
    /// [`crate::rankings::Ranking`].
    pub data: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
