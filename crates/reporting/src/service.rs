//! The rpcs: parse the request, answer it in time, measure it, and log a failure once.

use std::time::{Duration, Instant};

use tonic::{Request, Response, Status};
use tracing::{Instrument as _, error_span, warn};
use weir::contract::reporting::v1::{
    FindEventRequest, FindEventResponse, GetDemographicsRequest, GetDemographicsResponse, GetErasuresRequest,
    GetErasuresResponse, GetEventStatisticsRequest, GetEventStatisticsResponse, GetFramesRequest,
    GetFramesResponse, GetRevenueRequest, GetRevenueResponse, reporting_service_server::ReportingService,
};
use weir_process::{CallContext, grpc_timeout};

use crate::{
    demographics::{AttributeCache, DemographicsQuery},
    erasures::ErasuresQuery,
    error::ReportError,
    events::EventsQuery,
    find_event::FindEventQuery,
    frames::FramesQuery,
    metrics::{ReportMetrics, ReportType},
    report_query::ReportQuery,
    revenue::{RankingCache, RevenueQuery},
    store::ReportStore,
};

/// The service behind the rpcs.
#[derive(Debug)]
pub(crate) struct ReportingHandler {
    pub(crate) store: ReportStore,
    pub(crate) attributes: AttributeCache,
    pub(crate) rankings: RankingCache,
    pub(crate) metrics: ReportMetrics,
    /// ISO 4217.
    pub(crate) currency: String,
    /// The longest time that a report may take.
    pub(crate) timeout: Duration,
}

#[tonic::async_trait]
impl ReportingService for ReportingHandler {
    async fn get_event_statistics(
        &self,
        request: Request<GetEventStatisticsRequest>,
    ) -> Result<Response<GetEventStatisticsResponse>, Status> {
        self.answer::<EventsQuery>(request, &()).await.map(Response::new)
    }

    async fn get_revenue(
        &self,
        request: Request<GetRevenueRequest>,
    ) -> Result<Response<GetRevenueResponse>, Status> {
        let response = self.answer::<RevenueQuery>(request, &self.rankings).await?;
        Ok(Response::new(GetRevenueResponse { currency: self.currency.clone(), ..response }))
    }

    async fn get_demographics(
        &self,
        request: Request<GetDemographicsRequest>,
    ) -> Result<Response<GetDemographicsResponse>, Status> {
        self.answer::<DemographicsQuery>(request, &self.attributes).await.map(Response::new)
    }

    async fn get_frames(
        &self,
        request: Request<GetFramesRequest>,
    ) -> Result<Response<GetFramesResponse>, Status> {
        self.answer::<FramesQuery>(request, &()).await.map(Response::new)
    }

    async fn get_erasures(
        &self,
        request: Request<GetErasuresRequest>,
    ) -> Result<Response<GetErasuresResponse>, Status> {
        self.answer::<ErasuresQuery>(request, &()).await.map(Response::new)
    }

    async fn find_event(
        &self,
        request: Request<FindEventRequest>,
    ) -> Result<Response<FindEventResponse>, Status> {
        self.answer::<FindEventQuery>(request, &()).await.map(Response::new)
    }
}

impl ReportingHandler {
    async fn answer<R: ReportQuery>(
        &self,
        request: Request<R::Request>,
        cache: &R::Cache,
    ) -> Result<R::Response, Status> {
        let budget = grpc_timeout::effective(request.metadata().as_ref(), self.timeout);
        let call = CallContext::from_metadata(request.metadata());
        let report = R::parse(request.into_inner())?;
        // The span has the level error, so that an entry of any level names the report.
        let span = error_span!("report", report_type = R::REPORT_TYPE.map(ReportType::name));
        let started = Instant::now();
        let answered = self.answer_in_time(report, cache, budget).instrument(span.clone()).await;
        if let Some(report_type) = R::REPORT_TYPE {
            self.metrics.observe(report_type, started.elapsed(), &call.trace);
        }
        answered.map_err(|error| {
            span.in_scope(|| log(&error));
            error.into()
        })
    }

    async fn answer_in_time<R: ReportQuery>(
        &self,
        report: R,
        cache: &R::Cache,
        budget: Duration,
    ) -> Result<R::Response, ReportError> {
        let answer = async {
            let snapshot = self.store.snapshot(budget).await?;
            let response = report.answer(&snapshot, cache).await?;
            snapshot.close();
            Ok(response)
        };
        tokio::time::timeout(budget, answer).await.unwrap_or(Err(ReportError::TimedOut(budget)))
    }
}

/// Logs a failure of the server. An invalid request is not logged: the caller receives its errors.
fn log(error: &ReportError) {
    match error {
        ReportError::InvalidRequest(_) => {}
        ReportError::Store(_) | ReportError::TooManyUsers | ReportError::TimedOut(_) => {
            warn!(%error, "report failed")
        }
    }
}
