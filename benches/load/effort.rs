//! The effort of a measurement: its runs, durations and numbers of events.

use std::time::Duration;

/// The default number of events behind the reports.
const REPORTED_EVENTS: u64 = 10_000_000;
const REPORTED_EVENTS_QUICKLY: u64 = 1_000_000;

/// The effort of every section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    quick: bool,
    events: u64,
    soak_minutes: u64,
}

impl Effort {
    pub(crate) fn new(quick: bool, events: Option<u64>, soak_minutes: Option<u64>) -> Self {
        let by_default = if quick { REPORTED_EVENTS_QUICKLY } else { REPORTED_EVENTS };
        let minutes = if quick { 2 } else { 60 };
        Self { quick, events: events.unwrap_or(by_default), soak_minutes: soak_minutes.unwrap_or(minutes) }
    }

    /// The number of runs, whose median is the figure.
    pub(crate) fn runs(self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// The duration of one run at full speed. Caches are warm after a tenth of it, and the speed of the machine changes
    /// more slowly.
    pub(crate) fn run(self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 4 })
    }

    /// The duration of a run at a given rate. A hundred posts a second make a thousand posts, so that one percent of
    /// them is ten.
    pub(crate) fn steady(self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 10 })
    }

    /// The duration of the load at the reference publisher's mean.
    pub(crate) fn mean(self) -> Duration {
        Duration::from_secs(if self.quick { 30 } else { 300 })
    }

    /// The duration of the soak.
    pub(crate) fn soak(self) -> Duration {
        Duration::from_secs(60 * self.soak_minutes)
    }

    /// The number of events of one run from the first post to the last row.
    pub(crate) fn peak_events(self) -> u64 {
        if self.quick { 200_000 } else { 600_000 }
    }

    /// The number of events, in frames of 512, that one writer stores within seconds.
    pub(crate) fn stored_events(self) -> u64 {
        if self.quick { 1 << 16 } else { 3 << 16 }
    }

    /// The number of events behind the reports.
    pub(crate) fn reported_events(self) -> u64 {
        self.events
    }

    /// The number of times that each report is requested.
    pub(crate) fn requests(self) -> usize {
        if self.quick { 5 } else { 15 }
    }
}
