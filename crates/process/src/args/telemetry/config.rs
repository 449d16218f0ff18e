//! The checked settings of the export of spans.

use std::{fmt, time::Duration};

use url::Url;

/// The checked [`TelemetryArgs`](super::TelemetryArgs).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryConfig {
    /// Absent where nothing is exported.
    pub export: Option<ExportConfig>,
    /// What is wrong with a variable, what is right, and what is used instead. Nothing of a secret is in it.
    pub warnings: Vec<String>,
}

/// How spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Where and how spans are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportConfig {
    pub protocol: Protocol,
    pub endpoint: Url,
    pub headers: Headers,
    pub timeout: Duration,
    pub gzip: bool,
    pub sampling: Sampling,
    pub schedule_delay: Duration,
    pub most_in_batch: usize,
    /// What was named by hand.
    pub service_name: Option<String>,
}

/// Which traces are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// A caller that samples, or does not, decides for its trace.
    pub parent_based: bool,
    /// Of the other ones, from 0 to 1.
    pub share: f64,
}

/// What every export carries, by name. A value may be a secret and is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
