//! Errors that a server reports against this client, and permissions that it refused.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A refusal that the server does not repeat counts this long. An operator may have granted the permission without ending
/// the connection.
const REFUSAL_AGE: Duration = Duration::from_secs(60);

/// The error that a server reported last against this client; `None` while there is none.
pub(super) type LastServerError = Option<String>;

/// The permission that a server refused last. A clone shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedPermission(Arc<Mutex<Option<(Instant, String)>>>);

impl RefusedPermission {
    /// The permission that was refused within the last minute, with the remedy. A server repeats a refusal with each
    /// request that needs the permission.
    pub(super) fn recent(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|(at, _)| at.elapsed() < REFUSAL_AGE).map(|(_, text)| text)
    }

    pub(super) fn set(&self, last: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last.map(|text| (Instant::now(), text));
    }
}
