//! The parts of an OS process that every role needs: arguments, logs, readiness, servers, signals, the end.

#![doc = include_str!("../README.md")]

pub mod admin;
pub mod args;
mod budget;
pub mod clock;
mod correlation;
pub mod diagnosis;
mod error_info;
pub mod escape;
pub mod exit_code;
pub mod grpc;
pub mod grpc_timeout;
mod host;
pub mod http_client;
mod latency;
mod logging;
mod operator_auth;
mod process_metrics;
mod readiness;
pub mod redact;
pub mod retry;
mod shared_registry;
mod signals;
mod supervisor;
mod telemetry;
pub mod trace;
mod trace_context;

pub use budget::{Budget, Overloaded, Reservation};
pub use correlation::CorrelationId;
pub use error_info::{Reason, refuse};
pub use host::{END_DEADLINE, Host};
pub use latency::LatencyHistogram;
pub use logging::{LogContext, LogFormat, flush as flush_logs};
pub use operator_auth::OperatorAccess;
pub use readiness::{Dependency, Latch, Readiness, RoleReadiness};
pub use shared_registry::SharedRegistry;
pub use signals::{Signals, Stop};
pub use trace_context::{CallContext, TraceContext};
