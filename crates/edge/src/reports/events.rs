//! How many events.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::reporting::v1;
use weir_event::{EventType, FunnelStage, Source};
use weir_process::CallContext;

use super::{Client, DateRange, query::Query, rfc3339, source_name, stage_name, timestamp, type_name};
use crate::{
    problem::{Problem, ProblemBody},
    router::EdgeState,
};

/// How many events, by source, stage and type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventReport {
    /// As asked for.
    date_range: DateRange,
    /// What the answer is about, where that is not dateRange: an end between two whole minutes lies where rows were
    /// removed after their time, and was rounded outward.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded_range: Option<DateRange>,
    total_events: u64,
    /// By count descending, then by the names of source, stage and type.
    events: Vec<EventRow>,
    /// Ascending; only with groupBy.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<EventBucket>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventRow {
    #[schema(example = "facebook")]
    source: &'static str,
    #[schema(example = "top")]
    funnel_stage: &'static str,
    #[schema(example = "ad.view")]
    event_type: &'static str,
    count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventBucket {
    /// Its start.
    #[schema(example = "2025-09-14T07:00:00Z")]
    bucket: String,
    count: u64,
}

/// How many events
///
/// Counts stored events by event time, those whose rows were removed after their time included. An impossible
/// combination of filters gives zeros.
#[utoipa::path(get, path = "/reports/events", tag = "reports", operation_id = "getEventReport",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or a date, inclusive; absent is unbounded", example = "2025-09-14"),
        ("to" = Option<String>, Query, description = "RFC 3339 or a date, exclusive; absent is unbounded", example = "2025-09-15T00:00:00Z"),
        ("source" = Option<String>, Query, description = "facebook or tiktok"),
        ("funnelStage" = Option<String>, Query, description = "top or bottom"),
        ("eventType" = Option<String>, Query, description = "Such as ad.view; without source it matches both sources"),
        ("groupBy" = Option<String>, Query, description = "hour or day (UTC): adds series, at most 10,000 buckets"),
    ),
    responses(
        (status = 200, description = "The report", body = EventReport),
        (status = 400, description = "Bad parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_event_report(
    State(edge): State<Arc<EdgeState>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<EventReport>, Problem> {
    let question = question(query.as_deref())?;
    let grouped = question.group_by != 0;
    let rpc = |mut client: Client, request| async move { client.get_event_statistics(request).await };
    let answer = edge.reports.ask(question, &context, rpc).await?;
    Ok(Json(report(answer, grouped)))
}

fn question(query: Option<&str>) -> Result<v1::GetEventStatisticsRequest, Problem> {
    let mut query = Query::parse(query, &["from", "to", "source", "funnelStage", "eventType", "groupBy"]);
    let range = query.range();
    let question = v1::GetEventStatisticsRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: query.source().map_or(0, Source::number),
        funnel_stage: query.funnel_stage().map_or(0, FunnelStage::number),
        event_type: query.event_type().map_or(0, EventType::number),
        group_by: query.group_by().map_or(0, i32::from),
    };
    query.finish().map(|()| question)
}

fn report(answer: v1::GetEventStatisticsResponse, grouped: bool) -> EventReport {
    let row = |row: v1::EventCount| EventRow {
        source: source_name(row.source),
        funnel_stage: stage_name(row.funnel_stage),
        event_type: type_name(row.event_type),
        count: row.count,
    };
    let bucket = |bucket: v1::EventBucket| EventBucket {
        bucket: bucket.bucket.map(rfc3339).unwrap_or_default(),
        count: bucket.count,
    };
    EventReport {
        date_range: answer.date_range.unwrap_or_default().into(),
        rounded_range: answer.rounded_range.map(Into::into),
        total_events: answer.total_events,
        events: answer.events.into_iter().map(row).collect(),
        series: grouped.then(|| answer.series.into_iter().map(bucket).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_has_the_names_of_the_wire() {
        let answer = v1::GetEventStatisticsResponse {
            total_events: 3,
            events: vec![v1::EventCount { source: 2, funnel_stage: 1, event_type: 4, count: 3 }],
            ..Default::default()
        };
        let range = json!({"from": null, "to": null});
        let events =
            json!([{"source": "tiktok", "funnelStage": "top", "eventType": "video.view", "count": 3}]);
        assert_eq!(
            serde_json::to_value(report(answer.clone(), false)).unwrap(),
            json!({"dateRange": range, "totalEvents": 3, "events": events})
        );
        assert_eq!(serde_json::to_value(report(answer, true)).unwrap()["series"], json!([]));
    }

    #[test]
    fn a_rounded_range_is_told_beside_the_one_that_was_asked_for() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let answer = v1::GetEventStatisticsResponse {
            date_range: Some(v1::DateRange { from: at(1_757_833_201), to: None }),
            rounded_range: Some(v1::DateRange { from: at(1_757_833_200), to: None }),
            ..Default::default()
        };
        let report = serde_json::to_value(report(answer, false)).unwrap();
        assert_eq!(report["dateRange"], json!({"from": "2025-09-14T07:00:01Z", "to": null}));
        assert_eq!(report["roundedRange"], json!({"from": "2025-09-14T07:00:00Z", "to": null}));
    }

    #[test]
    fn a_parameter_of_another_report_is_unknown() {
        assert!(question(Some("limit=5")).is_err());
        assert_eq!(question(Some("groupBy=day&eventType=comment")).unwrap().event_type, 3);
    }
}
