//! Ingest: the gate as a gRPC service. It checks every item, frames what is good, lays down what is bad, and
//! answers when both are durable in the journal.

mod args;
mod batch;
mod dead_letters;
mod publish;
mod request;
mod server;

pub use args::{IngestArgs, IngestConfig};
pub use server::Ingest;
