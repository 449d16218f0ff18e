//! The counts, from the rows.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Order},
};
use weir::contract::reporting::v1::EventCount;
use weir_migration::entity::events::Column;

use super::EventsQuestion;
use crate::{
    rows,
    series::{Grouping, MAX_BUCKETS},
    store::Snapshot,
};

#[derive(FromQueryResult)]
struct CountRow {
    source: i16,
    funnel_stage: i16,
    event_type: i16,
    count: i64,
}

#[derive(FromQueryResult)]
struct BucketRow {
    bucket: i64,
    count: i64,
}

/// Events by source, stage and type; only those that there are, in no order.
pub(super) async fn counts(snapshot: &Snapshot, question: &EventsQuestion) -> Result<Vec<EventCount>, DbErr> {
    let keys = [Column::Source, Column::FunnelStage, Column::EventType];
    let query = rows::select(matching(question))
        .columns(keys)
        .expr_as(rows::count(), "count")
        .group_by_columns(keys)
        .take();
    let counts: Vec<CountRow> = snapshot.all(&query).await?;
    Ok(counts.into_iter().map(EventCount::from).collect())
}

/// Events by bucket start in microseconds, ascending; only buckets that have some, and no more of them than show
/// that there are too many.
pub(super) async fn counts_over_time(
    snapshot: &Snapshot,
    question: &EventsQuestion,
    grouping: Grouping,
) -> Result<Vec<(i64, u64)>, DbErr> {
    let query = rows::select(matching(question))
        .expr_as(rows::bucket(grouping), "bucket")
        .expr_as(rows::count(), "count")
        .group_by_col("bucket")
        .order_by("bucket", Order::Asc)
        .limit(MAX_BUCKETS + 1)
        .take();
    let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
    Ok(buckets.into_iter().map(|row| (row.bucket, row.count.unsigned_abs())).collect())
}

fn matching(question: &EventsQuestion) -> Condition {
    rows::within(&question.bounds)
        .add_option(question.source.map(rows::of_source))
        .add_option(question.funnel_stage.map(|stage| rows::is(Column::FunnelStage, stage.into())))
        .add_option(question.event_type.map(|event_type| rows::is(Column::EventType, event_type.into())))
}

impl From<CountRow> for EventCount {
    fn from(row: CountRow) -> Self {
        Self {
            source: row.source.into(),
            funnel_stage: row.funnel_stage.into(),
            event_type: row.event_type.into(),
            count: row.count.unsigned_abs(),
        }
    }
}
