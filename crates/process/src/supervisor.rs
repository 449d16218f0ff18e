//! Notifications to a supervisor such as systemd over NOTIFY_SOCKET: ready, the reason of a wait, and the
//! end.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::debug;

use super::Readiness;

/// The interval at which the start and the reasons of a wait are checked.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// A status is one line for people, so a longer one is cut.
const MAX_STATUS_CHARACTERS: usize = 400;

/// Notifies the supervisor of the reasons why the process waits, and once of its readiness. Later changes of
/// readiness are for probes: to a supervisor a process that waits for its database is running.
pub(super) async fn notify_start(readiness: Readiness) {
    let mut sent = String::new();
    while !readiness.is_ready() {
        let status = format!("waiting: {}", reasons(&readiness));
        if status != sent {
            notify(&[NotifyState::Status(&status)]);
            sent = status;
        }
        sleep(POLL_EVERY).await;
    }
    notify(&[NotifyState::Ready, NotifyState::Status("ready")]);
}

/// Notifies the supervisor that the process begins to end.
pub(super) fn notify_end() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Does nothing without a supervisor.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the supervisor can't be notified");
    }
}

/// The required dependencies that are not ready, in one line.
fn reasons(readiness: &Readiness) -> String {
    let missing = readiness.dependencies().into_iter().filter(|(_, state)| state.required && !state.ready);
    let reasons = missing.map(|(name, state)| match state.reason {
        Some(reason) => format!("{name} ({})", reason.split_whitespace().collect::<Vec<_>>().join(" ")),
        None => name,
    });
    reasons.collect::<Vec<_>>().join(", ").chars().take(MAX_STATUS_CHARACTERS).collect()
}
