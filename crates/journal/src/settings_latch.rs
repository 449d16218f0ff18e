//! The readiness dependency `journal_settings`: settings of the journal that differ from this process's.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};
use tracing::{Instrument as _, debug, warn};
use weir_process::{Latch, RoleReadiness, Stop};

use crate::{error::JournalError, journal::Journal};

/// Settings change only when an operator changes them.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The dependency `journal_settings`. It names every setting that differs between the journal and this process. A role is
/// ready without it.
#[derive(Debug)]
pub struct SettingsLatch(Latch);

impl SettingsLatch {
    /// Registers the dependency with a role.
    #[must_use]
    pub fn new(readiness: &RoleReadiness) -> Self {
        let latch = readiness.dependency("journal_settings", false);
        latch.set(Ok(()));
        Self(latch)
    }

    /// Starts a task that compares the settings every 10 s until `stop`.
    pub fn watch(self, journal: Journal, stop: Stop) {
        tokio::spawn(self.run(journal, stop).in_current_span());
    }

    async fn run(self, journal: Journal, stop: Stop) {
        let mut logged = String::new();
        let mut tick = time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match stop.run_until_cancelled(journal.differing_settings()).await {
                Some(Ok(differing)) => {
                    let texts: Vec<String> = differing.iter().map(ToString::to_string).collect();
                    let text = texts.join("; ");
                    if !text.is_empty() && logged != text {
                        warn!(
                            differences = text,
                            "settings of the journal are left as they are: nothing shrinks by itself, and ingest alone changes \
                             them (weir journal status, weir journal apply)"
                        );
                    }
                    self.0.set(if text.is_empty() { Ok(()) } else { Err(text.clone()) });
                    logged = text;
                }
                // Another application's stream or consumer took the place of Weir's while this role uses it.
                Some(Err(JournalError::Unusable(reason))) => self.0.set(Err(reason)),
                Some(Err(error)) => debug!(%error, "the journal's settings can't be read"),
                None => {}
            }
        }
    }
}
