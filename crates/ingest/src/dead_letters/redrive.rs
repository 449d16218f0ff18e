//! Redriving: letters that pass the gate become a new frame, and are removed when the journal has acknowledged it.

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
use weir_event::Service;
use weir_journal::{DeadLetterStream, FrameLimit, Framer, SealedFrame};

use super::{
    fault::{Faults, unreadable},
    id::LetterId,
    mend::{Mended, mend},
    selection::{Asked, Step},
    stream::Answers,
};
use crate::publish::{self, Publisher};

/// Letters a second: as a default it leaves collectors room for what comes in meanwhile.
const DEFAULT_RATE: u32 = 1_000;
const MAX_RATE: u32 = 10_000;

/// A checked request.
#[derive(Debug)]
pub(super) struct Redrive {
    asked: Asked,
    dry_run: bool,
    patch: Option<Patch>,
    rate: u32,
}

impl Redrive {
    pub(super) fn read(request: RedriveDeadLettersRequest) -> Result<Self, Status> {
        let mut faults = Faults::default();
        let asked = Asked::read(&request.ids, request.filter, &request.cursor, &mut faults);
        let patch = match serde_json::from_str(&request.json_patch) {
            _ if request.json_patch.is_empty() => None,
            Ok(patch) => Some(patch),
            Err(error) => faults.add("json_patch", format!("is no RFC 6902 patch: {error}")),
        };
        let rate = match request.max_per_second {
            0 => DEFAULT_RATE,
            rate => rate,
        };
        if rate > MAX_RATE {
            faults.add::<()>("max_per_second", format!("must be at most {MAX_RATE}"));
        }
        faults.into_result()?;
        Ok(Self { asked, dry_run: request.dry_run, patch, rate })
    }

    /// Sees to every letter, at most `rate` a second. Ends early where nobody listens any more.
    pub(super) async fn run(
        self,
        publisher: &Publisher,
        answers: &Answers<RedriveDeadLettersResponse>,
    ) -> Result<(), Status> {
        let Self { asked, dry_run, patch, rate } = self;
        let mut selection = asked.begin(publisher.journal.clone()).await?;
        let mut totals = RedriveTotals::default();
        let mut cursor = String::new();
        let mut next_at = Instant::now();
        while let Some(step) = selection.next().await.map_err(unreadable)? {
            answers.until_stop(sleep_until(next_at)).await?;
            let seen = u32::try_from(step.letters.len()).unwrap_or(rate);
            let pause = if dry_run { Duration::ZERO } else { Duration::from_secs(1) * seen / rate };
            next_at = Instant::now() + pause;
            cursor.clone_from(&step.cursor);
            let judged = Judged::new(step, patch.as_ref(), publisher.journal.frame_limit(), &mut totals);
            let mut frame_ids = Vec::new();
            if !dry_run {
                frame_ids = judged.append(publisher).await?;
            }
            let results = judged.results;
            let answer = RedriveDeadLettersResponse {
                results,
                frame_ids,
                totals: Some(totals),
                cursor: cursor.clone(),
                finished: false,
            };
            answers.send(answer).await?;
        }
        let RedriveTotals { appended, still_bad, not_redrivable, gone } = totals;
        info!(appended, still_bad, not_redrivable, gone, dry_run, "dead letters redriven");
        let last =
            RedriveDeadLettersResponse { totals: Some(totals), cursor, finished: true, ..Default::default() };
        answers.send(last).await
    }
}

/// The letters of a step after the gate.
struct Judged {
    results: Vec<RedriveResult>,
    frames: Vec<SealedFrame>,
    /// The letters of those frames.
    good: Vec<LetterId>,
}

impl Judged {
    fn new(step: Step, patch: Option<&Patch>, limit: FrameLimit, totals: &mut RedriveTotals) -> Self {
        let mut framer = Framer::default().with_limit(limit);
        let (mut results, mut good, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for id in step.gone {
            totals.gone += 1;
            results.push(result(id, RedriveOutcome::Gone));
        }
        for (id, stored) in step.letters {
            results.push(match mend(&stored, patch) {
                Mended::Good(event) => {
                    totals.appended += 1;
                    framer.push(*event, &stored.letter.origin, 0);
                    good.push(id);
                    result(id, RedriveOutcome::Appended)
                }
                Mended::Frame(frame) => {
                    totals.appended += 1;
                    frames.push(*frame);
                    good.push(id);
                    result(id, RedriveOutcome::Appended)
                }
                Mended::StillBad(violations) => {
                    totals.still_bad += 1;
                    let violations = violations.into_iter().map(Violation::from).collect();
                    RedriveResult { violations, ..result(id, RedriveOutcome::StillBad) }
                }
                Mended::NotRedrivable(reason) => {
                    totals.not_redrivable += 1;
                    RedriveResult { reason: reason.into(), ..result(id, RedriveOutcome::NotRedrivable) }
                }
            });
        }
        frames.extend(framer.finish());
        Self { results, frames, good }
    }

    /// Appended first, removed second: what happens between leaves a letter whose event is a duplicate.
    async fn append(&self, publisher: &Publisher) -> Result<Vec<String>, Status> {
        let appended = publisher.journal.append(&self.frames).await;
        appended.map_err(|error| {
            warn!(%error, "dead letters are not redriven");
            publish::refusal(&error)
        })?;
        for frame in &self.frames {
            publisher.metrics.accepted(Service::Ingest, frame.source(), frame.accepted());
        }
        for graveyard in DeadLetterStream::ALL {
            let of_graveyard = self.good.iter().filter(|id| id.graveyard == graveyard);
            let sequences: Vec<u64> = of_graveyard.map(|id| id.sequence).collect();
            let removed = publisher.journal.remove_dead_letters(graveyard, &sequences).await;
            removed.map_err(unreadable)?;
        }
        Ok(self.frames.iter().map(|frame| frame.id().to_owned()).collect())
    }
}

fn result(id: LetterId, outcome: RedriveOutcome) -> RedriveResult {
    RedriveResult { id: id.to_string(), outcome: outcome.into(), ..RedriveResult::default() }
}
