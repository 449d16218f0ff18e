//! The reporting service, as a client sees it.

use std::time::Duration;

use anyhow::Context as _;
use tonic::{Request, Response, Status, transport::Channel};
use weir::contract::reporting::v1::{
    GetDemographicsRequest, GetDemographicsResponse, GetEventStatisticsRequest, GetEventStatisticsResponse,
    GetRevenueRequest, GetRevenueResponse, reporting_service_client::ReportingServiceClient,
};

use crate::{client::Servers, wait::patiently};

/// A report over years of events takes seconds; one that takes a minute is not worth the wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks the reporting service.
pub(crate) struct Client {
    service: ReportingServiceClient<Channel>,
    servers: Servers,
}

impl Client {
    /// # Errors
    /// No reporting can be used; the cause is named.
    pub(crate) async fn connect(servers: Servers) -> anyhow::Result<Self> {
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

/// The answer, or what reporting says against it; says every 5 s that it is waited for.
async fn answered<Message>(
    servers: &Servers,
    call: impl Future<Output = Result<Response<Message>, Status>>,
) -> anyhow::Result<Message> {
    let answer = tokio::time::timeout(TIMEOUT, patiently("reporting", call)).await;
    servers.answered(
        answer.context("reporting gave no answer in 60 s (REPORTING_URL): ask for a shorter range")?,
    )
}
