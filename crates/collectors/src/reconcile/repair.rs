//! The repair of rollups: adds the missing values to the values of that moment. A bucket in several shards becomes
//! one row.
//!
//! A page is repaired under the store's lock, so that no transaction adds to the same buckets in another order. The
//! missing values stay valid, because every transaction that stored since the comparison added the same to both
//! sides.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, SqliteConnection, SqlitePool,
    postgres::PgArguments, query::QueryAs,
};
use tokio::time::sleep;
use weir_database::{advisory_lock::AdvisoryLock, dialect::Pool, error_class::is_lock_timeout};

use super::{
    derived_table::DerivedTable,
    difference::Difference,
    error::ReconcileError,
    measures::{Measure, Measures},
    sql::{columns, joined},
};
use crate::store::{
    BEGIN_SQLITE,
    rollups::{self, CampaignRollup, KindRollup},
    to_smallint,
};

/// How often a page is tried that another transaction keeps from beginning, and the pause between two attempts.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// The ranking of a bucket may have the wrong sums of its campaigns. Without one, reports rank all campaigns, and the job
/// of rankings makes it anew.
const DELETE_RANKING: &str = "DELETE FROM campaign_rankings WHERE grain = $1 AND bucket = $2";

/// A bucket that differs, and the values that it is to have.
type RepairedBucket<'a> = (&'a Difference, Measures);

/// Repairs all differences of a page, or none. They are of one table, and none is of people. The caller holds the
/// lock of repairs.
pub(super) async fn repair(pool: &Pool, page: &[&Difference]) -> Result<(), ReconcileError> {
    let derived_table = page.first().and_then(|first| DerivedTable::of_subject(&first.subject));
    let Some(derived_table) = derived_table else { return Ok(()) };
    let mut attempts = 1;
    loop {
        let result = match pool {
            Pool::Postgres(pool) => repair_in_postgres(pool, derived_table, page).await,
            Pool::Sqlite(pool) => repair_in_sqlite(pool, derived_table, page).await,
        };
        match result {
            Err(ReconcileError::Database(error)) if attempts < ATTEMPTS && is_lock_timeout(&error) => {
                attempts += 1;
                sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// The values that a bucket is to have. `written` has the deleted rows by shard, as text (see [`Measures::read`]).
fn repaired<'a>(
    derived_table: DerivedTable,
    difference: &'a Difference,
    written: impl Iterator<Item = String>,
) -> Result<RepairedBucket<'a>, ReconcileError> {
    let mut measures = difference.missing();
    for text in written {
        let shard = Measures::read(derived_table.measures(), &text).ok_or(ReconcileError::TooLarge)?;
        measures.add(&shard);
    }
    Ok((difference, measures))
}

/// Rows of `rollups`. A bucket whose values are all zero has none.
fn kinds(buckets: &[RepairedBucket<'_>]) -> Result<Vec<KindRollup>, ReconcileError> {
    let not_zero = buckets.iter().filter(|(_, measures)| !measures.is_zero());
    let kinds = not_zero.filter_map(|(difference, measures)| {
        let (funnel_stage, event_type) = difference.subject.event_kind()?;
        Some(kind(difference, measures, funnel_stage, event_type))
    });
    kinds.collect()
}

fn kind(
    difference: &Difference,
    measures: &Measures,
    funnel_stage: i16,
    event_type: i16,
) -> Result<KindRollup, ReconcileError> {
    let (measure, amount) = (measures.halves(Measure::MeasureSum)?, measures.halves(Measure::Amount)?);
    Ok(KindRollup {
        grain: difference.grain.number(),
        bucket: difference.bucket,
        source: to_smallint(difference.source.number()),
        funnel_stage,
        event_type,
        events: measures.count(Measure::Events)?,
        measured: measures.count(Measure::Measured)?,
        measure_high: measure.high,
        measure_low: measure.low,
        transactions: measures.count(Measure::Transactions)?,
        amount_high: amount.high,
        amount_low: amount.low,
    })
}

/// Rows of `campaign_rollups`. A bucket whose values are all zero has none.
fn campaigns<'a>(buckets: &[RepairedBucket<'a>]) -> Result<Vec<CampaignRollup<'a>>, ReconcileError> {
    let not_zero = buckets.iter().filter(|(_, measures)| !measures.is_zero());
    let campaigns = not_zero.filter_map(|(difference, measures)| {
        Some(campaign(difference, measures, difference.subject.campaign()?))
    });
    campaigns.collect()
}

fn campaign<'a>(
    difference: &Difference,
    measures: &Measures,
    campaign_id: &'a str,
) -> Result<CampaignRollup<'a>, ReconcileError> {
    let amount = measures.halves(Measure::Amount)?;
    Ok(CampaignRollup {
        grain: difference.grain.number(),
        bucket: difference.bucket,
        campaign_id,
        transactions: measures.count(Measure::Transactions)?,
        amount_high: amount.high,
        amount_low: amount.low,
    })
}

/// A transaction that waits for a page does so no longer than this until the page begins. The server gives up before
/// its client could take the connection for dead.
const BEGIN_POSTGRES: &str = "BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// The place in the page, from 1, and the deleted values.
type DeletedRow = (i64, String);

