//! How thoroughly the bench measures: runs, durations and numbers of events.

use std::time::Duration;

/// The events behind the reports, unless others are asked for.
const REPORTED_EVENTS: u64 = 10_000_000;
const REPORTED_EVENTS_QUICKLY: u64 = 1_000_000;

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    quick: bool,
    events: u64,
}

impl Effort {
    pub(crate) fn new(quick: bool, events: Option<u64>) -> Self {
        let by_default = if quick { REPORTED_EVENTS_QUICKLY } else { REPORTED_EVENTS };
        Self { quick, events: events.unwrap_or(by_default) }
    }

    /// Runs of which the median is told.
    pub(crate) fn runs(self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// Of one run at full speed: caches are warm after a tenth of it, and the machine's mood changes slower.
    pub(crate) fn run(self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 4 })
    }

    /// At a given rate: a thousand posts at a hundred a second, so that a hundredth of them is ten.
    pub(crate) fn steady(self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 10 })
    }

    /// At the reference publisher's mean.
    pub(crate) fn mean(self) -> Duration {
        Duration::from_secs(if self.quick { 30 } else { 300 })
    }

    /// From the first post to the last row.
    pub(crate) fn peak_events(self) -> u64 {
        if self.quick { 200_000 } else { 600_000 }
    }

    /// In frames of 512: what one writer stores within seconds.
    pub(crate) fn stored_events(self) -> u64 {
        if self.quick { 1 << 16 } else { 3 << 16 }
    }

    /// Behind the reports.
    pub(crate) fn reported_events(self) -> u64 {
        self.events
    }

    /// How often each question is asked.
    pub(crate) fn questions(self) -> usize {
        if self.quick { 5 } else { 15 }
    }
}
