//! The PRODUCER spans of a call. The journal carries their trace contexts with the events, so that a stored event
//! points to the span that sent it.

use std::collections::BTreeSet;

use tracing::Span;
use weir_event::{Origin, Source};
use weir_journal::{AppendError, MessagingSpans, SealedFrame};
use weir_process::trace;

/// One span for each source of a call's events; none if the process exports no spans.
#[derive(Debug, Default)]
pub(crate) struct ProducerSpans(Vec<SourceSpan>);

#[derive(Debug)]
struct SourceSpan {
    source: Source,
    span: Span,
    /// The origins with the trace context of their span, sorted by index into the call's origins.
    origins: Vec<(usize, Origin)>,
}

impl ProducerSpans {
    /// Begins the spans. `used` holds for every event its source and the index of its origin in `origins`.
    pub(crate) fn begin(
        spans: &MessagingSpans,
        origins: &[Origin],
        used: impl Iterator<Item = (Source, usize)> + Clone,
    ) -> Self {
        if !trace::is_exported() {
            return Self::default();
        }
        let of_source = |source: Source| -> BTreeSet<usize> {
            used.clone().filter(|(of_event, _)| *of_event == source).map(|(_, index)| index).collect()
        };
        let source_spans = Source::ALL.iter().filter_map(|&source| {
            let used = of_source(source);
            let span = match used.len() {
                0 => return None,
                several => spans.send(source, several == 1),
            };
            let origins = match used.first() {
                Some(&only) if used.len() == 1 => join_trace(&span, only, &origins[only]),
                _ => used
                    .into_iter()
                    .map(|index| create_span(spans, source, &span, index, &origins[index]))
                    .collect(),
            };
            Some(SourceSpan { source, span, origins })
        });
        Self(source_spans.collect())
    }

    /// The origin at `index` as the journal carries it with an event of `source`.
    pub(crate) fn origin<'a>(&'a self, source: Source, index: usize, origins: &'a [Origin]) -> &'a Origin {
        let span = self.0.iter().find(|span| span.source == source);
        let traced = span.and_then(|span| {
            let position = span.origins.binary_search_by_key(&index, |(index, _)| *index).ok()?;
            Some(&span.origins[position].1)
        });
        traced.unwrap_or(&origins[index])
    }

    /// Records the number of frames on each span.
    pub(crate) fn record_frames(&self, frames: &[SealedFrame]) {
        for SourceSpan { source, span, .. } in &self.0 {
            let frames = frames.iter().filter(|frame| frame.source() == *source).count();
            MessagingSpans::sent(span, frames);
        }
    }

    /// Marks each span as failed: the journal did not acknowledge the frames.
    pub(crate) fn record_failure(&self, error: &AppendError) {
        for SourceSpan { span, .. } in &self.0 {
            trace::fail(span, error.to_string());
        }
    }
}

/// Moves the span of a single origin into that origin's trace, unless it is in it already. Usually the call belongs
/// to the same trace.
fn join_trace(span: &Span, index: usize, origin: &Origin) -> Vec<(usize, Origin)> {
    let call = trace::current_context().unwrap_or_default();
    let own = origin.trace();
    if !own.trace_id().is_empty() && own.trace_id() != call.trace_id() {
        trace::set_parent(span, &own, &origin.correlation_id);
        trace::link(span, &call);
    }
    trace::context_of(span).map(|sent| (index, origin.with_trace(sent))).into_iter().collect()
}

/// Creates a span for one of several origins in that origin's trace, and links the span of the source to it.
fn create_span(
    spans: &MessagingSpans,
    source: Source,
    source_span: &Span,
    index: usize,
    origin: &Origin,
) -> (usize, Origin) {
    let span = spans.create(source);
    trace::set_parent(&span, &origin.trace(), &origin.correlation_id);
    let created = trace::context_of(&span).unwrap_or_else(|| origin.trace());
    trace::link(source_span, &created);
    (index, origin.with_trace(created))
}
