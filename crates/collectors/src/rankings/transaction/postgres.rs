//! Statements on the rankings for PostgreSQL: set-based over arrays.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{RankingRow, SalesRow};
use crate::people::BucketKey;

// Each key is looked up by itself: `OFFSET 0` keeps the planner from reversing the join, at any estimate of sizes.
const RANKINGS: &str = "SELECT known.* FROM UNNEST($1::smallint[], $2::bigint[]) AS asked (grain, bucket) \
    CROSS JOIN LATERAL ( \
        SELECT grain, bucket, transactions, amount_high, amount_low, data FROM campaign_rankings \
        WHERE campaign_rankings.grain = asked.grain AND campaign_rankings.bucket = asked.bucket OFFSET 0) AS known";
const WRITE_RANKINGS: &str = "INSERT INTO campaign_rankings \
        (grain, bucket, transactions, amount_high, amount_low, data) \
    SELECT * FROM UNNEST($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[]) \
    ON CONFLICT (grain, bucket) DO UPDATE SET transactions = excluded.transactions, \
        amount_high = excluded.amount_high, amount_low = excluded.amount_low, data = excluded.data";
/// One row for each shard.
const WRITTEN_SALES: &str = "SELECT place, known.* \
    FROM UNNEST($1::smallint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS asked (grain, bucket, campaign_id, place) \
    CROSS JOIN LATERAL ( \
        SELECT transactions, amount_high, amount_low FROM campaign_rollups AS written \
        WHERE written.grain = asked.grain AND written.bucket = asked.bucket \
            AND written.campaign_id = asked.campaign_id OFFSET 0) AS known";

pub(super) async fn rankings(
    connection: &mut PgConnection,
    keys: &[BucketKey],
) -> Result<HashMap<BucketKey, (SalesRow, Vec<u8>)>, sqlx::Error> {
    let (grains, starts): (Vec<i16>, Vec<i64>) = keys.iter().copied().unzip();
    // Planned each time, here and below: a plan that was made while the table was small would read all of it.
    let query = sqlx::query_as(RANKINGS).bind(grains).bind(starts).persistent(false);
    let rows: Vec<(i16, i64, i64, i64, i64, Vec<u8>)> = query.fetch_all(connection).await?;
    let row =
        |(grain, bucket, transactions, high, low, data)| ((grain, bucket), ((transactions, high, low), data));
    Ok(rows.into_iter().map(row).collect())
}

pub(super) async fn write_rankings(
    connection: &mut PgConnection,
    rows: &[RankingRow],
) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_RANKINGS)
        .bind(rows.iter().map(|row| row.key.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.key.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.transactions).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.amount.high).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.amount.low).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.data.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn written_sales(
    connection: &mut PgConnection,
    campaigns: &[(BucketKey, &str)],
) -> Result<Vec<SalesRow>, sqlx::Error> {
    let shards: Vec<(i64, i64, i64, i64)> = sqlx::query_as(WRITTEN_SALES)
        .bind(campaigns.iter().map(|((grain, _), _)| *grain).collect::<Vec<_>>())
        .bind(campaigns.iter().map(|((_, start), _)| *start).collect::<Vec<_>>())
        .bind(campaigns.iter().map(|(_, name)| *name).collect::<Vec<_>>())
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let mut written = vec![SalesRow::default(); campaigns.len()];
    for (place, transactions, high, low) in shards {
        let sums = usize::try_from(place - 1).ok().and_then(|index| written.get_mut(index));
        let Some(sums) = sums else { continue };
        *sums = (sums.0 + transactions, sums.1 + high, sums.2 + low);
    }
    Ok(written)
}
