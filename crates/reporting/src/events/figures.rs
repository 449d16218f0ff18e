//! The counts, from rollups.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, Order},
};
use weir::contract::reporting::v1::EventCount;
use weir_database::entity::{events, rollups};

use super::EventsQuestion;
use crate::{
    rollups::{Figures, Table, Term},
    rows,
    series::{Grouping, MAX_BUCKETS},
    store::Snapshot,
    time_range::Span,
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
pub(super) async fn counts(
    snapshot: &Snapshot,
    question: &EventsQuestion,
    span: Span,
) -> Result<Vec<EventCount>, DbErr> {
    let query = matching(question, span).by(&["source", "funnel_stage", "event_type"]);
    let counts: Vec<CountRow> = snapshot.all(&query).await?;
    Ok(counts.into_iter().map(EventCount::from).collect())
}

/// Events by bucket start in microseconds, ascending; only buckets that have some, and no more of them than show
/// that there are too many.
pub(super) async fn counts_over_time(
    snapshot: &Snapshot,
    question: &EventsQuestion,
    span: Span,
    grouping: Grouping,
) -> Result<Vec<(i64, u64)>, DbErr> {
    let mut query = matching(question, span).over_time(grouping);
    query.order_by("bucket", Order::Asc).limit(MAX_BUCKETS + 1);
    let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
    Ok(buckets.into_iter().map(|row| (row.bucket, row.count.unsigned_abs())).collect())
}

fn matching(question: &EventsQuestion, span: Span) -> Figures {
    let filter = Condition::all()
        .add_option(question.source.map(rows::of_source))
        .add_option(question.funnel_stage.map(|stage| rows::is(events::Column::FunnelStage, stage.into())))
        .add_option(question.event_type.map(|kind| rows::is(events::Column::EventType, kind.into())));
    let count = Term::new("count", Expr::col(rollups::Column::Events), Expr::val(1_i64));
    Figures { table: Table::Kinds, spans: vec![span], filter, rows: Condition::all(), terms: vec![count] }
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
