//! Log lines for people: process and trace first, then the entry as tracing-subscriber formats it.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, Format, Full},
    },
    registry::LookupSpan,
};

use super::log_context::{LogContext, ProcessIdentity};
use crate::{escape, redact, trace};

pub(super) struct PrettyLine {
    process: ProcessIdentity,
    rest: Format<Full, ()>,
}

impl PrettyLine {
    pub(super) fn new(process: ProcessIdentity) -> Self {
        Self { process, rest: format::format().without_time().with_target(false) }
    }
}

impl<S, N> FormatEvent<S, N> for PrettyLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(writer, "{now} {}@{} ", self.process.role, plain(&self.process.instance))?;
        if let Some((trace_id, span_id)) = trace::current() {
            write!(writer, "trace_id={trace_id} span_id={span_id} ")?;
        }
        if let Some(call) = LogContext::current() {
            for (name, value) in call.fields() {
                write!(writer, "{name}={} ", plain(value))?;
            }
        }
        self.rest.format_event(context, writer, event)
    }
}

/// Writes a field of an entry or of a span. Its value stays on the line and steers no terminal. The formatter
/// of the library lets bidirectional controls and line breaks through.
pub(super) fn write_field(
    writer: &mut format::Writer<'_>,
    field: &Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    match field.name() {
        // What the bridge from `log` notes for itself.
        name if name.starts_with("log.") => Ok(()),
        "message" => write!(writer, "{}", plain(&format!("{value:?}"))),
        name => write!(writer, "{name}={}", plain(&format!("{value:?}"))),
    }
}

fn plain(value: &str) -> String {
    escape::line(&redact::logins(value)).into_owned()
}
