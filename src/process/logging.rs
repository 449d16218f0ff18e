//! Structured logs on standard error, one entry a line; standard output belongs to what a command answers.

mod json;
mod level;
mod lines;
mod pretty;

use std::io::IsTerminal as _;

use prometheus_client::registry::Registry as Metrics;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, format::JsonFields},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

pub(super) use self::level::{LogLevel, directives};
pub use self::lines::flush;
use self::{json::JsonLine, lines::Lines, pretty::PrettyLine};
use super::telemetry::Telemetry;

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

impl LogFormat {
    /// Absent means pretty on a terminal, else JSON.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            None if std::io::stderr().is_terminal() => Ok(Self::Pretty),
            None | Some("json") => Ok(Self::Json),
            Some("pretty") => Ok(Self::Pretty),
            Some(other) => Err(format!("'{other}' is none of json, pretty")),
        }
    }
}

/// Counts entries that were not written, because nobody read them.
pub(super) fn register(metrics: &mut Metrics) {
    let help = "Log entries that were not written, because whoever reads them had stopped";
    metrics.register("weir_log_entries_lost", help, Lines::get().lost().ever());
}

/// Who writes: in every entry.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) role: &'static str,
    pub(super) instance: String,
}

/// Starts logging, and the exporting of spans beside it. Only the first call of a process has an effect.
pub(super) fn start(filter: &str, format: LogFormat, writer: Writer, telemetry: &Telemetry) -> LogLevel {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let lines = fmt::layer().with_writer(Lines::get);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => Box::new(
            lines.fmt_fields(JsonFields::new()).event_format(JsonLine { writer }).with_filter(filter),
        ),
        LogFormat::Pretty => Box::new(lines.event_format(PrettyLine::new(writer)).with_filter(filter)),
    };
    let subscriber = tracing_subscriber::registry().with(lines).with(telemetry.layer());
    let _already_started = subscriber.try_init();
    LogLevel::new(handle)
}
