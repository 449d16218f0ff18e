//! The ingest role: the gate as a gRPC service in front of the journal.
#![doc = include_str!("../README.md")]

mod admission;
mod args;
mod batch;
mod dead_letters;
mod durability;
mod erasures;
mod find_event;
mod metrics;
mod producer_spans;
mod publish;
mod request;
mod server;

pub use args::{IngestArgs, IngestConfig};
pub use server::{Ingest, IngestMetrics};
