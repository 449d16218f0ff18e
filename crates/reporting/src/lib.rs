//! The reporting role: a gRPC service that answers three questions about stored events with exact figures, and
//! says of one event whether it is stored.
//!
//! A question is read from its request, answered by a few set-based queries in one snapshot of the store, and
//! written as the contract has it. How many and how much come from rollups (`rollups`), put together by a plan
//! (`plan`) with rows for ragged ends; who comes from sets of people in the same way (`demographics`), and from rows
//! where those are not complete; both are complete from a horizon on (`horizons`).

mod args;
mod decimal;
mod demographics;
mod erasures;
mod error;
mod events;
mod find_event;
mod frames;
mod horizons;
mod metrics;
mod names;
mod plan;
mod report;
mod revenue;
mod rollups;
mod rows;
mod series;
mod server;
mod service;
mod store;
mod time_range;

pub use args::{ReportingArgs, ReportingConfig};
pub use server::Reporting;
