//! The RPCs of `IngestService`: PublishEvents runs the gate, appends to the journal and responds; FindEvent looks one
//! event up.

use std::time::Instant;

use chrono::Utc;
use tonic::{Request, Response, Status};
use tracing::{debug, warn};
use weir::contract::ingest::v1::{
    FindEventRequest, FindEventResponse, PublishEventsRequest, PublishEventsResponse,
    ingest_service_server::IngestService,
};
use weir_event::{ErrorType, EventMetrics, Service};
use weir_journal::{AppendError, DeadLetterStream, Journal};
use weir_process::{CallContext, Reason, clock::RoleClock, refuse};

use crate::{
    admission::Deadline,
    batch::{self, Batch},
    find_event::find_event,
    metrics::PublishMetrics,
    request,
};

/// Handles the calls of `IngestService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct IngestHandler {
    pub(crate) journal: Journal,
    pub(crate) metrics: EventMetrics,
    pub(crate) publish_metrics: PublishMetrics,
    pub(crate) clock: RoleClock,
}

#[tonic::async_trait]
impl IngestService for IngestHandler {
    async fn publish_events(
        &self,
        request: Request<PublishEventsRequest>,
    ) -> Result<Response<PublishEventsResponse>, Status> {
        let call = CallContext::from_metadata(request.metadata());
        let trace = call.trace.clone();
        let deadline = request.extensions().get::<Deadline>().copied().unwrap_or_default();
        let request = request.into_inner();
        request::check(&request)?;
        let start = Instant::now();
        let clock_is_behind = self.clock.is_behind("journal");
        let batch = Batch::admit(
            request,
            call,
            Utc::now(),
            clock_is_behind,
            self.journal.frame_limit(),
            &self.journal.spans(),
        )?;
        let outcome = self.make_durable(&batch, deadline).await;
        self.publish_metrics.observe(batch.results.len(), &batch.frames, &outcome, start.elapsed(), &trace);
        match outcome {
            Ok(()) => {
                debug!(items = batch.results.len(), "items are durable");
                self.count(&batch);
                Ok(Response::new(PublishEventsResponse { results: batch.results }))
            }
            Err(error) => {
                warn!(items = batch.results.len(), %error, "items are not durable");
                batch.spans.record_failure(&error);
                self.count_failure(&batch, &error);
                Err(append_error(&error))
            }
        }
    }

    async fn find_event(
        &self,
        request: Request<FindEventRequest>,
    ) -> Result<Response<FindEventResponse>, Status> {
        let request = request.into_inner();
        let source = request::source(request.source)?;
        let found = find_event(&self.journal, source, &request.event_id).await;
        found.map(Response::new).map_err(|error| {
            warn!(%error, "event look-up failed");
            refuse(Reason::JournalUnavailable, "the journal can't be read", &[])
        })
    }
}

impl IngestHandler {
    /// Appends the frames to the journal and the bad items to the dead letters. Returns `Ok` only when both are durable
    /// (docs/reliability.md#i4-no-false-yes). It stops waiting at the deadline, because the caller no longer listens.
    async fn make_durable(&self, batch: &Batch, deadline: Deadline) -> Result<(), AppendError> {
        let frames = self.journal.append(&batch.frames);
        let letters = self.journal.append_dead_letters(DeadLetterStream::Rejected, &batch.letters);
        let both = async { tokio::try_join!(frames, letters).map(|((), ())| ()) };
        tokio::time::timeout(deadline.work_time(), Box::pin(both)).await.unwrap_or_else(|_| {
            Err(AppendError::Unreachable("no answer before the call's deadline".to_owned()))
        })
    }

    fn count(&self, batch: &Batch) {
        for (source, events) in batch.accepted() {
            self.metrics.accepted(Service::Ingest, source, events);
        }
        for letter in &batch.letters {
            let error_type =
                if batch::is_too_large(letter) { ErrorType::TooLarge } else { ErrorType::Invalid };
            self.metrics.failed(Service::Ingest, letter.source, error_type, 1);
        }
    }

    fn count_failure(&self, batch: &Batch, error: &AppendError) {
        let error_type = match error {
            AppendError::Full => ErrorType::JournalFull,
            AppendError::TooLarge { .. } => ErrorType::TooLarge,
            AppendError::Unreachable(_) => ErrorType::JournalUnavailable,
        };
        for (source, events) in batch.accepted() {
            self.metrics.failed(Service::Ingest, Some(source), error_type, events);
        }
    }
}

/// The status of an append that failed.
pub(crate) fn append_error(error: &AppendError) -> Status {
    let reason = match error {
        AppendError::Full => Reason::JournalFull,
        // The server has lowered its limit since the framing. A repeated call is framed anew, within the new limit.
        AppendError::TooLarge { .. } | AppendError::Unreachable(_) => Reason::JournalUnavailable,
    };
    refuse(reason, error.to_string(), &[])
}
