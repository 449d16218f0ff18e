//! The arguments that every process has. All errors in them are reported together, with exit code 64.

mod config_errors;
mod duration;
mod environment;
mod operator;
mod process;
mod telemetry;
mod value;

pub use config_errors::{ConfigErrors, Misconfigured};
pub use duration::duration;
pub use environment::parse;
pub use operator::{OperatorArgs, OperatorToken};
pub use process::{Environment, ProcessArgs, ProcessConfig};
pub use telemetry::{ExportConfig, Headers, Protocol, Sampling, TelemetryArgs, TelemetryConfig};
pub use value::{instant, whole_number};
