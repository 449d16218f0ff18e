//! Signals to commands that host no role: the first asks to finish, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use weir::process::Stop;

/// 128 + SIGINT: what a shell reports for a process that left at once.
const EXIT_INTERRUPTED: i32 = 130;

/// Cancelled by the first SIGINT or SIGTERM; the second ends the process.
pub(crate) fn stop_when_interrupted() -> Stop {
    let stop = Stop::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        next().await;
        interrupted.cancel();
        next().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    stop
}

/// Returns at the next SIGINT or SIGTERM.
pub(crate) async fn next() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
}
