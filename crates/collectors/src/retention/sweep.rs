//! One sweep: everything that is old enough, batch after batch, until nothing of it is left.

use std::fmt;

use tokio::time::sleep;
use tracing::debug;
use weir_process::Stop;

use super::{
    cutoffs::Cutoffs,
    database::{Database, Kind},
    pace::Pace,
};
use crate::metrics::{RemovalMetrics, RemovedCounter};

/// How many of each a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) rows: u64,
    pub(super) keys: u64,
    pub(super) frames: u64,
    pub(super) erasures: u64,
}

/// A sweep under way. What it has removed stays removed, however it ends.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    pub(super) database: &'a mut Database,
    pub(super) metrics: &'a RemovalMetrics,
    pub(super) stop: &'a Stop,
}

impl Sweep<'_> {
    /// Removes what is older than `cutoffs`; ends after a batch where `stop` comes.
    pub(super) async fn run(mut self, cutoffs: Cutoffs) -> Result<Swept, sqlx::Error> {
        let metrics = self.metrics;
        Ok(Swept {
            rows: self.batches(Kind::Rows, cutoffs.rows, &metrics.rows).await?,
            keys: self.batches(Kind::Keys, cutoffs.keys, &metrics.keys).await?,
            frames: self.batches(Kind::Frames, cutoffs.frames, &metrics.frames).await?,
            erasures: match cutoffs.erasures {
                Some(before) => self.database.prune_erasures(before).await?,
                None => 0,
            },
        })
    }

    async fn batches(
        &mut self,
        kind: Kind,
        before: Option<i64>,
        counter: &RemovedCounter,
    ) -> Result<u64, sqlx::Error> {
        let Some(before) = before else { return Ok(0) };
        let (mut all, mut from, mut pace) = (0, i64::MIN, Pace::default());
        while !self.stop.is_cancelled() {
            let most = pace.size();
            let batch = self.database.remove(kind, from..before, most).await?;
            batch.removed.iter().for_each(|removed| counter.count(removed.source, removed.number));
            let number: u64 = batch.removed.iter().map(|removed| removed.number).sum();
            all += number;
            debug!(%kind, number, held = ?batch.held, "removed a batch");
            if number < u64::from(most) {
                break;
            }
            // The next batch need not look at what this one left for the vacuum.
            from = batch.removed.iter().map(|removed| removed.reached).max().unwrap_or(from);
            self.stop.run_until_cancelled(sleep(pace.after(batch.held))).await;
        }
        Ok(all)
    }
}

impl Swept {
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rows => "rows",
            Self::Keys => "keys",
            Self::Frames => "frames",
        })
    }
}
