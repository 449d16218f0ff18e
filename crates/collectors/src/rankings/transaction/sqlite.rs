//! Statements on the rankings for SQLite: one for each key.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::{RankingRow, SalesRow};
use crate::people::BucketKey;

const RANKING: &str = "SELECT transactions, amount_high, amount_low, data FROM campaign_rankings \
    WHERE grain = $1 AND bucket = $2";
const WRITE_RANKING: &str = "INSERT INTO campaign_rankings \
        (grain, bucket, transactions, amount_high, amount_low, data) VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (grain, bucket) DO UPDATE SET transactions = excluded.transactions, \
        amount_high = excluded.amount_high, amount_low = excluded.amount_low, data = excluded.data";
const WRITTEN_SALES: &str = "SELECT COALESCE(SUM(transactions), 0), COALESCE(SUM(amount_high), 0), \
    COALESCE(SUM(amount_low), 0) FROM campaign_rollups WHERE grain = $1 AND bucket = $2 AND campaign_id = $3";

pub(super) async fn rankings(
    connection: &mut SqliteConnection,
    keys: &[BucketKey],
) -> Result<HashMap<BucketKey, (SalesRow, Vec<u8>)>, sqlx::Error> {
    let mut found = HashMap::new();
    for key in keys {
        let query = sqlx::query_as(RANKING).bind(key.0).bind(key.1);
        let row: Option<(i64, i64, i64, Vec<u8>)> = query.fetch_optional(&mut *connection).await?;
        if let Some((transactions, high, low, data)) = row {
            found.insert(*key, ((transactions, high, low), data));
        }
    }
    Ok(found)
}

pub(super) async fn write_rankings(
    connection: &mut SqliteConnection,
    rows: &[RankingRow],
) -> Result<(), sqlx::Error> {
    for RankingRow { key: (grain, start), transactions, amount, data } in rows {
        let query = sqlx::query(WRITE_RANKING).bind(grain).bind(start).bind(transactions);
        let query = query.bind(amount.high).bind(amount.low).bind(data);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn written_sales(
    connection: &mut SqliteConnection,
    campaigns: &[(BucketKey, &str)],
) -> Result<Vec<SalesRow>, sqlx::Error> {
    let mut found = Vec::with_capacity(campaigns.len());
    for ((grain, start), campaign_id) in campaigns {
        let query = sqlx::query_as(WRITTEN_SALES).bind(grain).bind(start).bind(campaign_id);
        found.push(query.fetch_one(&mut *connection).await?);
    }
    Ok(found)
}
