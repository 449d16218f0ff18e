//! RedriveDeadLetters: letters that pass the gate become a new frame, and are removed once the journal has acknowledged
//! it.

use std::time::Duration;

use json_patch::Patch;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tracing::{info, warn};
use weir::contract::{
    event::v1::Violation,
    ingest::v1::{
        RedriveDeadLettersRequest, RedriveDeadLettersResponse, RedriveOutcome, RedriveResult, RedriveTotals,
    },
};
use weir_event::{EventMetrics, Service};
use weir_journal::{DeadLetterStream, FrameLimit, Framer, Journal, SealedFrame};

use super::{
    field_errors::{FieldErrors, journal_error},
    letter::LetterId,
    responses::ResponseSender,
    revalidate::{Revalidation, revalidate},
    selection::{SelectionPage, Selector},
};
use crate::publish::append_error;

/// Letters per second. The default leaves collectors capacity for new events.
const DEFAULT_RATE: u32 = 1_000;
/// The most letters per second that a request may choose.
const MAX_RATE: u32 = 10_000;

/// A checked request.
#[derive(Debug)]
pub(super) struct Redrive {
    selector: Selector,
    dry_run: bool,
    patch: Option<Patch>,
    rate: u32,
}

impl Redrive {
    /// Checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names every wrong field.
    pub(super) fn check(request: RedriveDeadLettersRequest) -> Result<Self, Status> {
        let mut errors = FieldErrors::default();
        let selector = Selector::check(&request.ids, request.filter, &request.cursor, &mut errors);
        let patch = match serde_json::from_str(&request.json_patch) {
            _ if request.json_patch.is_empty() => None,
            Ok(patch) => Some(patch),
            Err(error) => errors.add("json_patch", format!("is no RFC 6902 patch: {error}")),
        };
        let rate = match request.max_per_second {
            0 => DEFAULT_RATE,
            rate => rate,
        };
        if rate > MAX_RATE {
            errors.add::<()>("max_per_second", format!("must be at most {MAX_RATE}"));
        }
        errors.into_result()?;
        Ok(Self { selector, dry_run: request.dry_run, patch, rate })
    }

    /// Redrives every letter, at most `rate` per second. Ends early when the caller disconnects or ingest stops.
    pub(super) async fn run(
        self,
        journal: &Journal,
        metrics: &EventMetrics,
        responses: &ResponseSender<RedriveDeadLettersResponse>,
    ) -> Result<(), Status> {
        let Self { selector, dry_run, patch, rate } = self;
        let mut selection = selector.start(journal.clone()).await?;
        let mut totals = RedriveTotals::default();
        let mut cursor = String::new();
        let mut next_at = Instant::now();
        while let Some(page) = selection.next().await.map_err(journal_error)? {
            responses.until_stop(sleep_until(next_at)).await?;
            let letters = u32::try_from(page.letters.len()).unwrap_or(rate);
            let pause = if dry_run { Duration::ZERO } else { Duration::from_secs(1) * letters / rate };
            next_at = Instant::now() + pause;
            cursor.clone_from(&page.cursor);
            let revalidated = Revalidated::new(page, patch.as_ref(), journal.frame_limit(), &mut totals);
            let mut frame_ids = Vec::new();
            if !dry_run {
                frame_ids = revalidated.append(journal, metrics).await?;
            }
            let results = revalidated.results;
            let response = RedriveDeadLettersResponse {
                results,
                frame_ids,
                totals: Some(totals),
                cursor: cursor.clone(),
                finished: false,
            };
            responses.send(response).await?;
        }
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = totals;
        info!(appended, still_bad, not_redrivable, gone, dry_run, "dead letters redriven");
        let last =
            RedriveDeadLettersResponse { totals: Some(totals), cursor, finished: true, ..Default::default() };
        responses.send(last).await
    }
}

/// The letters of one page after their revalidation.
struct Revalidated {
    results: Vec<RedriveResult>,
    frames: Vec<SealedFrame>,
    /// The letters whose events are in those frames.
    redriven: Vec<LetterId>,
}

impl Revalidated {
    fn new(
        page: SelectionPage,
        patch: Option<&Patch>,
        limit: FrameLimit,
        totals: &mut RedriveTotals,
    ) -> Self {
        let mut framer = Framer::default().with_limit(limit);
        let (mut results, mut redriven, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for id in page.gone {
            totals.gone += 1;
            results.push(result(id, RedriveOutcome::Gone));
        }
        for (id, stored) in page.letters {
            results.push(match revalidate(&stored, patch) {
                Revalidation::Event(event) => {
                    totals.appended += 1;
                    framer.push(*event, &stored.letter.origin, 0);
                    redriven.push(id);
                    result(id, RedriveOutcome::Appended)
                }
                Revalidation::Frame(frame) => {
                    totals.appended += 1;
                    frames.push(*frame);
                    redriven.push(id);
                    result(id, RedriveOutcome::Appended)
                }
                Revalidation::StillBad(violations) => {
                    totals.still_bad += 1;
                    let violations = violations.into_iter().map(Violation::from).collect();
                    RedriveResult { violations, ..result(id, RedriveOutcome::StillBad) }
                }
                Revalidation::NotRedrivable(reason) => {
                    totals.not_redrivable += 1;
                    RedriveResult { reason: reason.into(), ..result(id, RedriveOutcome::NotRedrivable) }
                }
            });
        }
        frames.extend(framer.finish());
        Self { results, frames, redriven }
    }

    /// Appends the frames, then removes the letters, and returns the frames' ids. A failure in between leaves letters
    /// whose events are duplicates, which is harmless.
    async fn append(&self, journal: &Journal, metrics: &EventMetrics) -> Result<Vec<String>, Status> {
        let appended = journal.append(&self.frames).await;
        appended.map_err(|error| {
            warn!(%error, "redrive failed, the letters stay");
            append_error(&error)
        })?;
        for frame in &self.frames {
            metrics.accepted(Service::Ingest, frame.source(), frame.accepted());
        }
        for stream in DeadLetterStream::ALL {
            let of_stream = self.redriven.iter().filter(|id| id.stream == stream);
            let sequences: Vec<u64> = of_stream.map(|id| id.sequence).collect();
            let removed = journal.remove_dead_letters(stream, &sequences).await;
            removed.map_err(journal_error)?;
        }
        Ok(self.frames.iter().map(|frame| frame.id().to_owned()).collect())
    }
}

fn result(id: LetterId, outcome: RedriveOutcome) -> RedriveResult {
    RedriveResult { id: id.to_string(), outcome: outcome.into(), ..RedriveResult::default() }
}
