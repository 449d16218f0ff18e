//! The parts of an OS process that every role needs: arguments, logs, readiness, servers, signals, the end.

#![doc = include_str!("../README.md")]

pub mod admin;
pub mod args;
pub mod clock;
pub mod connections;
mod correlation;
pub mod diagnosis;
mod error_info;
pub mod escape;
pub mod exit_code;
pub mod grpc;
pub mod grpc_timeout;
mod host;
pub mod http_client;
pub mod http_guard;
mod latency;
mod logging;
mod operator_auth;
mod pace;
mod process_metrics;
mod readiness;
pub mod redact;
pub mod retry;
mod room;
pub mod share;
mod shared_registry;
mod signals;
mod supervisor;
mod telemetry;
pub mod trace;
mod trace_context;

pub use correlation::CorrelationId;
pub use error_info::{Reason, refuse};
pub use host::{END_DEADLINE, Host};
pub use latency::LatencyHistogram;
pub use logging::{LogContext, LogFormat, flush as flush_logs};
pub use operator_auth::OperatorAccess;
pub use pace::{BodyPace, SlowBody};
pub use readiness::{Dependency, Latch, Readiness, RoleReadiness};
pub use room::{Claim, Overloaded, Room};
pub use shared_registry::SharedRegistry;
pub use signals::{Signals, Stop};
pub use trace_context::{CallContext, TraceContext};
