//! `GET /reports/*`: reads the parameters, calls the reporting service and responds with the report as JSON.

mod parameters;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use weir::contract::{
    MAX_RESPONSE_BYTES,
    reporting::v1::{self, reporting_service_client::ReportingServiceClient},
    timestamp,
};
use weir_event::{EventType, FunnelStage, Source};
use weir_process::{CallContext, Reason, grpc::TracedChannel};

use self::parameters::Parameters;
use crate::{
    answers::{DemographicsReport, EventReport, RevenueReport},
    problem::{Problem, ProblemBody},
    status_to_problem::status_to_problem,
    upstream::Upstream,
};

type Client = ReportingServiceClient<TracedChannel>;

/// Calls the reporting service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    reporting: Upstream,
    /// The longest time that one report may take.
    timeout: Duration,
}

/// Numbers of events
///
/// Counts stored events by event time, including those whose rows were removed after their time. An impossible
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
        (status = 400, description = "Invalid parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_event_report(
    State(reports): State<Arc<Reports>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<EventReport>, Problem> {
    let request = event_request(query.as_deref())?;
    let with_series = request.group_by != 0;
    let rpc = |mut client: Client, request| async move { client.get_event_statistics(request).await };
    let response = reports.call(request, &context, rpc).await?;
    Ok(Json(EventReport::new(response, with_series)))
}

/// Revenue
///
/// A transaction is a checkout.complete (facebook) or purchase (tiktok) with an amount.
#[utoipa::path(get, path = "/reports/revenue", tag = "reports", operation_id = "getRevenueReport",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or a date, inclusive; absent is unbounded", example = "2025-09-14"),
        ("to" = Option<String>, Query, description = "RFC 3339 or a date, exclusive; absent is unbounded", example = "2025-09-15T00:00:00Z"),
        ("source" = Option<String>, Query, description = "facebook or tiktok"),
        ("campaignId" = Option<String>, Query, description = "Matches facebook only"),
        ("groupBy" = Option<String>, Query, description = "hour or day (UTC): adds series, at most 10,000 buckets"),
        ("limit" = Option<u32>, Query, description = "The most campaigns: 1 to 1000, 10 where absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The report", body = RevenueReport),
        (status = 400, description = "Invalid parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_revenue_report(
    State(reports): State<Arc<Reports>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<RevenueReport>, Problem> {
    let request = revenue_request(query.as_deref())?;
    let with_series = request.group_by != 0;
    let rpc = |mut client: Client, request| async move { client.get_revenue(request).await };
    let response = reports.call(request, &context, rpc).await?;
    Ok(Json(RevenueReport::new(response, with_series)))
}

/// Demographics
///
/// Distinct users by group. With source the section of the other source is absent.
#[utoipa::path(get, path = "/reports/demographics", tag = "reports", operation_id = "getDemographicsReport",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or a date, inclusive; absent is unbounded", example = "2025-09-14"),
        ("to" = Option<String>, Query, description = "RFC 3339 or a date, exclusive; absent is unbounded", example = "2025-09-15T00:00:00Z"),
        ("source" = Option<String>, Query, description = "facebook or tiktok"),
        ("limit" = Option<u32>, Query, description = "The most countries, cities and devices: 1 to 1000, 10 where absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The report", body = DemographicsReport),
        (status = 400, description = "Invalid parameters, each named", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_demographics_report(
    State(reports): State<Arc<Reports>>,
    Extension(context): Extension<CallContext>,
    RawQuery(query): RawQuery,
) -> Result<Json<DemographicsReport>, Problem> {
    let request = demographics_request(query.as_deref())?;
    let rpc = |mut client: Client, request| async move { client.get_demographics(request).await };
    let response = reports.call(request, &context, rpc).await?;
    Ok(Json(response.into()))
}

impl Reports {
    pub(crate) fn new(reporting: Upstream, timeout: Duration) -> Self {
        Self { reporting, timeout }
    }

    async fn call<Q: Clone, A, F>(
        &self,
        message: Q,
        context: &CallContext,
        rpc: impl Fn(Client, Request<Q>) -> F,
    ) -> Result<A, Problem>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let rpc = |channel, request| {
            rpc(Client::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES), request)
        };
        let response = self.reporting.query(message, context, deadline, rpc).await;
        response.map_err(|status| status_to_problem(&status, Reason::StoreUnavailable))
    }
}

fn event_request(query: Option<&str>) -> Result<v1::GetEventStatisticsRequest, Problem> {
    let mut parameters =
        Parameters::parse(query, &["from", "to", "source", "funnelStage", "eventType", "groupBy"]);
    let range = parameters.time_range();
    let request = v1::GetEventStatisticsRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: parameters.source().map_or(0, Source::number),
        funnel_stage: parameters.funnel_stage().map_or(0, FunnelStage::number),
        event_type: parameters.event_type().map_or(0, EventType::number),
        group_by: parameters.group_by().map_or(0, i32::from),
    };
    parameters.finish().map(|()| request)
}

fn revenue_request(query: Option<&str>) -> Result<v1::GetRevenueRequest, Problem> {
    let mut parameters =
        Parameters::parse(query, &["from", "to", "source", "campaignId", "groupBy", "limit"]);
    let range = parameters.time_range();
    let request = v1::GetRevenueRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: parameters.source().map_or(0, Source::number),
        campaign_id: parameters.campaign_id(),
        group_by: parameters.group_by().map_or(0, i32::from),
        limit: parameters.limit(),
    };
    parameters.finish().map(|()| request)
}

fn demographics_request(query: Option<&str>) -> Result<v1::GetDemographicsRequest, Problem> {
    let mut parameters = Parameters::parse(query, &["from", "to", "source", "limit"]);
    let range = parameters.time_range();
    let request = v1::GetDemographicsRequest {
        from: range.from.map(timestamp),
        to: range.to.map(timestamp),
        source: parameters.source().map_or(0, Source::number),
        limit: parameters.limit(),
    };
    parameters.finish().map(|()| request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_another_report_is_unknown() {
        assert!(event_request(Some("limit=5")).is_err());
        assert_eq!(event_request(Some("groupBy=day&eventType=comment")).unwrap().event_type, 3);
    }
}
