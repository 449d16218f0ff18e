//! The spans of a batch: one for receiving it, one for each origin of each frame in that origin's own trace, and one
//! for each storing transaction.

use tracing::{Instrument as _, Span};
use weir::{
    event::Source,
    journal::{Content, Delivery, Journal, MessagingSpans},
    process::{TraceContext, trace},
};

use super::Verdict;
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
        let process = deliveries.iter().map(|delivery| process(spans, delivery, &receive)).collect();
        Self { receive, process }
    }

    pub(super) fn receive(&self) -> Span {
        self.receive.clone()
    }

    /// Runs one transaction over the deliveries at `places`. It is part of their trace where they have one together,
    /// else of the batch's, and linked to those that it is no part of.
    pub(super) async fn stored<T>(
        &self,
        store: &Store,
        events: u64,
        places: &[usize],
        storing: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.receive.is_disabled() {
            return storing.await;
        }
        let span = self.transaction(store, events, places);
        let stored = storing.instrument(span.clone()).await;
        if let Err(error) = &stored {
            span.record("error.type", error.kind());
            trace::fail(&span, "");
        }
        stored
    }

    fn transaction(&self, store: &Store, events: u64, places: &[usize]) -> Span {
        let process: Vec<&Span> = places.iter().flat_map(|place| &self.process[*place]).collect();
        let contexts: Vec<TraceContext> = process.iter().filter_map(|span| trace::context_of(span)).collect();
        let one = contexts.windows(2).all(|pair| pair[0].trace_id() == pair[1].trace_id());
        let parent = process.first().filter(|_| one).copied();
        let span = store.insert_span(parent.unwrap_or(&self.receive), events);
        contexts.iter().skip(usize::from(parent.is_some())).for_each(|other| trace::link(&span, other));
        span
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

fn process(spans: MessagingSpans, delivery: &Delivery, receive: &Span) -> Vec<Span> {
    let Ok(Content::Events(frame)) = delivery.content() else { return Vec::new() };
    let process = frame.origins.iter().filter_map(|origin| {
        let sent = origin.trace();
        trace::link(receive, &sent);
        let attempt = delivery.attempt();
        sent.is_sampled().then(|| spans.process(frame, origin, attempt, receive))
    });
    process.collect()
}
