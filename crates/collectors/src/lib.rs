//! The collectors: store the frames of the journal as rows, each event once.
#![doc = include_str!("../README.md")]

mod args;
mod audit;
mod failpoint;
mod job_transaction;
mod journal_states;
mod metrics;
mod outage;
pub mod people;
pub mod rankings;
pub mod reconcile;
mod retention;
mod segments;
mod server;
mod stalled_copy;
pub mod store;
mod worker;

pub use args::CollectorArgs;
pub use failpoint::{Failpoint, FailpointArgs};
pub use metrics::CollectorMetrics;
pub use retention::Retention;
pub use server::{Collector, CollectorSettings};
