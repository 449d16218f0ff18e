//! The signals that ask a process to end, and the token that passes the request on to its roles.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit_code;

/// Cancelled when a role must finish its work in hand and return. Cheap to clone; every clone is the same token.
pub type Stop = tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT, watched from the creation of this value. A signal that arrives between two waits is
/// not lost.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to watch. From now on neither signal ends the process by itself.
    ///
    /// # Errors
    /// The operating system refuses to watch signals.
    pub fn watch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
    /// Ends the process at the next signal, without regard to its work.
    pub(super) async fn exit_at_next(mut self) {
        self.next().await;
        std::process::exit(exit_code::INTERRUPTED.into());
    }

    /// For a command that hosts no role: returns a token that the first signal cancels. A second signal ends
    /// the process at once.
    ///
    /// # Errors
    /// The operating system refuses to watch signals.
    pub fn stop_at_first() -> std::io::Result<Stop> {
        let mut signals = Self::watch()?;
        let stop = Stop::new();
        let cancelled = stop.clone();
        tokio::spawn(async move {
            signals.next().await;
            cancelled.cancel();
            signals.exit_at_next().await;
        });
        Ok(stop)
    }
}
