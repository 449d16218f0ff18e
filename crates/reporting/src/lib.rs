//! The reporting role: exact figures about stored events over gRPC.
#![doc = include_str!("../README.md")]

mod args;
mod decimal;
mod demographics;
mod erasures;
mod error;
mod events;
mod find_event;
mod frames;
mod metrics;
mod names;
mod plan;
mod report_query;
mod revenue;
mod rollups;
mod series;
mod server;
mod service;
mod store;
mod time_range;

pub use args::{ReportingArgs, ReportingConfig};
pub use server::{ExactLimits, Reporting};
