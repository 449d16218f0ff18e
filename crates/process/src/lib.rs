//! The work of an OS process, whatever roles it hosts: arguments, logs, readiness, admin HTTP, the gRPC shell,
//! signals and an orderly end. It knows no event.

pub mod admin;
pub mod args;
mod budget;
pub mod clock;
mod correlation;
pub mod deadline;
mod durations;
pub mod grpc;
mod host;
pub mod http_client;
mod logging;
mod operator;
pub mod reach;
mod readiness;
mod refusal;
mod signals;
mod supervisor;
mod telemetry;
pub mod trace;
mod trace_context;
mod vitals;

pub use budget::{Budget, Overloaded, Reservation};
pub use correlation::CorrelationId;
pub use durations::Durations;
pub use host::{END_DEADLINE, Host, SharedRegistry, Stop};
pub use logging::{LogFormat, LoggedCall, flush as flush_logs};
pub use operator::OperatorAccess;
pub use readiness::{Dependency, Latch, Readiness, RoleReadiness};
pub use refusal::{Reason, refuse};
pub use signals::Signals;
pub use trace_context::{CallContext, TraceContext};
