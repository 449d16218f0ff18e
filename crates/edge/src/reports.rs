//! `GET /reports/*`: asks the reporting service and writes its answer as JSON.

pub(crate) mod demographics;
pub(crate) mod events;
mod query;
pub(crate) mod revenue;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use utoipa::ToSchema;
use weir::contract::reporting::v1::{self, reporting_service_client::ReportingServiceClient};
use weir_event::{EventType, FunnelStage, Gender, Source, TiktokDevice};
use weir_process::{CallContext, Reason, grpc::TracedChannel};

use crate::{problem::Problem, status_to_problem, upstream::Upstream};

type Client = ReportingServiceClient<TracedChannel>;

/// A report of cities is as long as its sender's words: 1,000 rows of 256 characters stay below.
const MAX_ANSWER_BYTES: usize = 16 << 20;

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
        answered.map_err(|status| status_to_problem::problem(&status, Reason::StoreUnavailable))
    }
}

impl From<v1::DateRange> for DateRange {
    fn from(range: v1::DateRange) -> Self {
        Self { from: range.from.map(rfc3339), to: range.to.map(rfc3339) }
    }
}

/// UTC, with as many digits of the second as it has.
pub(crate) fn rfc3339(timestamp: Timestamp) -> String {
    let nanos = u32::try_from(timestamp.nanos).unwrap_or_default();
    let instant = DateTime::from_timestamp(timestamp.seconds, nanos).unwrap_or_default();
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn timestamp(instant: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: instant.timestamp(), nanos }
}

/// What a newer reporting service names and this edge does not know.
const UNKNOWN: &str = "unknown";

fn source_name(number: i32) -> &'static str {
    Source::from_number(number).map_or(UNKNOWN, Source::name)
}

fn stage_name(number: i32) -> &'static str {
    FunnelStage::from_number(number).map_or(UNKNOWN, FunnelStage::name)
}

fn type_name(number: i32) -> &'static str {
    EventType::from_number(number).map_or(UNKNOWN, EventType::name)
}

fn gender_name(number: i32) -> &'static str {
    Gender::from_number(number).map_or(UNKNOWN, Gender::name)
}

fn device_name(number: i32) -> &'static str {
    TiktokDevice::from_number(number).map_or(UNKNOWN, TiktokDevice::name)
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
