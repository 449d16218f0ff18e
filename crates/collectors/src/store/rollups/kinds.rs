//! A row of `rollups`: events of one kind in one bucket.

use super::Table;
use crate::store::columns::columns;

columns!(
    /// What is added to one row, whichever shard's; `weir_database::entity::rollups` says what each column means.
    KindRollup {
        grain: i16 => "smallint[]",
        bucket: i64 => "bigint[]",
        source: i16 => "smallint[]",
        funnel_stage: i16 => "smallint[]",
        event_type: i16 => "smallint[]",
        events: i64 => "bigint[]",
        measured: i64 => "bigint[]",
        measure_high: i64 => "bigint[]",
        measure_low: i64 => "bigint[]",
        transactions: i64 => "bigint[]",
        amount_high: i64 => "bigint[]",
        amount_low: i64 => "bigint[]",
    }
);

pub(crate) const TABLE: Table = Table { name: "rollups", columns: COLUMNS, keys: 5 };
