//! The report of events: counts by source, stage and type.

use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::reporting::v1;
use weir_event::{EventType, FunnelStage, Source};

use super::values::{DateRange, rfc3339};

/// The number of events by source, stage and type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventReport {
    /// The requested range.
    date_range: DateRange,
    /// The range that the report covers, where it differs from dateRange: an end between two whole minutes, where
    /// rows were removed after their time, was rounded outward.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded_range: Option<DateRange>,
    total_events: u64,
    /// By count descending, then by the names of source, stage and type.
    events: Vec<EventRow>,
    /// Ascending; only with groupBy.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<EventBucket>>,
}

/// The count of one source, stage and type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    #[schema(example = "facebook")]
    source: &'static str,
    #[schema(example = "top")]
    funnel_stage: &'static str,
    #[schema(example = "ad.view")]
    event_type: &'static str,
    count: u64,
}

/// The count of one hour or day.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBucket {
    /// The start of the bucket.
    #[schema(example = "2025-09-14T07:00:00Z")]
    bucket: String,
    count: u64,
}

impl EventReport {
    /// The report of a response; `with_series` where the request groups by hour or day.
    #[must_use]
    pub fn new(response: v1::GetEventStatisticsResponse, with_series: bool) -> Self {
        Self {
            date_range: response.date_range.unwrap_or_default().into(),
            rounded_range: response.rounded_range.map(Into::into),
            total_events: response.total_events,
            events: response.events.into_iter().map(Into::into).collect(),
            series: with_series.then(|| response.series.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<v1::EventCount> for EventRow {
    fn from(row: v1::EventCount) -> Self {
        Self {
            source: Source::name_of(row.source),
            funnel_stage: FunnelStage::name_of(row.funnel_stage),
            event_type: EventType::name_of(row.event_type),
            count: row.count,
        }
    }
}

impl From<v1::EventBucket> for EventBucket {
    fn from(bucket: v1::EventBucket) -> Self {
        Self { bucket: bucket.bucket.map(rfc3339).unwrap_or_default(), count: bucket.count }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_of_events_has_the_names_of_the_api() {
        let response = v1::GetEventStatisticsResponse {
            total_events: 3,
            events: vec![v1::EventCount { source: 2, funnel_stage: 1, event_type: 4, count: 3 }],
            ..Default::default()
        };
        let range = json!({"from": null, "to": null});
        let events =
            json!([{"source": "tiktok", "funnelStage": "top", "eventType": "video.view", "count": 3}]);
        assert_eq!(
            serde_json::to_value(EventReport::new(response.clone(), false)).unwrap(),
            json!({"dateRange": range, "totalEvents": 3, "events": events})
        );
        assert_eq!(serde_json::to_value(EventReport::new(response, true)).unwrap()["series"], json!([]));
    }

    #[test]
    fn a_rounded_range_stands_beside_the_requested_one() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let response = v1::GetEventStatisticsResponse {
            date_range: Some(v1::DateRange { from: at(1_757_833_201), to: None }),
            rounded_range: Some(v1::DateRange { from: at(1_757_833_200), to: None }),
            ..Default::default()
        };
        let report = serde_json::to_value(EventReport::new(response, false)).unwrap();
        assert_eq!(report["dateRange"], json!({"from": "2025-09-14T07:00:01Z", "to": null}));
        assert_eq!(report["roundedRange"], json!({"from": "2025-09-14T07:00:00Z", "to": null}));
    }
}
