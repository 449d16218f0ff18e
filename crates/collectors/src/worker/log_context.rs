//! The calls that a batch came of: named in each of its log entries, and one of them in its exemplar.

use std::{collections::BTreeSet, fmt};

use tracing::{Span, error_span};
use weir_event::Origin;
use weir_journal::{Content, Delivery, Frame};
use weir_process::TraceContext;

/// The most that an entry names: as many as a batch has frames, which come of a call each under a light load.
const MAX_NAMED: usize = super::MAX_FRAMES;

/// Correlation ids, each once and separated by blanks; behind the last one that has room, how many more there are.
#[derive(Debug)]
struct CorrelationIds<'a>(BTreeSet<&'a str>);

/// What names the calls of `deliveries` in each entry that is logged within it.
pub(super) fn logged(deliveries: &[Delivery]) -> Span {
    let ids: BTreeSet<&str> =
        deliveries.iter().flat_map(origins).map(|origin| origin.correlation_id.as_str()).collect();
    if ids.is_empty() {
        return Span::none();
    }
    // An error's level, so that an entry of any level has it.
    error_span!("batch", correlation_id = %CorrelationIds(ids))
}

/// Where what it delivers came in; nothing where that can't be read.
pub(super) fn origins(delivery: &Delivery) -> &[Origin] {
    match delivery.content() {
        Ok(Content::Events(frame)) => &frame.origins,
        Ok(Content::Erasure(erasure)) => std::slice::from_ref(&erasure.origin),
        Err(_) => &[],
    }
}

/// The trace of the first call that is recorded; an empty one where none is.
pub(super) fn recorded<'a>(mut frames: impl Iterator<Item = &'a Frame>) -> TraceContext {
    let first = frames.find_map(|frame| {
        let mut traces = frame.origins.iter().map(Origin::trace);
        traces.find(|trace| trace.sampled_trace_id().is_some())
    });
    first.unwrap_or_default()
}

impl fmt::Display for CorrelationIds<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = self.0.iter().take(MAX_NAMED);
        if let Some(first) = named.next() {
            formatter.write_str(first)?;
        }
        named.try_for_each(|id| write!(formatter, " {id}"))?;
        match self.0.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_some_calls_and_counts_the_others() {
        let ids: Vec<String> = (0..MAX_NAMED + 3).map(|number| format!("id-{number:02}")).collect();
        let text = |ids: &[String]| CorrelationIds(ids.iter().map(String::as_str).collect()).to_string();
        assert_eq!(text(&ids[..1]), "id-00");
        assert_eq!(text(&ids[..2]), "id-00 id-01");
        assert!(text(&ids).ends_with("id-31 and 3 more"), "{}", text(&ids));
    }
}
