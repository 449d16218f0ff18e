//! The spans of a batch: one for receiving it, one for each origin of each frame in that origin's own trace, and one
//! for each storing transaction.

use tracing::Span;
use weir_event::{Origin, Source};
use weir_journal::{Content, Delivery, Journal, MessagingSpans};
use weir_process::{TraceContext, trace};

use super::{Verdict, log_context};
use crate::store::{Store, StoreError};

/// The spans of the deliveries of one batch; none where no spans are exported.
#[derive(Debug)]
pub(super) struct BatchSpans {
    receive: Span,
    /// For each delivery, those of its sampled origins.
    process: Vec<Vec<Span>>,
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

    /// The span of one transaction over the deliveries at `places`. It is part of their trace where they have one
    /// together, else of the batch's, and linked to those that it is no part of.
    pub(super) fn transaction(&self, store: &Store, events: u64, places: &[usize]) -> Span {
        if self.receive.is_disabled() {
            return Span::none();
        }
        let process: Vec<&Span> = places.iter().flat_map(|place| &self.process[*place]).collect();
        let contexts: Vec<TraceContext> = process.iter().filter_map(|span| trace::context_of(span)).collect();
        let one = contexts.windows(2).all(|pair| pair[0].trace_id() == pair[1].trace_id());
        let parent = process.first().filter(|_| one).copied();
        let span = store.insert_span(parent.unwrap_or(&self.receive), events);
        contexts.iter().skip(usize::from(parent.is_some())).for_each(|other| trace::link(&span, other));
        span
    }

    /// Says how a transaction went wrong.
    pub(super) fn fail(transaction: &Span, error: &StoreError) {
        transaction.record("error.type", error.kind());
        trace::fail(transaction, "");
    }

    /// Says which deliveries are not done.
    pub(super) fn end(&self, verdicts: &[Verdict]) {
        for (spans, verdict) in self.process.iter().zip(verdicts) {
            if matches!(verdict, Verdict::Later(_)) {
                spans.iter().for_each(|span| trace::fail(span, "left to be offered again"));
            }
        }
    }
}

/// A span has room for some links only: every frame has one before any has a second.
fn link_every_frame(receive: &Span, deliveries: &[Delivery]) {
    let origins: Vec<&[Origin]> = deliveries.iter().map(log_context::origins).collect();
    let first = origins.iter().flat_map(|origins| origins.first());
    let further = origins.iter().flat_map(|origins| origins.iter().skip(1));
    first.chain(further).for_each(|origin| trace::link(receive, &origin.trace()));
}

fn process(spans: &MessagingSpans, delivery: &Delivery, receive: &Span) -> Vec<Span> {
    let Ok(Content::Events(frame)) = delivery.content() else { return Vec::new() };
    let sampled = frame.origins.iter().filter(|origin| origin.trace().is_sampled());
    sampled.map(|origin| spans.process(frame, origin, delivery.attempt(), receive)).collect()
}
