//! A row of `campaign_rollups`: transactions of one campaign in one bucket.

use super::Table;
use crate::store::columns::columns;

columns!(
    /// What is added to one row, whichever shard's; `weir_database::entity::campaign_rollups` says what each column
    /// means.
    CampaignRollup<'a> {
        grain: i16 => "smallint[]",
        bucket: i64 => "bigint[]",
        campaign_id: &'a str => "text[]",
        transactions: i64 => "bigint[]",
        amount_high: i64 => "bigint[]",
        amount_low: i64 => "bigint[]",
    }
);

pub(crate) const TABLE: Table = Table { name: "campaign_rollups", columns: COLUMNS, keys: 3 };
