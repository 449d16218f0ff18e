//! The collectors: journal → rows. A batch of frames is stored in one transaction, committed, then acknowledged.
//!
//! Nothing is dropped here: what can't be stored now waits for as long as it takes, and the one event that can
//! never be stored is parked among the dead letters while its neighbours are stored. A person's erasure comes the
//! same way, in its place among the person's events.

mod args;
mod audit;
mod backoff;
mod failpoint;
mod journal_states;
mod metrics;
pub mod people;
pub mod reconcile;
mod retention;
mod server;
mod stalled_copy;
pub mod store;
mod worker;

pub use args::CollectorArgs;
pub use failpoint::{Failpoint, FailpointArgs};
pub use metrics::CollectorMetrics;
pub use retention::{Retention, SWEEP_LOCK};
pub use server::{Collector, Settings};
