//! The sections of the bench, one file each. Each can run alone.

mod arrays;
mod mean;
mod memory;
mod peak;
mod reports;
mod scale;
mod singles;
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
    /// Memory, the duration of the start and the size of the binary.
    Memory,
}

impl Section {
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
            Self::Memory => Box::pin(memory::measure(effort)).await,
        }?;
        report.print();
        Ok(())
    }
}
