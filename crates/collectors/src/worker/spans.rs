//! Spans of a batch: the log context that names its correlation ids, and the spans that are exported.
//!
//! A batch has one span for receiving it, one for each origin of each frame in that origin's own trace, and one for
//! each storing transaction.

use std::{collections::BTreeSet, fmt};

use tracing::{Span, error_span};
use weir_event::{Origin, Source};
use weir_journal::{Content, Delivery, Frame, Journal, MessagingSpans};
use weir_process::{TraceContext, trace};

use super::delivery::{DELIVERIES_PER_PULL, DeliveryVerdict};
use crate::store::{Store, StoreError};

/// The most correlation ids that a log entry names: under a light load, each frame of a batch comes of one call.
const MAX_NAMED: usize = DELIVERIES_PER_PULL;

/// The spans of the deliveries of one batch; empty where no spans are exported.
#[derive(Debug)]
pub(super) struct BatchSpans {
    receive: Span,
    /// For each delivery, the spans of its sampled origins.
    process: Vec<Vec<Span>>,
}

/// Correlation ids, each once and separated by blanks. At most [`MAX_NAMED`] are written, then the number of the
/// others.
#[derive(Debug)]
struct CorrelationIds<'a>(BTreeSet<&'a str>);

/// The span that puts the correlation ids of `deliveries` into each log entry within it.
pub(super) fn log_context(deliveries: &[Delivery]) -> Span {
    let ids: BTreeSet<&str> =
        deliveries.iter().flat_map(origins).map(|origin| origin.correlation_id.as_str()).collect();
    if ids.is_empty() {
        return Span::none();
    }
    // At level ERROR, so that entries of every level have it.
    error_span!("batch", correlation_id = %CorrelationIds(ids))
}

/// The trace of the first sampled origin; an empty one where none is sampled.
pub(super) fn first_sampled<'a>(mut frames: impl Iterator<Item = &'a Frame>) -> TraceContext {
    let first = frames.find_map(|frame| {
        let mut traces = frame.origins.iter().map(Origin::trace);
        traces.find(|trace| trace.sampled_trace_id().is_some())
    });
    first.unwrap_or_default()
}

impl BatchSpans {
    pub(super) fn begin(journal: &Journal, source: Source, deliveries: &[Delivery]) -> Self {
        if deliveries.is_empty() || !trace::is_exported() {
            return Self { receive: Span::none(), process: Vec::new() };
        }
        let spans = journal.spans();
        let receive = spans.receive(source, deliveries.len());
        link_every_frame(&receive, deliveries);
        let process = deliveries.iter().map(|delivery| process(&spans, delivery, &receive)).collect();
        Self { receive, process }
    }

    pub(super) fn receive(&self) -> Span {
        self.receive.clone()
    }

    /// The span of one transaction over the deliveries at `indexes`. Where these share one trace, the span is part of
    /// it; otherwise it is part of the batch's trace. It links to each trace that it is no part of.
    pub(super) fn transaction(&self, store: &Store, events: u64, indexes: &[usize]) -> Span {
        if self.receive.is_disabled() {
            return Span::none();
        }
        let process: Vec<&Span> = indexes.iter().flat_map(|index| &self.process[*index]).collect();
        let contexts: Vec<TraceContext> = process.iter().filter_map(|span| trace::context_of(span)).collect();
        let is_one_trace = contexts.windows(2).all(|pair| pair[0].trace_id() == pair[1].trace_id());
        let parent = process.first().filter(|_| is_one_trace).copied();
        let span = store.insert_span(parent.unwrap_or(&self.receive), events);
        contexts.iter().skip(usize::from(parent.is_some())).for_each(|other| trace::link(&span, other));
        span
    }

    /// Records the error of a transaction in its span.
    pub(super) fn fail(transaction: &Span, error: &StoreError) {
        transaction.record("error.type", error.kind());
        trace::fail(transaction, "");
    }

    /// Marks the spans of deliveries that are not acknowledged.
    pub(super) fn end(&self, verdicts: &[DeliveryVerdict]) {
        for (spans, verdict) in self.process.iter().zip(verdicts) {
            if matches!(verdict, DeliveryVerdict::RetryIn(_)) {
                spans
                    .iter()
                    .for_each(|span| trace::fail(span, "not acknowledged: the journal redelivers the frame"));
            }
        }
    }
}

/// Links each frame once before any frame a second time, because a span has room for some links only.
fn link_every_frame(receive: &Span, deliveries: &[Delivery]) {
    let origins: Vec<&[Origin]> = deliveries.iter().map(origins).collect();
    let first = origins.iter().flat_map(|origins| origins.first());
    let further = origins.iter().flat_map(|origins| origins.iter().skip(1));
    first.chain(further).for_each(|origin| trace::link(receive, &origin.trace()));
}

fn process(spans: &MessagingSpans, delivery: &Delivery, receive: &Span) -> Vec<Span> {
    let Ok(Content::Events(frame)) = delivery.content() else { return Vec::new() };
    let sampled = frame.origins.iter().filter(|origin| origin.trace().is_sampled());
    sampled.map(|origin| spans.process(frame, origin, delivery.attempt(), receive)).collect()
}

/// The origins of a delivery's content; none where it can't be decoded.
fn origins(delivery: &Delivery) -> &[Origin] {
    match delivery.content() {
        Ok(Content::Events(frame)) => &frame.origins,
        Ok(Content::Erasure(erasure)) => std::slice::from_ref(&erasure.origin),
        Err(_) => &[],
    }
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
    fn a_log_context_names_some_correlation_ids_and_counts_the_others() {
        let ids: Vec<String> = (0..MAX_NAMED + 3).map(|number| format!("id-{number:02}")).collect();
        let text = |ids: &[String]| CorrelationIds(ids.iter().map(String::as_str).collect()).to_string();
        assert_eq!(text(&ids[..1]), "id-00");
        assert_eq!(text(&ids[..2]), "id-00 id-01");
        assert!(text(&ids).ends_with("id-31 and 3 more"), "{}", text(&ids));
    }
}
