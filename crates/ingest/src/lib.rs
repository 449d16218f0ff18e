//! Ingest: the gate as a gRPC service. It checks every item, frames what is good, lays down what is bad, and
//! answers when both are durable in the journal. Afterwards it tells what the journal knows of an event, and takes
//! orders over people's data: dead letters and erasures.

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
