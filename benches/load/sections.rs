//! What is measured, one file each; any of them runs alone.

mod arrays;
mod mean;
mod memory;
mod peak;
mod reports;
mod scale;
mod singles;
mod store;

use crate::effort::Effort;

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Section {
    /// Arrays to the acknowledgement.
    Arrays,
    /// One event a post over 64 connections.
    Singles,
    /// From frames to rows.
    Store,
    /// As fast as possible to the rows.
    Peak,
    /// More collectors, more ingests.
    Scale,
    /// The reference publisher's mean for minutes, with people asking.
    Mean,
    /// How long the reports take.
    Reports,
    /// Memory, the start and the binary.
    Memory,
}

impl Section {
    /// Measures and prints.
    ///
    /// # Errors
    /// It could not be measured.
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
