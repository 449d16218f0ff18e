//! What a supervisor such as systemd is told over NOTIFY_SOCKET: ready, why not yet, and that the end has begun.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::debug;

use super::Readiness;

/// A start is seen within this, and so is another reason to wait.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A status is one line that people read: what is longer is cut.
const LONGEST_STATUS: usize = 400;

/// Tells that the process is ready once it is for the first time, and until then what it waits for. What becomes of
/// readiness later is for probes: to a supervisor a process that waits for its database is a running one.
pub(super) async fn tell_of_start(readiness: Readiness) {
    let mut told = String::new();
    while !readiness.is_ready() {
        let status = format!("waiting: {}", reasons(&readiness));
        if status != told {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
        sleep(LOOK_EVERY).await;
    }
    tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
}

/// Tells that the process has begun to end.
pub(super) fn tell_of_end() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Without a supervisor this does nothing.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the supervisor can't be told");
    }
}

/// What is required and not ready, in one line.
fn reasons(readiness: &Readiness) -> String {
    let missing = readiness.dependencies().into_iter().filter(|(_, state)| state.required && !state.ready);
    let reasons = missing.map(|(name, state)| match state.reason {
        Some(reason) => format!("{name} ({})", reason.split_whitespace().collect::<Vec<_>>().join(" ")),
        None => name,
    });
    reasons.collect::<Vec<_>>().join(", ").chars().take(LONGEST_STATUS).collect()
}
