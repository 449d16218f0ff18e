//! The rpcs: read the question, answer it in time, measure it, and tell a failure once.

use std::time::{Duration, Instant};

use tonic::{Request, Response, Status};
use tracing::{Instrument as _, error_span, warn};
use weir::contract::reporting::v1::{
    FindEventRequest, FindEventResponse, GetDemographicsRequest, GetDemographicsResponse, GetErasuresRequest,
    GetErasuresResponse, GetEventStatisticsRequest, GetEventStatisticsResponse, GetFramesRequest,
    GetFramesResponse, GetRevenueRequest, GetRevenueResponse, reporting_service_server::ReportingService,
};
use weir_process::{CallContext, deadline};

use crate::{
    demographics::DemographicsQuestion,
    erasures::ErasuresQuestion,
    error::ReportError,
    events::EventsQuestion,
    find_event::WhereaboutsQuestion,
    frames::FramesQuestion,
    metrics::{Metrics, ReportType},
    report::Question,
    revenue::RevenueQuestion,
    store::Store,
};

/// Answers the rpcs.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    /// ISO 4217.
    pub(crate) currency: String,
    /// What a report may take at most.
    pub(crate) timeout: Duration,
}

#[tonic::async_trait]
impl ReportingService for Service {
    async fn get_event_statistics(
        &self,
        request: Request<GetEventStatisticsRequest>,
    ) -> Result<Response<GetEventStatisticsResponse>, Status> {
        self.answer::<EventsQuestion>(request).await.map(Response::new)
    }

    async fn get_revenue(
        &self,
        request: Request<GetRevenueRequest>,
    ) -> Result<Response<GetRevenueResponse>, Status> {
        let answer = self.answer::<RevenueQuestion>(request).await?;
        Ok(Response::new(GetRevenueResponse { currency: self.currency.clone(), ..answer }))
    }

    async fn get_demographics(
        &self,
        request: Request<GetDemographicsRequest>,
    ) -> Result<Response<GetDemographicsResponse>, Status> {
        self.answer::<DemographicsQuestion>(request).await.map(Response::new)
    }

    async fn get_frames(
        &self,
        request: Request<GetFramesRequest>,
    ) -> Result<Response<GetFramesResponse>, Status> {
        self.answer::<FramesQuestion>(request).await.map(Response::new)
    }

    async fn get_erasures(
        &self,
        request: Request<GetErasuresRequest>,
    ) -> Result<Response<GetErasuresResponse>, Status> {
        self.answer::<ErasuresQuestion>(request).await.map(Response::new)
    }

    async fn find_event(
        &self,
        request: Request<FindEventRequest>,
    ) -> Result<Response<FindEventResponse>, Status> {
        self.answer::<WhereaboutsQuestion>(request).await.map(Response::new)
    }
}

impl Service {
    async fn answer<Q: Question>(&self, request: Request<Q::Request>) -> Result<Q::Answer, Status> {
        let budget = deadline::budget(request.metadata().as_ref(), self.timeout);
        let call = CallContext::from_metadata(request.metadata());
        let question = Q::read(request.into_inner())?;
        // An error's level, so that an entry of any level names the report.
        let span = error_span!("report", report_type = Q::REPORT_TYPE.map(ReportType::name));
        let asked = Instant::now();
        let answer = self.ask(question, budget).instrument(span.clone()).await;
        if let Some(report_type) = Q::REPORT_TYPE {
            self.metrics.observe(report_type, asked.elapsed(), &call.trace);
        }
        answer.map_err(|error| {
            span.in_scope(|| log(&error));
            error.into()
        })
    }

    async fn ask<Q: Question>(&self, question: Q, budget: Duration) -> Result<Q::Answer, ReportError> {
        let answer = async {
            let snapshot = self.store.snapshot(budget).await?;
            let answer = question.answer(&snapshot).await?;
            snapshot.close();
            Ok(answer)
        };
        tokio::time::timeout(budget, answer).await.unwrap_or(Err(ReportError::Late(budget)))
    }
}

/// A question that is wrong is the caller's affair; the caller is told.
fn log(error: &ReportError) {
    match error {
        ReportError::Question(_) => {}
        ReportError::Store(_) | ReportError::Late(_) => warn!(%error, "report failed"),
    }
}
