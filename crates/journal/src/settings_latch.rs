//! Watches of every role that uses the journal: its clock, its settings, and what it lost.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::{self, MissedTickBehavior};
use tracing::{Instrument as _, debug, warn};
use weir_event::Source;
use weir_process::{
    Latch, RoleReadiness, Stop,
    clock::{Comparison, RoleClock},
};

use super::{Journal, JournalError, JournalState};

/// Settings change when somebody changes them.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The journal's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clock {
    /// A server has its own, by which frames and letters age; this process's is so far `ahead` of it.
    Server { now: DateTime<Utc>, ahead: TimeDelta },
    /// The server does not tell its time.
    Unknown,
    /// On files there is this process's clock alone; why removal by age is held, where it is.
    Alone { held: Option<String> },
}

impl Clock {
    /// What is the time, as far as the journal can say.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Server { now, .. } => *now,
            Self::Unknown | Self::Alone { .. } => Utc::now(),
        }
    }
}

impl From<Clock> for Comparison {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Server { ahead, .. } => Self::Ahead(ahead),
            Clock::Unknown => Self::Unknown,
            Clock::Alone { held } => Self::Alone { held },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

/// `weir_frames_lost{source}`. Cheap to clone; every clone shows into the same series.
#[derive(Clone, Debug, Default)]
pub struct LostFrames {
    frames: Family<SourceLabels, Gauge>,
}

impl LostFrames {
    /// Registers the family; once in a process.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let lost = Self::default();
        registry.register(
            "weir_frames_lost",
            "Accepted frames that can't come any more: their stream was removed, or an older copy of it is back",
            lost.frames.clone(),
        );
        for source in Source::ALL {
            lost.frames.get_or_create(&SourceLabels { source: source.name() }).set(0);
        }
        lost
    }

    /// Shows what was lost of any journal; `latch` names it.
    pub fn show(&self, states: &[JournalState], latch: &Latch) {
        let mut told = Vec::new();
        for &source in Source::ALL {
            let lost: u64 = states.iter().map(|state| state.of(source).lost).sum();
            let labels = SourceLabels { source: source.name() };
            self.frames.get_or_create(&labels).set(i64::try_from(lost).unwrap_or(i64::MAX));
            if lost > 0 {
                told.push(format!("{lost} of {source}"));
            }
        }
        latch.set(if told.is_empty() { Ok(()) } else { Err(told_loss(&told.join(" and "))) });
    }
}

fn told_loss(lost: &str) -> String {
    format!(
        "accepted frames can't come any more: {lost}. Their stream was removed or purged, or an older copy of it is back; see \
         WeirFramesLost in docs/runbook.md, and when that is dealt with `weir journal forget-lost`"
    )
}

/// The dependency `journal_settings`, without which a role is ready all the same: it names every setting that the journal
/// has otherwise than this process was told.
#[derive(Debug)]
pub struct SettingsLatch(Latch);

impl SettingsLatch {
    #[must_use]
    pub fn new(readiness: &RoleReadiness) -> Self {
        let latch = readiness.dependency("journal_settings", false);
        latch.set(Ok(()));
        Self(latch)
    }

    /// Looks until `stop`.
    pub fn watch(self, journal: Journal, stop: Stop) {
        tokio::spawn(self.look(journal, stop).in_current_span());
    }

    async fn look(self, journal: Journal, stop: Stop) {
        let mut told = String::new();
        let mut tick = time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match stop.run_until_cancelled(journal.differences()).await {
                Some(Ok(differences)) => {
                    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
                    let text = texts.join("; ");
                    if !text.is_empty() && told != text {
                        warn!(
                            differences = text,
                            "settings of the journal are left as they are: nothing shrinks by itself, and ingest alone changes \
                             them (weir journal status, weir journal apply)"
                        );
                    }
                    self.0.set(if text.is_empty() { Ok(()) } else { Err(text.clone()) });
                    told = text;
                }
                // A stream or consumer was put in the place of Weir's while this role uses it.
                Some(Err(JournalError::Unusable(reason))) => self.0.set(Err(reason)),
                Some(Err(error)) => debug!(%error, "the journal's settings can't be seen"),
                None => {}
            }
        }
    }
}

impl Journal {
    /// Compares the role's clock with the journal's until `stop`.
    pub fn watch_clock(&self, clock: &RoleClock, stop: &Stop) {
        let journal = self.clone();
        clock.watch("journal", stop.clone(), move || {
            let journal = journal.clone();
            async move { journal.clock().await.map(Into::into).map_err(|error| error.to_string()) }
        });
    }
}
