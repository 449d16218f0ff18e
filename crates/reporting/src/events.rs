//! The report of events: their number by source, stage and type, and over time.

use std::cmp::Reverse;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, Order},
};
use weir::contract::{
    event::v1::{EventType, FunnelStage, Source},
    reporting::v1::{EventBucket, EventCount, GetEventStatisticsRequest, GetEventStatisticsResponse},
};
use weir_database::entity::{events::Column, rollups};

use crate::{
    error::ReportError,
    metrics::ReportType,
    names,
    report_query::{ReportQuery, RequestParser},
    rollups::{RollupColumn, RollupQuery, RollupTable, column_is, source_is},
    series::{self, Grouping, MAX_BUCKETS},
    store::Snapshot,
    time_range::{Horizons, RequestedRange, TimeRange, timestamp},
};

/// A request for the number of events.
#[derive(Debug)]
pub(crate) struct EventsQuery {
    range: RequestedRange,
    source: Option<Source>,
    funnel_stage: Option<FunnelStage>,
    event_type: Option<EventType>,
    grouping: Option<Grouping>,
}

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

impl ReportQuery for EventsQuery {
    type Request = GetEventStatisticsRequest;
    type Response = GetEventStatisticsResponse;
    type Cache = ();
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Events);

    fn parse(request: GetEventStatisticsRequest) -> Result<Self, ReportError> {
        let mut parser = RequestParser::default();
        let report = Self {
            range: parser.range(request.from, request.to),
            source: parser.source(request.source),
            funnel_stage: parser.funnel_stage(request.funnel_stage),
            event_type: parser.event_type(request.event_type),
            grouping: Grouping::of(parser.group_by(request.group_by)),
        };
        parser.finish(report)
    }

    async fn answer(self, snapshot: &Snapshot, _: &()) -> Result<GetEventStatisticsResponse, ReportError> {
        let horizon = Horizons::for_ends(snapshot, &self.range).await?.of(self.source);
        let (range, rounded_range) = self.range.answerable(horizon);
        let mut events = self.counts(snapshot, range).await?;
        events.sort_by_cached_key(order);
        Ok(GetEventStatisticsResponse {
            date_range: Some(self.range.requested()),
            total_events: events.iter().map(|row| row.count).sum(),
            events,
            series: self.series(snapshot, range).await?,
            rounded_range,
        })
    }
}

impl EventsQuery {
    /// Events by source, stage and type; only groups with events, in no order.
    async fn counts(&self, snapshot: &Snapshot, range: TimeRange) -> Result<Vec<EventCount>, DbErr> {
        let query = self.query(range).group_by(&["source", "funnel_stage", "event_type"]);
        let counts: Vec<CountRow> = snapshot.all(&query).await?;
        Ok(counts.into_iter().map(EventCount::from).collect())
    }

    async fn series(&self, snapshot: &Snapshot, range: TimeRange) -> Result<Vec<EventBucket>, ReportError> {
        let Some(grouping) = self.grouping else { return Ok(Vec::new()) };
        let mut query = self.query(range).group_by_bucket(grouping);
        // One bucket too many is enough to refuse the series.
        query.order_by("bucket", Order::Asc).limit(MAX_BUCKETS + 1);
        let buckets: Vec<BucketRow> = snapshot.all(&query).await?;
        let counts = buckets.into_iter().map(|row| (row.bucket, row.count.unsigned_abs())).collect();
        let bucket = |(start, count)| EventBucket { bucket: Some(timestamp(start)), count };
        Ok(series::fill_gaps(counts, grouping)?.into_iter().map(bucket).collect())
    }

    fn query(&self, range: TimeRange) -> RollupQuery {
        let filter = Condition::all()
            .add_option(self.source.map(source_is))
            .add_option(self.funnel_stage.map(|stage| column_is(Column::FunnelStage, stage.into())))
            .add_option(self.event_type.map(|kind| column_is(Column::EventType, kind.into())));
        let count = RollupColumn::new("count", Expr::col(rollups::Column::Events), Expr::val(1_i64));
        RollupQuery {
            table: RollupTable::Events,
            ranges: vec![range],
            filter,
            rows: Condition::all(),
            sums: vec![count],
        }
    }
}

/// By count descending, then by the names of source, stage and type.
fn order(row: &EventCount) -> impl Ord + use<> {
    let name =
        (names::source(row.source), names::funnel_stage(row.funnel_stage), names::event_type(row.event_type));
    (Reverse(row.count), name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_counts_are_ordered_by_name() {
        let row = |source: Source, funnel_stage: FunnelStage, event_type: EventType, count| EventCount {
            source: source.into(),
            funnel_stage: funnel_stage.into(),
            event_type: event_type.into(),
            count,
        };
        let expected = [
            row(Source::Tiktok, FunnelStage::Top, EventType::Share, 9),
            row(Source::Facebook, FunnelStage::Bottom, EventType::AdClick, 2),
            row(Source::Facebook, FunnelStage::Bottom, EventType::CheckoutComplete, 2),
            row(Source::Facebook, FunnelStage::Top, EventType::AdView, 2),
            row(Source::Facebook, FunnelStage::Top, EventType::Comment, 2),
            row(Source::Tiktok, FunnelStage::Bottom, EventType::Follow, 2),
        ];
        let mut rows = expected.to_vec();
        rows.reverse();
        rows.sort_by_cached_key(order);
        assert_eq!(rows, expected);
    }
}
