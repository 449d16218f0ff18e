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
    field::MakeExt as _,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::{
        self,
        format::{JsonFields, debug_fn},
    },
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
    // The NATS client logs each failed attempt without its cause. The journal logs the cause, once.
    let reported_elsewhere = filter_fn(|entry| {
        let is_connector = entry.target().strip_prefix("async_nats") == Some("::connector");
        !is_connector || *entry.level() != tracing::Level::ERROR
    });
    // Without a hint the filter would be asked about every level. If no entry follows a question, its answer
    // applies to the next entry.
    let filter = filter.and(reported_elsewhere.with_max_level_hint(LevelFilter::TRACE));
    let lines: LogLayer = Box::new(lines(format, process, queue.clone()).with_filter(filter));
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

/// Writes entries to `queue`, in `format`.
fn lines(format: LogFormat, process: ProcessIdentity, queue: LogQueue) -> LogLayer {
    let lines = fmt::layer().with_writer(queue);
    match format {
        LogFormat::Json => Box::new(lines.fmt_fields(JsonFields::new()).event_format(JsonLine { process })),
        LogFormat::Pretty => Box::new(
            lines
                .fmt_fields(debug_fn(pretty::write_field).delimited(" "))
                .event_format(PrettyLine::new(process)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};

    use super::*;

    /// The lines that `log` writes in a format.
    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let (mut reader, writer) = pipe().unwrap();
        let queue = LogQueue::to(writer).unwrap();
        let process = ProcessIdentity { role: "edge", instance: "a\u{1b}b".to_owned() };
        let subscriber = tracing_subscriber::registry().with(lines(format, process, queue.clone()));
        tracing::subscriber::with_default(subscriber, log);
        queue.flush(Duration::from_secs(10));
        let mut written = vec![0; 1 << 16];
        let length = reader.read(&mut written).unwrap();
        String::from_utf8(written[..length].to_vec()).unwrap()
    }

    #[test]
    fn an_entry_is_one_line_that_steers_no_terminal_and_shows_no_login() {
        const HOSTILE: &str = "x\u{1b}]0;y\u{7}\n2026 edge@a INFO forged\u{9b}2J\u{202e}z";
        let error = std::io::Error::other(HOSTILE);
        let log = || {
            let span = tracing::info_span!("call", named = %HOSTILE, quoted = HOSTILE);
            let _entered = span.enter();
            tracing::info!(%error, plain = HOSTILE, url = "nats://u:secret@n1", "of {HOSTILE} at nats://u:secret@n1");
        };
        for format in [LogFormat::Pretty, LogFormat::Json] {
            let written = logged(format, log);
            let entry = written.strip_suffix('\n').unwrap();
            // The level is coloured by Weir itself.
            let colours = ["\u{1b}[32m", "\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[3m"];
            let entry = colours.iter().fold(entry.to_owned(), |entry, colour| entry.replace(colour, ""));
            assert_eq!(crate::escape::line(&entry), entry, "{format:?}");
            assert!(!entry.contains("secret") && entry.contains("…@n1"), "{entry}");
            let escapes = if format == LogFormat::Json {
                r"\n2026 edge@a INFO forged\u009b2J\u202ez"
            } else {
                r"\u{a}2026 edge@a INFO forged\u{9b}2J\u{202e}z"
            };
            assert!(entry.matches(escapes).count() >= 3, "{entry}");
        }
    }
}
