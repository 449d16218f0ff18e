//! The reporting role: a gRPC service that answers three questions about stored events with exact figures, and
//! says of one event whether it is stored.
//!
//! A question is read from its request, answered by a few set-based queries in one snapshot of the store, and
//! written as the contract has it. Each report keeps its queries (`rows`) apart from its arithmetic, so that the
//! figures can come from somewhere cheaper without the answer changing.

mod args;
mod bounds;
mod decimal;
mod demographics;
mod erasures;
mod error;
mod events;
mod frames;
mod metrics;
mod names;
mod question;
mod revenue;
mod role;
mod rows;
mod series;
mod service;
mod store;
mod whereabouts;

pub use args::{ReportingArgs, ReportingConfig};
pub use role::Reporting;
