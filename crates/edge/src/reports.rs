//! `GET /reports/*`: asks the reporting service and writes its answer as JSON.

pub(crate) mod demographics;
pub(crate) mod events;
mod query;
pub(crate) mod revenue;

use std::time::Duration;

use chrono::SecondsFormat;
use prost_types::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use utoipa::ToSchema;
use weir::contract::{
    MAX_ANSWER_BYTES, instant,
    reporting::v1::{self, reporting_service_client::ReportingServiceClient},
    timestamp,
};
use weir_event::{EventType, FunnelStage, Gender, Source, TiktokDevice};
use weir_process::{CallContext, Reason, grpc::TracedChannel};

use crate::{problem::Problem, refusal, upstream::Upstream};

type Client = ReportingServiceClient<TracedChannel>;

/// Asks the reporting service.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    pub(crate) reporting: Upstream,
    /// How long one question may take.
    pub(crate) timeout: Duration,
}

/// Half-open, in UTC; null is unbounded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DateRange {
    #[schema(example = "2025-09-14T00:00:00Z")]
    from: Option<String>,
    #[schema(example = "2025-09-15T00:00:00Z")]
    to: Option<String>,
}

impl Reports {
    /// Asks the reporting service.
    async fn ask<Q: Clone, A, F>(
        &self,
        question: Q,
        context: &CallContext,
        rpc: impl Fn(Client, Request<Q>) -> F,
    ) -> Result<A, Problem>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let rpc =
            |channel, request| rpc(Client::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES), request);
        let answered = self.reporting.ask(question, context, deadline, rpc).await;
        answered.map_err(|status| refusal::problem(&status, Reason::StoreUnavailable))
    }
}

impl From<v1::DateRange> for DateRange {
    fn from(range: v1::DateRange) -> Self {
        Self { from: range.from.map(rfc3339), to: range.to.map(rfc3339) }
    }
}

/// UTC, with as many digits of the second as it has.
pub(crate) fn rfc3339(timestamp: Timestamp) -> String {
    instant(timestamp).unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn source_name(number: i32) -> &'static str {
    Source::name_of(number)
}

fn stage_name(number: i32) -> &'static str {
    FunnelStage::name_of(number)
}

fn type_name(number: i32) -> &'static str {
    EventType::name_of(number)
}

fn gender_name(number: i32) -> &'static str {
    Gender::name_of(number)
}

fn device_name(number: i32) -> &'static str {
    TiktokDevice::name_of(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_written_in_utc() {
        let written = |seconds, nanos| rfc3339(Timestamp { seconds, nanos });
        assert_eq!(written(1_757_833_200, 0), "2025-09-14T07:00:00Z");
        assert_eq!(written(1_757_833_200, 5_000), "2025-09-14T07:00:00.000005Z");
    }
}
