//! The owner's maintenance of the journal: repairs streams and consumers, records checkpoints, and purges acknowledged
//! frames.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    api::{ApiError, Context},
    checkpoint_bucket::CheckpointBucket,
    message_limits::MessageLimits,
    observation::observe,
    purge::{Purge, may_purge_soon},
    setting::Shrinking,
    streams,
};
use crate::{checkpoint::JournalCheckpoint, error::JournalError, settings::Settings};

/// Interval of rounds. A change is recorded within one second; a stream that vanished is created anew within five.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// Interval of checks beside `EVENTS`. A dead-letter stream or the bucket of checkpoints that vanished is created anew
/// after this time, or earlier when a letter can't be appended.
const OTHERS_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of purges by age. Ages are counted in days.
const AGE_INTERVAL: Duration = Duration::from_secs(60);

/// The handle of the maintenance task. The task ends when it is stopped or when the handle is dropped.
#[derive(Debug)]
pub(super) struct Maintenance {
    requested: Arc<Notify>,
    problem: watch::Receiver<Option<String>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// The state of the maintenance task.
#[derive(Debug)]
pub(super) struct MaintenanceTask {
    pub(super) context: Context,
    pub(super) settings: Settings,
    pub(super) checkpoints: Arc<CheckpointBucket>,
    pub(super) limits: Arc<MessageLimits>,
}

impl Maintenance {
    pub(super) fn start(task: MaintenanceTask) -> Self {
        let (requested, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (sender, problem) = watch::channel(None);
        tokio::spawn(stop.clone().run_until_cancelled_owned(task.run(Arc::clone(&requested), sender)));
        Self { requested, problem, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    /// Starts a round now instead of at the next tick.
    pub(super) fn request_round(&self) {
        self.requested.notify_one();
    }

    /// The reason that streams or consumers are not as they must be, as of the last round.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl MaintenanceTask {
    async fn run(self, requested: Arc<Notify>, problem_sender: watch::Sender<Option<String>>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut aged_at, mut others_at): (Option<Instant>, Option<Instant>) = (None, None);
        let mut aged = None;
        loop {
            let is_requested = tokio::select! {
                _ = ticks.tick() => false,
                () = requested.notified() => true,
            };
            let by_age = aged_at.is_none_or(|at| at.elapsed() >= AGE_INTERVAL);
            let others = is_requested || others_at.is_none_or(|at| at.elapsed() >= OTHERS_INTERVAL);
            let problem = match self.round(by_age, others, aged).await {
                Ok(through) => {
                    aged = through;
                    aged_at = if by_age { Some(Instant::now()) } else { aged_at };
                    others_at = if others { Some(Instant::now()) } else { others_at };
                    None
                }
                Err(RoundError::Wrong(reason)) => {
                    let is_new = problem_sender.borrow().is_none();
                    self.repair(&reason, is_new).await.err().map(JournalError::reason)
                }
                Err(RoundError::Api(error)) => {
                    tracing::debug!(%error, "a maintenance round of the journal failed");
                    continue;
                }
            };
            let is_new = |reason: &&String| problem_sender.borrow().as_ref() != Some(*reason);
            if let Some(reason) = problem.as_ref().filter(is_new) {
                tracing::error!(reason, "the journal's streams and consumers can't be made as they must be");
            }
            problem_sender.send_replace(problem);
        }
    }

    /// Creates removed streams and consumers anew, and changes settings back. The next checkpoint counts the frames of a
    /// removed stream as lost.
    async fn repair(&self, reason: &str, is_new: bool) -> Result<(), JournalError> {
        if is_new {
            tracing::error!(reason, "the journal's streams and consumers are not as they must be");
        }
        streams::set_up(&self.context, &self.settings, Shrinking::Refused).await?;
        tracing::warn!("the journal's streams and consumers are as they must be again");
        Ok(())
    }

    /// Runs one round. Returns the sequence up to which frames were old at the last purge by age: `aged`, or a new one.
    async fn round(&self, by_age: bool, others: bool, aged: Option<u64>) -> Result<Option<u64>, RoundError> {
        let names = &self.settings.names;
        let observation = observe(&self.context, names).await?;
        let info = &observation.stream.info;
        self.limits.set_events(info);
        if let Some(reason) = streams::find_wrong_events(info, &observation.consumers, &self.settings) {
            // A maximum age, for example, may have removed unacknowledged frames while it was set.
            self.checkpoints.suspect_removal();
            return Err(RoundError::Wrong(reason));
        }
        let may_purge = may_purge_soon(&observation, aged);
        let current = JournalCheckpoint { may_purge, ..observation.checkpoint.clone() };
        if let Err(error) = self.checkpoints.record(current).await {
            tracing::debug!(%error, "the journal's checkpoint can't be recorded");
        }
        let age = TimeDelta::from_std(self.settings.acknowledged_frame_age).unwrap_or(TimeDelta::MAX);
        let purge = Purge { context: &self.context, names, floors: observation.floors(), age };
        purge.by_size(&observation.stream).await?;
        let aged = if by_age { purge.by_age(&observation.stream).await? } else { aged };
        // The other streams come last, so that a problem there does not keep EVENTS from being recorded and purged.
        let wrong =
            if others { streams::find_wrong_others(&self.context, &self.settings).await? } else { None };
        wrong.map_or(Ok(aged), |reason| Err(RoundError::Wrong(reason)))
    }
}

/// The reason that a round did not finish.
enum RoundError {
    /// A stream or consumer is missing, or has other settings.
    Wrong(String),
    Api(ApiError),
}

impl From<ApiError> for RoundError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NotFound(error) => Self::Wrong(error.to_string()),
            error @ (ApiError::Refused(_)
            | ApiError::Denied(_)
            | ApiError::NoJetStream(_)
            | ApiError::Unreachable(_)) => Self::Api(error),
        }
    }
}