async fn repair_in_postgres(
    pool: &PgPool,
    derived_table: DerivedTable,
    page: &[&Difference],
) -> Result<(), ReconcileError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(BEGIN_POSTGRES).await?;
    AdvisoryLock::Store.lock_transaction(&mut transaction).await?;
    let deleted = delete_in_postgres(&mut transaction, derived_table, page).await?;
    let buckets = page.iter().zip(1..).map(|(difference, place)| {
        let written = deleted.iter().filter(|(of, _)| *of == place).map(|(_, text)| text.clone());
        repaired(derived_table, difference, written)
    });
    let buckets: Vec<RepairedBucket<'_>> = buckets.collect::<Result<_, _>>()?;
    rollups::add_kinds_in_postgres(&mut transaction, &kinds(&buckets)?).await?;
    rollups::add_campaigns_in_postgres(&mut transaction, &campaigns(&buckets)?).await?;
    for (grain, bucket) in buckets_of_campaigns(page) {
        sqlx::query(DELETE_RANKING).bind(grain).bind(bucket).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Grain and start of each bucket with a campaign in the page.
fn buckets_of_campaigns(page: &[&Difference]) -> BTreeSet<(i16, i64)> {
    let of_campaigns = page.iter().filter(|difference| difference.subject.campaign().is_some());
    of_campaigns.map(|difference| (difference.grain.number(), difference.bucket)).collect()
}

async fn delete_in_postgres(
    connection: &mut PgConnection,
    derived_table: DerivedTable,
    page: &[&Difference],
) -> Result<Vec<DeletedRow>, sqlx::Error> {
    let (arrays, keys) = match derived_table {
        DerivedTable::Kinds => (
            "$1::smallint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::smallint[]",
            &["grain", "bucket", "source", "funnel_stage", "event_type"][..],
        ),
        DerivedTable::Campaigns => {
            ("$1::smallint[], $2::bigint[], $3::text[]", &["grain", "bucket", "campaign_id"][..])
        }
    };
    let same: Vec<String> = keys.iter().map(|key| format!("written.{key} = given.{key}")).collect();
    let statement = format!(
        "DELETE FROM {} AS written USING UNNEST({arrays}) WITH ORDINALITY AS given ({}, place) WHERE {} \
         RETURNING given.place, {}",
        derived_table.table(),
        keys.join(", "),
        same.join(" AND "),
        joined(columns(derived_table).map(|column| format!("written.{column}"))),
    );
    let query = sqlx::query_as(AssertSqlSafe(statement)).persistent(false);
    bind(query, derived_table, page).fetch_all(connection).await
}

fn bind<'q>(
    query: QueryAs<'q, Postgres, DeletedRow, PgArguments>,
    derived_table: DerivedTable,
    page: &[&Difference],
) -> QueryAs<'q, Postgres, DeletedRow, PgArguments> {
    let grains: Vec<i16> = page.iter().map(|difference| difference.grain.number()).collect();
    let buckets: Vec<i64> = page.iter().map(|difference| difference.bucket).collect();
    let query = query.bind(grains).bind(buckets);
    match derived_table {
        DerivedTable::Kinds => {
            let sources: Vec<i16> =
                page.iter().map(|difference| to_smallint(difference.source.number())).collect();
            let (stages, types): (Vec<i16>, Vec<i16>) =
                page.iter().filter_map(|difference| difference.subject.event_kind()).unzip();
            query.bind(sources).bind(stages).bind(types)
        }
        DerivedTable::Campaigns => {
            let campaigns = page.iter().filter_map(|difference| difference.subject.campaign());
            query.bind(campaigns.map(str::to_owned).collect::<Vec<_>>())
        }
    }
}

async fn repair_in_sqlite(
    pool: &SqlitePool,
    derived_table: DerivedTable,
    page: &[&Difference],
) -> Result<(), ReconcileError> {
    let mut transaction = pool.begin_with(BEGIN_SQLITE).await?;
    let mut buckets: Vec<RepairedBucket<'_>> = Vec::with_capacity(page.len());
    for difference in page {
        let written = delete_in_sqlite(&mut transaction, derived_table, difference).await?;
        buckets.push(repaired(derived_table, difference, written.into_iter())?);
    }
    rollups::add_kinds_in_sqlite(&mut transaction, &kinds(&buckets)?).await?;
    rollups::add_campaigns_in_sqlite(&mut transaction, &campaigns(&buckets)?).await?;
    for (grain, bucket) in buckets_of_campaigns(page) {
        sqlx::query(DELETE_RANKING).bind(grain).bind(bucket).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Deletes the rows of a bucket. Returns their values by shard.
async fn delete_in_sqlite(
    connection: &mut SqliteConnection,
    derived_table: DerivedTable,
    difference: &Difference,
) -> Result<Vec<String>, sqlx::Error> {
    let key = match derived_table {
        DerivedTable::Kinds => "source = ? AND funnel_stage = ? AND event_type = ?",
        DerivedTable::Campaigns => "campaign_id = ?",
    };
    let statement = format!(
        "DELETE FROM {} WHERE grain = ? AND bucket = ? AND {key} RETURNING {}",
        derived_table.table(),
        joined(columns(derived_table).map(str::to_owned)),
    );
    let query = sqlx::query_scalar(AssertSqlSafe(statement));
    let query = query.bind(difference.grain.number()).bind(difference.bucket);
    let query = match derived_table {
        DerivedTable::Kinds => {
            let (funnel_stage, event_type) = difference.subject.event_kind().unzip();
            query.bind(to_smallint(difference.source.number())).bind(funnel_stage).bind(event_type)
        }
        DerivedTable::Campaigns => query.bind(difference.subject.campaign().map(str::to_owned)),
    };
    query.fetch_all(connection).await
}
