//! Structured logs on standard error, one entry a line; standard output belongs to what a command answers.

mod lines;

use std::{fmt, io::IsTerminal as _, sync::OnceLock, time::Duration};

use chrono::{SecondsFormat, Utc};
use lines::Lines;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields as _, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// Written to standard error once logging has started.
static LINES: OnceLock<Lines> = OnceLock::new();
/// How long the last lines of a process have.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

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

/// A level, or directives of `EnvFilter`; a bare word that is no level would silently name a target.
///
/// A level is Weir's own: libraries say what is wrong and nothing more, unless directives ask them to.
pub(super) fn directives(text: &str) -> Result<String, String> {
    let first = text.split(',').next().unwrap_or_default();
    match first.parse::<LevelFilter>() {
        Ok(level) if text == first => Ok(format!("{},weir={level}", level.min(LevelFilter::WARN))),
        Err(_) if !first.contains('=') => {
            Err(format!("'{first}' is none of error, warn, info, debug, trace, off"))
        }
        Ok(_) | Err(_) => {
            EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
        }
    }
}

/// Starts logging; `role` is in every entry. Only the first call of a process has an effect.
///
/// # Errors
/// No thread can be started.
pub(super) fn start(directives: &str, format: LogFormat, role: &'static str) -> std::io::Result<()> {
    let lines = Lines::to(std::io::stderr())?;
    let filter = EnvFilter::new(directives);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let started = match format {
        LogFormat::Pretty => builder.with_target(false).try_init(),
        LogFormat::Json => builder.fmt_fields(JsonFields::new()).event_format(JsonLine { role }).try_init(),
    };
    if started.is_ok() {
        LINES.get_or_init(|| lines);
    }
    Ok(())
}

/// Counts what logging loses.
pub(super) fn register(registry: &mut Registry) {
    if let Some(lines) = LINES.get() {
        let lost = "Log lines that were lost because nobody read standard error";
        registry.register("weir_log_lines_lost", lost, lines.lost());
    }
}

/// Waits until what was logged is written, for a second at most: the last thing that a process does.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH_PATIENCE);
    }
}

/// One JSON object a line: the entry's own fields and those of its spans side by side, so that a query needs no
/// path. A field of an inner span hides the same one of an outer span.
struct JsonLine {
    role: &'static str,
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".into(), Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true).into());
        line.insert("level".into(), event.metadata().level().as_str().to_lowercase().into());
        line.insert("role".into(), self.role.into());
        line.insert("target".into(), event.metadata().target().into());
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() {
                merge(&mut line, &fields.fields);
            }
        }
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        merge(&mut line, &fields);
        writeln!(writer, "{}", Value::Object(line))
    }
}

fn merge(line: &mut Map<String, Value>, fields: &str) {
    if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) {
        line.extend(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_weir_s_own_and_libraries_only_warn() {
        assert_eq!(directives("info").unwrap(), "warn,weir=info");
        assert_eq!(directives("trace").unwrap(), "warn,weir=trace");
        assert_eq!(directives("info,sqlx=debug").unwrap(), "info,sqlx=debug");
    }

    #[test]
    fn a_level_that_is_none_is_told() {
        assert_eq!(directives("error").unwrap(), "error,weir=error");
        assert!(directives("warn,weir_edge=debug").is_ok());
        assert!(directives("loud").unwrap_err().contains("'loud'"));
    }
}
