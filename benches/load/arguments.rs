//! The command line of the bench: the sections, and the effort of the measurement.

use clap::Parser;

use crate::{alone::Step, effort::Effort, sections::Section};

#[derive(Clone, Debug, Parser)]
#[command(name = "load", about = "Measures the whole system against each step alone")]
pub(crate) struct Arguments {
    /// One short run instead of several: for a first look, not for the documented figures.
    #[arg(long)]
    quick: bool,
    /// The number of events behind the reports and of a removed segment, and the last size of growth; by default 10
    /// million, with --quick 1 million.
    #[arg(long, value_name = "NUMBER")]
    events: Option<u64>,
    /// The minutes of soak; by default 60, with --quick 2.
    #[arg(long, value_name = "NUMBER")]
    minutes: Option<u64>,
    /// A further setting of PostgreSQL, such as wal_compression=lz4; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) postgres: Vec<String>,
    /// The sections to measure; by default all but quarter, growth, removal and soak.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Cargo passes this option to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs as the server of one step; the bench starts itself with this option.
    #[arg(long, hide = true)]
    pub(crate) serve: Option<Step>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) port: u16,
}

impl Arguments {
    pub(crate) fn sections(&self) -> Vec<Section> {
        if self.sections.is_empty() { Section::BY_DEFAULT.to_vec() } else { self.sections.clone() }
    }

    pub(crate) fn effort(&self) -> Effort {
        Effort::new(self.quick, self.events, self.minutes)
    }
}
