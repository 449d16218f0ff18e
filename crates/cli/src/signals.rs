//! Signals to commands that host no role: the first asks to finish, the second leaves at once.

use anyhow::Context as _;
use weir_process::{Signals, Stop};

/// 128 + SIGINT: what a shell reports for a process that left at once.
const EXIT_INTERRUPTED: i32 = 130;

/// Cancelled by the first SIGINT or SIGTERM; the second ends the process.
///
/// # Errors
/// The operating system does not let signals be watched.
pub(crate) fn stop_when_interrupted() -> anyhow::Result<Stop> {
    let mut signals = Signals::watch().context("signals can't be watched")?;
    let stop = Stop::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        interrupted.cancel();
        signals.next().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}
