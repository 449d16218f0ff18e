//! The edge role: webhooks and reports over HTTP, thinly over the gRPC services that do the work.
//!
//! It decodes what senders post with the gate of [`weir::event`], hands it to ingest in bounded chunks, and answers
//! when every item is durable. What people ask for it asks the reporting service and, after a single event,
//! ingest too, and writes as JSON.

mod args;
mod connections;
mod event_lookup;
mod health;
mod metrics;
mod middleware;
mod openapi;
mod problem;
mod reports;
mod router;
mod server;
mod status_to_problem;
mod upstream;
mod webhooks;

#[cfg(test)]
mod tests;

pub use args::{EdgeArgs, EdgeConfig, TraceTrust, Upstreams};
pub use server::Edge;
