//! Runs roles in this process until a signal. A signal interrupts the start, and ends running roles in order.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use weir_journal::{Journal, JournalMetrics};
use weir_process::{Host, Signals, args::ProcessConfig};

use crate::{exit::CommandResult, storage::DataFolder};

/// By then the journal only has to send acknowledgements.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Lets `start` add roles, and runs them. `name` is the name of the process in logs.
///
/// # Errors
/// The roles can't be started, or the admin address is taken.
pub(crate) async fn host(
    name: &'static str,
    process: &ProcessConfig,
    start: impl AsyncFnOnce(&mut Host) -> anyhow::Result<()>,
) -> CommandResult {
    let mut signals = Signals::watch().context("signals can't be watched")?;
    let mut host = Host::begin(name, process).await?;
    tokio::select! {
        started = start(&mut host) => started?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    }
    Ok(host.run(signals).await)
}

/// Adds the journal as the last role: it shows the journal's metrics, closes the journal after the other
/// roles, and then unlocks the data folder.
pub(crate) fn keep_journal(host: &mut Host, journal: Journal, folder: Option<DataFolder>) {
    let metrics = JournalMetrics::register(host.registry());
    host.add("journal", |stop| async move {
        metrics.watch(journal.clone(), stop).await;
        journal.close(CLOSE_DEADLINE).await;
        drop(folder);
        Ok(())
    });
}
