//! `campaign_deltas`: sales of campaigns that storing transactions note. A job moves them to `campaign_rankings` soon.

use sea_orm::entity::prelude::*;

/// Sales of campaigns in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_deltas")]
pub struct Model {
    /// Ascends, but not in the order of commits.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The earliest minute of event time in it, minutes since the Unix epoch.
    pub first_minute: i64,
    /// The latest minute.
    pub last_minute: i64,
    /// The number of transactions in it.
    pub transactions: i64,
    /// The time when it was written, µs since the Unix epoch, UTC.
    pub stored_at: i64,
    /// [`crate::rankings::SalesDelta`].
    pub data: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
