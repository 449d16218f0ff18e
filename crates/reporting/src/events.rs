//! How many events: by source, stage and type, and over time.

mod figures;

use weir::contract::{
    event::v1::{EventType, FunnelStage, Source},
    reporting::v1::{EventBucket, EventCount, GetEventStatisticsRequest, GetEventStatisticsResponse},
};

use crate::{
    error::ReportError,
    horizons::Horizons,
    metrics::ReportType,
    names,
    report::{Question, Reader},
    series::{self, Grouping},
    store::Snapshot,
    time_range::{self, Bounds, Span},
};

/// The first question.
#[derive(Debug)]
pub(crate) struct EventsQuestion {
    bounds: Bounds,
    source: Option<Source>,
    funnel_stage: Option<FunnelStage>,
    event_type: Option<EventType>,
    grouping: Option<Grouping>,
}

impl Question for EventsQuestion {
    type Request = GetEventStatisticsRequest;
    type Answer = GetEventStatisticsResponse;
    const REPORT_TYPE: Option<ReportType> = Some(ReportType::Events);

    fn read(request: GetEventStatisticsRequest) -> Result<Self, ReportError> {
        let mut reader = Reader::default();
        let question = Self {
            bounds: reader.bounds(request.from, request.to),
            source: reader.source(request.source),
            funnel_stage: reader.funnel_stage(request.funnel_stage),
            event_type: reader.event_type(request.event_type),
            grouping: Grouping::of(reader.group_by(request.group_by)),
        };
        reader.finish(question)
    }

    async fn answer(self, snapshot: &Snapshot) -> Result<GetEventStatisticsResponse, ReportError> {
        let horizon = Horizons::of_ends(snapshot, &self.bounds).await?.of(self.source);
        let (span, rounded_range) = self.bounds.answerable(horizon);
        let mut events = figures::counts(snapshot, &self, span).await?;
        events.sort_by_cached_key(order);
        Ok(GetEventStatisticsResponse {
            date_range: Some(self.bounds.asked()),
            total_events: events.iter().map(|row| row.count).sum(),
            events,
            series: self.series(snapshot, span).await?,
            rounded_range,
        })
    }
}

impl EventsQuestion {
    async fn series(&self, snapshot: &Snapshot, span: Span) -> Result<Vec<EventBucket>, ReportError> {
        let Some(grouping) = self.grouping else { return Ok(Vec::new()) };
        let counts = figures::counts_over_time(snapshot, self, span, grouping).await?;
        let bucket = |(start, count)| EventBucket { bucket: Some(time_range::timestamp(start)), count };
        Ok(series::fill(counts, grouping)?.into_iter().map(bucket).collect())
    }
}

/// By count descending, then by the names of source, stage and type.
fn order(row: &EventCount) -> impl Ord + use<> {
    let name =
        (names::source(row.source), names::funnel_stage(row.funnel_stage), names::event_type(row.event_type));
    (std::cmp::Reverse(row.count), name)
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
