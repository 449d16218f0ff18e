//! Log entries as JSON, one object per line. The fields of an entry and of its spans stand side by side, so
//! that a query needs no path.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields as _, FormattedFields,
        format::{self, JsonFields},
    },
    registry::{LookupSpan, Scope},
};

use super::log_context::{LogContext, ProcessIdentity};
use crate::{escape, redact, trace};

/// A field of an inner span replaces the same field of an outer span.
pub(super) struct JsonLine {
    pub(super) process: ProcessIdentity,
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = self.begin(event);
        if let Some(call) = LogContext::current() {
            line.extend(call.fields().map(|(name, value)| (name.to_owned(), value.into())));
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() {
                merge(&mut line, &fields.fields);
            }
        }
        let mut fields = String::new();
        context.format_fields(format::Writer::new(&mut fields), event)?;
        merge(&mut line, &fields);
        let line = Value::Object(line).to_string();
        writeln!(writer, "{}", escape::json(&redact::logins(&line)))
    }
}

impl JsonLine {
    fn begin(&self, event: &Event<'_>) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("timestamp".into(), Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true).into());
        line.insert("level".into(), event.metadata().level().as_str().to_lowercase().into());
        line.insert("role".into(), self.process.role.into());
        line.insert("instance".into(), self.process.instance.as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        if let Some((trace_id, span_id)) = trace::current() {
            line.insert("trace_id".into(), trace_id.to_string().into());
            line.insert("span_id".into(), span_id.to_string().into());
        }
        line
    }
}

fn merge(line: &mut Map<String, Value>, fields: &str) {
    if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) {
        line.extend(fields);
    }
}
