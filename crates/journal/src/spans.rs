//! The spans of the journal, as OpenTelemetry's conventions for messaging name them; disabled where none are exported.

use tracing::{Span, field::Empty, info_span};
use weir_event::{Origin, Source};
use weir_process::trace;

use super::{Frame, Journal, Names};

/// The spans of one journal.
#[derive(Clone, Debug)]
pub struct MessagingSpans {
    system: &'static str,
    names: Names,
}

impl Journal {
    /// What the journal's spans are made with.
    #[must_use]
    pub fn spans(&self) -> MessagingSpans {
        match self {
            Self::JetStream(journal) => MessagingSpans { system: "nats", names: journal.names().clone() },
            Self::Embedded(_) => MessagingSpans::embedded(),
        }
    }
}

impl MessagingSpans {
    /// Those of the embedded journal.
    #[must_use]
    pub fn embedded() -> Self {
        Self { system: "weir", names: Names::default() }
    }

    /// The sending of frames that were accepted together; the caller records their number with
    /// [`MessagingSpans::sent`]. It is their producer, unless each of several origins has a [`Self::create`].
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

    /// Says how many frames a sending was of.
    pub fn sent(send: &Span, frames: usize) {
        send.record("messaging.batch.message_count", frames as u64);
    }

    /// The making of what one of several origins has in a frame.
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

    /// The receiving of frames that are worked on together: a trace of its own, linked to every origin.
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

    /// The storing of what one origin has in a frame: part of the origin's trace and linked to `receive`. A frame that
    /// was offered before may have been stored then, so that a further attempt is part of `receive` and linked to the
    /// origin.
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
