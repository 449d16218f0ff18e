//! The limit on open connections.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::warn;

use crate::metrics::Connections;

/// The pause between two warnings while the limit is reached.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Permits for a bounded number of connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    max: usize,
    permits: Arc<Semaphore>,
    connections: Connections,
    warned_at: Mutex<Option<Instant>>,
}

/// A permit for one connection, given back on drop.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Counts one open connection until it is dropped, and holds its permit.
#[derive(Debug)]
pub(super) struct OpenConnection {
    connections: Connections,
    _permit: ConnectionPermit,
}

impl ConnectionLimit {
    pub(super) fn new(max: usize, connections: Connections) -> Self {
        Self { max, permits: Arc::new(Semaphore::new(max)), connections, warned_at: Mutex::default() }
    }

    /// Waits for a permit, and logs a warning if it has to wait.
    pub(super) async fn acquire(&self) -> ConnectionPermit {
        if self.permits.available_permits() == 0 {
            self.warn();
        }
        // The semaphore is never closed, so this never fails.
        ConnectionPermit { _permit: Arc::clone(&self.permits).acquire_owned().await.ok() }
    }

    /// Counts a connection as open.
    pub(super) fn open(&self, permit: ConnectionPermit) -> OpenConnection {
        self.connections.open.inc();
        OpenConnection { connections: self.connections.clone(), _permit: permit }
    }

    fn warn(&self) {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
            *warned_at = Some(Instant::now());
            warn!(
                limit = self.max,
                "the limit of connections is reached; new ones wait (EDGE_MAX_CONNECTIONS)"
            );
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.dec();
    }
}
