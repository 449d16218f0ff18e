//! Structured logs on standard error, one entry per line. Standard output belongs to the answers of commands.

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
pub use self::log_context::LogContext;
pub(super) use self::log_context::ProcessIdentity;
use self::{json::JsonLine, pretty::PrettyLine, queue::LogQueue};

/// The queue to standard error, once logging has started.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();
/// The longest wait for the last lines of a process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;
/// The subscriber that writes log entries; spans that are exported are a layer on it.
pub(super) type LogSubscriber = Layered<LogLayer, Registry>;

/// The format of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

impl LogFormat {
    /// An absent format means pretty on a terminal, else JSON.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            None if std::io::stderr().is_terminal() => Ok(Self::Pretty),
            None | Some("json") => Ok(Self::Json),
            Some("pretty") => Ok(Self::Pretty),
            Some(other) => Err(format!("'{other}' is none of json, pretty")),
        }
    }
}

/// Registers the counter of lost lines.
pub(super) fn register(metrics: &mut Metrics) {
    if let Some(lines) = QUEUE.get() {
        let lost = "Log lines that were lost because standard error was not read";
        metrics.register("weir_log_lines_lost", lost, lines.lost());
    }
}

/// Waits until all entries are written, for a second at most. A process calls it last.
pub fn flush() {
    if let Some(lines) = QUEUE.get() {
        lines.flush(FLUSH_TIMEOUT);
    }
}

/// Starts logging, and the export of `spans` beside it. Only the first call of a process has an effect.
///
/// # Errors
/// The thread of the queue can't be started.
pub(super) fn start(
    filter: &str,
    format: LogFormat,
    process: ProcessIdentity,
    spans: Option<impl Layer<LogSubscriber> + Send + Sync>,
) -> std::io::Result<LogLevel> {
    let queue = LogQueue::to(std::io::stderr())?;
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let lines = fmt::layer().with_writer(queue.clone());
    // The NATS client logs each failed attempt without its cause. The journal logs the cause, once.
    let reported_elsewhere = filter_fn(|entry| {
        let is_connector = entry.target().strip_prefix("async_nats") == Some("::connector");
        !is_connector || *entry.level() != tracing::Level::ERROR
    });
    // Without a hint the filter would be asked about every level. If no entry follows a question, its answer
    // applies to the next entry.
    let filter = filter.and(reported_elsewhere.with_max_level_hint(LevelFilter::TRACE));
    let lines: LogLayer = match format {
        LogFormat::Json => Box::new(
            lines.fmt_fields(JsonFields::new()).event_format(JsonLine { process }).with_filter(filter),
        ),
        LogFormat::Pretty => Box::new(lines.event_format(PrettyLine::new(process)).with_filter(filter)),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    // A layer that is `None` enables everything: every span would be made and never exported.
    let started = match spans {
        Some(exported) => subscriber.with(exported).try_init(),
        None => subscriber.try_init(),
    };
    if started.is_ok() {
        QUEUE.get_or_init(|| queue);
    }
    Ok(LogLevel::new(handle))
}
