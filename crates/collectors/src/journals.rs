//! Copies what is noted of the journal into the store, which outlives it, and tells what can't come any more.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};
use tracing::debug;
use weir_journal::{Journal, LostFrameMetrics};
use weir_process::{Latch, Stop};

use crate::store::Store;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The copying.
#[derive(Debug)]
pub(crate) struct JournalNotes {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) lost: LostFrameMetrics,
    pub(crate) latch: Latch,
}

impl JournalNotes {
    /// Works until `stop`; an outage is waited out, and readiness tells of it.
    pub(crate) async fn run(self, stop: Stop) {
        self.latch.set(Ok(()));
        let mut tick = time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(Box::pin(self.look())).await {
                debug!(error = format!("{error:#}"), "what is noted of the journal can't be copied");
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let before = self.store.noted_journals().await?;
        let known = match &self.journal {
            // Another collector of the same store may use another server.
            Journal::JetStream(_) => before.without_others(self.journal.identity()),
            Journal::Embedded(_) => before.states.clone(),
        };
        let known = self.store.without_settled(known).await?;
        let states = self.journal.update_checkpoints(known).await?;
        self.store.note_journals(&before, &states).await?;
        // Also of journals that others use.
        let all = weir_journal::merge_checkpoints(before.states, states);
        self.lost.set(&all, &self.latch);
        Ok(())
    }
}
