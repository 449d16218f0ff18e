//! Hosts roles in this process until a signal: the start may be interrupted, the end is in order.

use std::{process::ExitCode, time::Duration};

use tracing::info;
use weir::{
    journal::{Journal, JournalMetrics},
    process::{Host, args::ProcessConfig},
};

use crate::{failure::Outcome, place::DataFolder, signals};

/// The journal has nothing to do by then but to send verdicts that were given.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Lets `start` add roles, and hosts them. `name` is the process's in logs.
///
/// # Errors
/// The roles can't be started, or the admin address is taken.
pub(crate) async fn host(
    name: &'static str,
    process: &ProcessConfig,
    start: impl AsyncFnOnce(&mut Host) -> anyhow::Result<()>,
) -> Outcome {
    let mut host = Host::new(name, process);
    tokio::select! {
        started = start(&mut host) => started?,
        () = signals::next() => return Ok(ExitCode::SUCCESS),
    }
    let (address, hosted) = host.run(process.admin_listen).await?;
    info!(%address, "health and metrics are served");
    Ok(hosted.await)
}

/// Shows the journal's metrics, and closes it when the roles before it ended, and then lets go of the folder that it may be in.
pub(crate) fn keep_journal(host: &mut Host, journal: Journal, folder: Option<DataFolder>) {
    let metrics = JournalMetrics::register(host.registry());
    host.add("journal", |stop| async move {
        metrics.watch(journal.clone(), stop).await;
        journal.close(CLOSE_DEADLINE).await;
        drop(folder);
        Ok(())
    });
}
