//! The sections of the bench, one file each. Each can run alone.

mod arrays;
mod growth;
mod mean;
mod memory;
mod peak;
mod removal;
mod reports;
mod scale;
mod singles;
mod soak;
mod store;

use crate::effort::Effort;

/// A section of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Section {
    /// Arrays, from the post to the acknowledgement.
    Arrays,
    /// Single events over 64 connections.
    Singles,
    /// Storing, from frames to rows.
    Store,
    /// The highest throughput, from the post to the rows.
    Peak,
    /// The throughput with more collectors or more ingests.
    Scale,
    /// The reference publisher's mean for minutes, with readers of reports.
    Mean,
    /// The latency of reports.
    Reports,
    /// The latency of reports of 90 days with `--events` events.
    Quarter,
    /// Memory, the duration of the start and the size of the binary.
    Memory,
    /// What an event and an answer cost at each size, up to `--events`, on servers.
    Growth,
    /// The same with `weir up` on files.
    GrowthOnFiles,
    /// The removal of a segment of `--events` events, beside a store that goes on.
    Removal,
    /// The reference publisher's mean for an hour, with every report each 15 s.
    Soak,
}

impl Section {
    /// The sections that run where none is named: those of minutes.
    pub(crate) const BY_DEFAULT: [Self; 8] = [
        Self::Arrays,
        Self::Singles,
        Self::Store,
        Self::Peak,
        Self::Scale,
        Self::Mean,
        Self::Reports,
        Self::Memory,
    ];

    /// Measures the section and prints its report.
    ///
    /// # Errors
    /// A server does not start, or a request fails.
    pub(crate) async fn run(self, effort: Effort) -> anyhow::Result<()> {
        let report = match self {
            Self::Arrays => Box::pin(arrays::measure(effort)).await,
            Self::Singles => Box::pin(singles::measure(effort)).await,
            Self::Store => Box::pin(store::measure(effort)).await,
            Self::Peak => Box::pin(peak::measure(effort)).await,
            Self::Scale => Box::pin(scale::measure(effort)).await,
            Self::Mean => Box::pin(mean::measure(effort)).await,
            Self::Reports => Box::pin(reports::measure(effort)).await,
            Self::Quarter => Box::pin(reports::quarter(effort)).await,
            Self::Memory => Box::pin(memory::measure(effort)).await,
            Self::Growth => Box::pin(growth::on_servers(effort)).await,
            Self::GrowthOnFiles => Box::pin(growth::on_files(effort)).await,
            Self::Removal => Box::pin(removal::measure(effort)).await,
            Self::Soak => Box::pin(soak::measure(effort)).await,
        }?;
        report.print();
        Ok(())
    }
}
