//! The edge role: webhooks and reports over HTTP, in front of the gRPC services.
#![doc = include_str!("../README.md")]

mod args;
mod event_lookup;
mod health;
mod metrics;
mod middleware;
mod openapi;
mod problem;
mod reports;
mod server;
mod state;
mod status_to_problem;
mod trusted_proxies;
mod upstream;
mod webhooks;

pub mod answers;

#[cfg(test)]
mod tests;

pub use args::{EdgeArgs, EdgeConfig, TraceTrust, Upstreams};
pub use server::Edge;
