//! The checked settings of the export of spans.

use std::{fmt, time::Duration};

use url::Url;

/// The checked [`TelemetryArgs`](super::TelemetryArgs).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryConfig {
    /// `None` if nothing is exported.
    pub export: Option<ExportConfig>,
    /// Each names a variable, its error, the valid values and the value that is used instead. None contains a
    /// part of a secret.
    pub warnings: Vec<String>,
}

/// The protocol of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// The address of the trace collector, and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportConfig {
    pub protocol: Protocol,
    pub endpoint: Url,
    pub headers: Headers,
    pub timeout: Duration,
    pub gzip: bool,
    pub sampling: Sampling,
    pub schedule_delay: Duration,
    pub max_batch: usize,
    /// The name that the operator chose.
    pub service_name: Option<String>,
}

/// The choice of the traces that are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// A sampled or unsampled caller decides for its trace.
    pub parent_based: bool,
    /// The share of the other traces, from 0 to 1.
    pub share: f64,
}

/// The headers of every export, by name. A value may be a secret, so `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
