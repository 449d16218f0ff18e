//! The bound on connections.

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

/// While places are scarce it is said as often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Room for so many connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    free: Arc<Semaphore>,
    connections: Connections,
    /// When it was said last that none is left.
    said: Mutex<Option<Instant>>,
}

/// Room for one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A connection in its place.
#[derive(Debug)]
pub(super) struct Occupied {
    connections: Connections,
    _place: Place,
}

impl Places {
    pub(super) fn new(most: usize, connections: Connections) -> Self {
        Self { most, free: Arc::new(Semaphore::new(most)), connections, said: Mutex::default() }
    }

    /// Waits until there is one, and says that it waits.
    pub(super) async fn free(&self) -> Place {
        if self.free.available_permits() == 0 {
            self.say();
        }
        // Nobody closes the semaphore.
        Place { _permit: Arc::clone(&self.free).acquire_owned().await.ok() }
    }

    pub(super) fn occupy(&self, place: Place) -> Occupied {
        self.connections.open.inc();
        Occupied { connections: self.connections.clone(), _place: place }
    }

    fn say(&self) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            warn!(limit = self.most, "every place for a connection is taken and further ones wait");
        }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.connections.open.dec();
    }
}
