//! The client of the reporting service.

use std::time::Duration;

use anyhow::Context as _;
use tonic::{Request, Response, Status, transport::Channel};
use weir::contract::reporting::v1::{
    GetDemographicsRequest, GetDemographicsResponse, GetEventStatisticsRequest, GetEventStatisticsResponse,
    GetRevenueRequest, GetRevenueResponse, reporting_service_client::ReportingServiceClient,
};

use crate::{client::GrpcServers, wait::with_wait_notice};

/// A report over years of events takes seconds. No report should take longer than a minute.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls the reporting service.
pub(crate) struct ReportClient {
    service: ReportingServiceClient<Channel>,
    servers: GrpcServers,
}

impl ReportClient {
    /// # Errors
    /// No reporting service is usable. The error names the cause.
    pub(crate) async fn connect(servers: GrpcServers) -> anyhow::Result<Self> {
        Ok(Self { service: ReportingServiceClient::new(servers.connect().await?), servers })
    }

    pub(crate) async fn events(
        &mut self,
        request: GetEventStatisticsRequest,
    ) -> anyhow::Result<GetEventStatisticsResponse> {
        answered(&self.servers, self.service.get_event_statistics(with_deadline(request))).await
    }

    pub(crate) async fn revenue(&mut self, request: GetRevenueRequest) -> anyhow::Result<GetRevenueResponse> {
        answered(&self.servers, self.service.get_revenue(with_deadline(request))).await
    }

    pub(crate) async fn demographics(
        &mut self,
        request: GetDemographicsRequest,
    ) -> anyhow::Result<GetDemographicsResponse> {
        answered(&self.servers, self.service.get_demographics(with_deadline(request))).await
    }
}

fn with_deadline<Message>(message: Message) -> Request<Message> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

/// Returns the answer, or the explanation of the status. Standard error reports a wait every 5 s.
async fn answered<Message>(
    servers: &GrpcServers,
    call: impl Future<Output = Result<Response<Message>, Status>>,
) -> anyhow::Result<Message> {
    let answer = tokio::time::timeout(TIMEOUT, with_wait_notice("reporting", call)).await;
    servers.answered(
        answer.context("reporting gave no answer in 60 s (REPORTING_URL): ask for a shorter range")?,
    )
}
