//! The reporting service, as a client sees it.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, anyhow};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use url::Url;
use weir::{
    contract::reporting::v1::{
        GetDemographicsRequest, GetDemographicsResponse, GetEventStatisticsRequest,
        GetEventStatisticsResponse, GetRevenueRequest, GetRevenueResponse,
        reporting_service_client::ReportingServiceClient,
    },
    process::{Reason, grpc},
};

/// A report over years of events takes seconds; one that takes a minute is not worth the wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks the reporting service; connects when it is first asked.
pub(crate) struct Client {
    service: ReportingServiceClient<Channel>,
}

impl Client {
    /// # Errors
    /// An address is no http:// URL.
    pub(crate) fn new(addresses: &[Url]) -> anyhow::Result<Self> {
        Ok(Self { service: ReportingServiceClient::new(grpc::channel(addresses)?) })
    }

    pub(crate) async fn events(
        &mut self,
        request: GetEventStatisticsRequest,
    ) -> anyhow::Result<GetEventStatisticsResponse> {
        answer(self.service.get_event_statistics(with_deadline(request))).await
    }

    pub(crate) async fn revenue(&mut self, request: GetRevenueRequest) -> anyhow::Result<GetRevenueResponse> {
        answer(self.service.get_revenue(with_deadline(request))).await
    }

    pub(crate) async fn demographics(
        &mut self,
        request: GetDemographicsRequest,
    ) -> anyhow::Result<GetDemographicsResponse> {
        answer(self.service.get_demographics(with_deadline(request))).await
    }
}

fn with_deadline<Message>(message: Message) -> Request<Message> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

async fn answer<Message>(
    call: impl Future<Output = Result<Response<Message>, Status>>,
) -> anyhow::Result<Message> {
    let answered = tokio::time::timeout(TIMEOUT, call).await.context("reporting did not answer in time")?;
    answered.map(Response::into_inner).map_err(|status| explained(&status))
}

/// What reporting says, and each field that it finds at fault.
fn explained(status: &Status) -> anyhow::Error {
    if status.code() == Code::Unavailable && Reason::of(status).is_none() {
        return anyhow!("reporting can't be reached (REPORTING_URL): {}", status.message());
    }
    let fields = status.get_details_bad_request().map_or_else(Vec::new, |details| details.field_violations);
    let fields: String =
        fields.iter().map(|field| format!("\n  - {}: {}", field.field, field.description)).collect();
    anyhow!("reporting refused: {}{fields}", status.message())
}
