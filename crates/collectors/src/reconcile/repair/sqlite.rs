//! Setting right in SQLite: bucket by bucket, in a transaction that writes from its beginning.

use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use super::{Bucket, Difference, ReconcileError, Structure, campaigns, kinds, set_right};
use crate::{
    reconcile::sql::{columns, joined},
    store::{
        row,
        sqlite::{BEGIN, rollups},
    },
};

pub(super) async fn repair(
    pool: &SqlitePool,
    structure: Structure,
    page: &[&Difference],
) -> Result<(), ReconcileError> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let mut buckets: Vec<Bucket<'_>> = Vec::with_capacity(page.len());
    for difference in page {
        let written = take_out(&mut transaction, structure, difference).await?;
        buckets.push(set_right(structure, difference, written.into_iter())?);
    }
    rollups::add_kinds(&mut transaction, &kinds(&buckets)?).await?;
    rollups::add_campaigns(&mut transaction, &campaigns(&buckets)?).await?;
    Ok(transaction.commit().await?)
}

/// What was written, by shard.
async fn take_out(
    connection: &mut SqliteConnection,
    structure: Structure,
    difference: &Difference,
) -> Result<Vec<String>, sqlx::Error> {
    let key = match structure {
        Structure::Kinds => "source = ? AND funnel_stage = ? AND event_type = ?",
        Structure::Campaigns => "campaign_id = ?",
    };
    let statement = format!(
        "DELETE FROM {} WHERE grain = ? AND bucket = ? AND {key} RETURNING {}",
        structure.table(),
        joined(columns(structure).map(str::to_owned)),
    );
    let query = sqlx::query_scalar(AssertSqlSafe(statement));
    let query = query.bind(difference.grain.number()).bind(difference.bucket);
    let query = match structure {
        Structure::Kinds => {
            let (funnel_stage, event_type) = difference.subject.kind().unzip();
            query.bind(row::small(difference.source.number())).bind(funnel_stage).bind(event_type)
        }
        Structure::Campaigns => query.bind(difference.subject.campaign().map(str::to_owned)),
    };
    query.fetch_all(connection).await
}
