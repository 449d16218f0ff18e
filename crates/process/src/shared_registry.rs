//! The metrics registry of the whole process, shared with roles that serve metrics themselves.

use std::sync::{Arc, OnceLock};

use prometheus_client::registry::Registry;

/// The registry, available once the process runs. Cheap to clone; every clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct SharedRegistry(Arc<OnceLock<Arc<Registry>>>);

impl SharedRegistry {
    /// `None` as long as roles may still register metrics.
    #[must_use]
    pub fn get(&self) -> Option<&Registry> {
        self.0.get().map(Arc::as_ref)
    }

    /// Stores `registry`; later calls have no effect and return the first one.
    pub fn fill(&self, registry: Registry) -> Arc<Registry> {
        Arc::clone(self.0.get_or_init(|| Arc::new(registry)))
    }
}
