//! Structured logs on standard error, one entry a line; standard output belongs to what a command answers.

mod json;
mod level;
mod log_context;
mod pretty;
mod queue;

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use prometheus_client::registry::Registry as Metrics;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::{self, format::JsonFields},
    layer::{Layered, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

pub(super) use self::level::{LogLevel, directives};
pub use self::log_context::LoggedCall;
pub(super) use self::log_context::ProcessIdentity;
use self::{json::JsonLine, pretty::PrettyLine, queue::Lines};

/// Written to standard error once logging has started.
static LINES: OnceLock<Lines> = OnceLock::new();
/// How long the last lines of a process have.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;
/// The subscriber that writes log entries; spans that are exported are a layer on it.
pub(super) type LogSubscriber = Layered<LogLayer, Registry>;

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

/// Counts what logging loses.
pub(super) fn register(metrics: &mut Metrics) {
    if let Some(lines) = LINES.get() {
        let lost = "Log lines that were lost because nobody read standard error";
        metrics.register("weir_log_lines_lost", lost, lines.lost());
    }
}

/// Waits until what was logged is written, for a second at most: the last thing that a process does.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH_PATIENCE);
    }
}

/// Starts logging, and the exporting of spans beside it. Only the first call of a process has an effect.
///
/// # Errors
/// No thread can be started.
pub(super) fn start(
    filter: &str,
    format: LogFormat,
    process: ProcessIdentity,
    spans: Option<impl Layer<LogSubscriber> + Send + Sync>,
) -> std::io::Result<LogLevel> {
    let queue = Lines::to(std::io::stderr())?;
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let lines = fmt::layer().with_writer(queue.clone());
    // At each attempt the client tells that it failed, and no more; the journal tells the cause, once.
    let told_by_cause = filter_fn(|entry| {
        let is_connector = entry.target().strip_prefix("async_nats") == Some("::connector");
        !is_connector || *entry.level() != tracing::Level::ERROR
    });
    // Without a hint every level would be asked about, and a question that no entry follows costs the next entry.
    let filter = filter.and(told_by_cause.with_max_level_hint(LevelFilter::TRACE));
    let lines: LogLayer = match format {
        LogFormat::Json => Box::new(
            lines.fmt_fields(JsonFields::new()).event_format(JsonLine { process }).with_filter(filter),
        ),
        LogFormat::Pretty => Box::new(lines.event_format(PrettyLine::new(process)).with_filter(filter)),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    // A layer that is `None` would be one that wants everything: every span would be made, for nobody.
    let started = match spans {
        Some(exported) => subscriber.with(exported).try_init(),
        None => subscriber.try_init(),
    };
    if started.is_ok() {
        LINES.get_or_init(|| queue);
    }
    Ok(LogLevel::new(handle))
}
