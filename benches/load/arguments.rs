//! What is measured, and how thoroughly.

use clap::{Parser, ValueEnum as _};

use crate::{alone::Step, effort::Effort, sections::Section};

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

impl Arguments {
    pub(crate) fn sections(&self) -> Vec<Section> {
        if self.sections.is_empty() { Section::value_variants().to_vec() } else { self.sections.clone() }
    }

    pub(crate) fn effort(&self) -> Effort {
        Effort::new(self.quick, self.events)
    }
}
