//! The PRODUCER spans of a call, and what of them the journal carries: a stored event's trace is the one that it was
//! sent in.

use std::collections::BTreeSet;

use tracing::Span;
use weir_event::{Origin, Source};
use weir_journal::{AppendError, MessagingSpans, SealedFrame};
use weir_process::trace;

/// One sending for each source that a call has events of; none where no spans are exported.
#[derive(Debug, Default)]
pub(crate) struct Sends(Vec<Send>);

#[derive(Debug)]
struct Send {
    source: Source,
    span: Span,
    /// By index into the call's origins.
    origins: Vec<(usize, Origin)>,
}

impl Sends {
    /// Begins them. `used` names the source and the origin of every event, an index into `origins`.
    pub(crate) fn begin(
        spans: &MessagingSpans,
        origins: &[Origin],
        used: impl Iterator<Item = (Source, usize)> + Clone,
    ) -> Self {
        if !trace::is_exported() {
            return Self::default();
        }
        let of_source = |source: Source| -> BTreeSet<usize> {
            used.clone().filter(|(of, _)| *of == source).map(|(_, index)| index).collect()
        };
        let sends = Source::ALL.iter().filter_map(|&source| {
            let used = of_source(source);
            let span = match used.len() {
                0 => return None,
                several => spans.send(source, several == 1),
            };
            let origins = match used.first() {
                Some(&only) if used.len() == 1 => of_one(&span, only, &origins[only]),
                _ => used
                    .into_iter()
                    .map(|index| create(spans, source, &span, index, &origins[index]))
                    .collect(),
            };
            Some(Send { source, span, origins })
        });
        Self(sends.collect())
    }

    /// An origin as the journal shall carry it with an event of `source`.
    pub(crate) fn origin<'a>(&'a self, source: Source, index: usize, origins: &'a [Origin]) -> &'a Origin {
        let send = self.0.iter().find(|send| send.source == source);
        let traced = send.and_then(|send| {
            let place = send.origins.binary_search_by_key(&index, |(index, _)| *index).ok()?;
            Some(&send.origins[place].1)
        });
        traced.unwrap_or(&origins[index])
    }

    /// Says what was sent.
    pub(crate) fn framed(&self, frames: &[SealedFrame]) {
        for Send { source, span, .. } in &self.0 {
            let frames = frames.iter().filter(|frame| frame.source() == *source).count();
            MessagingSpans::sent(span, frames);
        }
    }

    /// Says that it did not arrive, or may not have.
    pub(crate) fn failed(&self, error: &AppendError) {
        for Send { span, .. } in &self.0 {
            trace::fail(span, error.to_string());
        }
    }
}

/// The sending for one origin is part of the origin's trace: usually the call is already.
fn of_one(span: &Span, index: usize, origin: &Origin) -> Vec<(usize, Origin)> {
    let call = trace::current_context().unwrap_or_default();
    let own = origin.trace();
    if !own.trace_id().is_empty() && own.trace_id() != call.trace_id() {
        trace::set_parent(span, &own, &origin.correlation_id);
        trace::link(span, &call);
    }
    trace::context_of(span).map(|sent| (index, origin.with_trace(sent))).into_iter().collect()
}

/// Where several origins are sent together, each has a span of its own in its trace, and the sending is linked to
/// all of them.
fn create(
    spans: &MessagingSpans,
    source: Source,
    send: &Span,
    index: usize,
    origin: &Origin,
) -> (usize, Origin) {
    let span = spans.create(source);
    trace::set_parent(&span, &origin.trace(), &origin.correlation_id);
    let created = trace::context_of(&span).unwrap_or_else(|| origin.trace());
    trace::link(send, &created);
    (index, origin.with_trace(created))
}
