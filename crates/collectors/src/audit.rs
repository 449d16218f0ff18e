//! The audit: is everything that the journal holds as acknowledged settled in the store? Both tell it from what is
//! durable, so that no restart and no kill moves the answer; every collector asks, and one of them at a time writes
//! down how far it has got.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};
use tracing::{debug, error};
use weir_journal::{AckFloor, Journal};
use weir_process::Stop;

use crate::{
    metrics::AuditMetrics,
    store::{AuditedPart, Store},
};

/// A question to the journal's server and two to the database.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Frames that are gone through at once; of each that is missing the journal is asked.
const STEP: u64 = 1_000;

/// Compares the journal with the store.
#[derive(Debug)]
pub(crate) struct Auditor {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) metrics: AuditMetrics,
}

impl Auditor {
    /// Works until `stop`; an outage is waited out, and readiness tells of it.
    pub(crate) async fn run(self, stop: Stop) {
        let mut tick = time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match stop.run_until_cancelled(Box::pin(self.look(before))).await {
                Some(Ok(seen)) => before = Some(seen),
                Some(Err(error)) => {
                    self.metrics.failed();
                    debug!(error = format!("{error:#}"), "the audit waits");
                }
                None => {}
            }
        }
    }

    /// Goes through what two looks in a row have seen acknowledged: one may have seen too much.
    async fn look(&self, before: Option<AckFloor>) -> anyhow::Result<AckFloor> {
        let seen = self.journal.ack_floor().await?;
        let mut from = self.store.audited_through(seen).await?;
        let before = before.filter(|before| before.journal == seen.journal);
        let sure = before.map_or(from, |before| before.through.min(seen.through)).max(from);
        while let Some(part) = self.go_through(seen.journal, from, sure).await? {
            if !self.store.close_audit(&part).await? {
                break;
            }
            tell_missing(&part);
            from = part.through;
            // Where much is missing the journal has enough to do: the rest can wait for the next look.
            if from == sure || !part.missing.is_empty() {
                break;
            }
        }
        self.metrics.show(self.store.unaccounted().await?);
        Ok(seen)
    }

    /// The next part; none where another collector has got further meanwhile.
    async fn go_through(&self, journal: i64, from: u64, sure: u64) -> anyhow::Result<Option<AuditedPart>> {
        let through = sure.min(from.saturating_add(STEP));
        let settled = self.store.settled(journal, from + 1..=through).await?;
        let unsettled: Vec<u64> =
            (from + 1..=through).filter(|sequence| !settled.contains(sequence)).collect();
        let as_before = AckFloor { journal, through: from };
        if !unsettled.is_empty() && self.store.audited_through(as_before).await? != from {
            return Ok(None);
        }
        let missing = self.missing(&unsettled).await?;
        Ok(Some(AuditedPart { journal, from, through, missing }))
    }

    /// Of frames that are not recorded as settled, those that are missing: not those that were never there or have
    /// gone by their age, and not those whose accounts a build left that records no positions.
    async fn missing(&self, unsettled: &[u64]) -> anyhow::Result<Vec<u64>> {
        if unsettled.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.journal.present_frames(unsettled).await?;
        let known = self.store.with_accounts(&held).await?;
        let missing = held.iter().filter(|frame| !known.contains(&frame.id));
        Ok(missing.map(|frame| frame.sequence).collect())
    }
}

/// Once, by whoever wrote it down.
fn tell_missing(part: &AuditedPart) {
    if let (Some(first), Some(last)) = (part.missing.first(), part.missing.last()) {
        let frames = part.missing.len();
        error!(
            frames,
            first, last, "the journal holds frames as acknowledged that the store knows nothing of"
        );
    }
}
