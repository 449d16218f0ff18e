//! What is measured, and how thoroughly.

use std::time::Duration;

use clap::{Parser, ValueEnum as _};

use crate::{alone::Step, sections::Section};

/// The events behind the reports, unless others are asked for.
const REPORTED_EVENTS: u64 = 10_000_000;
const REPORTED_EVENTS_QUICKLY: u64 = 1_000_000;

#[derive(Clone, Debug, Parser)]
#[command(name = "load", about = "Measures the whole system against each step alone")]
pub(crate) struct Arguments {
    /// One short run where there would be several: for a first look, not for the book.
    #[arg(long)]
    quick: bool,
    /// How many events lie behind the reports; by default 10 million, quickly 1 million.
    #[arg(long, value_name = "NUMBER")]
    events: Option<u64>,
    /// What to measure; by default everything.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Cargo says it to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the server of a step alone: the bench starts itself so.
    #[arg(long, hide = true)]
    pub(crate) serve: Option<Step>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) port: u16,
}

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    quick: bool,
    events: u64,
}

impl Arguments {
    pub(crate) fn sections(&self) -> Vec<Section> {
        if self.sections.is_empty() { Section::value_variants().to_vec() } else { self.sections.clone() }
    }

    pub(crate) fn effort(&self) -> Effort {
        let events = if self.quick { REPORTED_EVENTS_QUICKLY } else { REPORTED_EVENTS };
        Effort { quick: self.quick, events: self.events.unwrap_or(events) }
    }
}

impl Effort {
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
