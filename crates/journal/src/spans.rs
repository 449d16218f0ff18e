//! Spans of the journal, named by OpenTelemetry's messaging conventions. They are disabled if no exporter is configured.

use tracing::{Span, field::Empty, info_span};
use weir_event::{Origin, Source};
use weir_process::trace;

use crate::{frame::Frame, names::Names};

/// The spans of one journal.
#[derive(Clone, Debug)]
pub struct MessagingSpans {
    system: &'static str,
    names: Names,
}

impl MessagingSpans {
    /// The spans of a journal on JetStream.
    pub(crate) fn jetstream(names: Names) -> Self {
        Self { system: "nats", names }
    }

    /// The spans of an embedded journal.
    #[must_use]
    pub fn embedded() -> Self {
        Self { system: "weir", names: Names::default() }
    }

    /// The span of an append of frames that were accepted together. The caller records their number with
    /// [`MessagingSpans::sent`]. The span is their producer, unless each of several origins has a [`Self::create`] span.
    #[must_use]
    pub fn send(&self, source: Source, is_producer: bool) -> Span {
        info_span!(
            target: trace::TARGET,
            "send",
            otel.name = format_args!("send {}", self.names.events(source)),
            otel.kind = if is_producer { "producer" } else { "client" },
            messaging.system = self.system,
            messaging.operation.name = "send",
            "messaging.operation.type" = "send",
            messaging.destination.name = self.names.events(source),
            messaging.batch.message_count = Empty,
        )
    }

    /// Records the number of frames of a [`Self::send`] span.
    pub fn sent(send: &Span, frames: usize) {
        send.record("messaging.batch.message_count", frames as u64);
    }

    /// The span of the events of one origin, if a frame has several origins.
    #[must_use]
    pub fn create(&self, source: Source) -> Span {
        info_span!(
            target: trace::TARGET,
            "create",
            otel.name = format_args!("create {}", self.names.events(source)),
            otel.kind = "producer",
            messaging.system = self.system,
            messaging.operation.name = "create",
            "messaging.operation.type" = "create",
            messaging.destination.name = self.names.events(source),
        )
    }

    /// The span of frames that a collector receives together: a trace of its own, linked to every origin.
    #[must_use]
    pub fn receive(&self, source: Source, frames: usize) -> Span {
        info_span!(
            target: trace::TARGET,
            parent: None,
            "receive",
            otel.name = format_args!("receive {}", self.names.events(source)),
            otel.kind = "client",
            messaging.system = self.system,
            messaging.operation.name = "receive",
            "messaging.operation.type" = "receive",
            messaging.destination.name = self.names.events(source),
            messaging.consumer.group.name = self.names.consumer(source),
            messaging.batch.message_count = frames as u64,
        )
    }

    /// The span of storing the events of one origin: part of the origin's trace, and linked to `receive`. A redelivered frame
    /// may be stored already, so that a later attempt is part of `receive` and linked to the origin.
    #[must_use]
    pub fn process(&self, frame: &Frame, origin: &Origin, attempt: u64, receive: &Span) -> Span {
        let span = info_span!(
            target: trace::TARGET,
            parent: None,
            "process",
            otel.name = format_args!("process {}", self.names.events(frame.source)),
            otel.kind = "consumer",
            messaging.system = self.system,
            messaging.operation.name = "process",
            "messaging.operation.type" = "process",
            messaging.destination.name = self.names.events(frame.source),
            messaging.consumer.group.name = self.names.consumer(frame.source),
            messaging.message.id = frame.id,
            weir.delivery.attempt = attempt,
        );
        let (received, sent) = (trace::context_of(receive).unwrap_or_default(), origin.trace());
        let (parent, linked) = if attempt > 1 { (&received, &sent) } else { (&sent, &received) };
        trace::set_parent(&span, parent, &origin.correlation_id);
        trace::link(&span, linked);
        span
    }
}
