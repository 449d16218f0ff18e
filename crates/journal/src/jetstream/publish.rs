//! Publishing with acknowledgements: pipelined, repeated under the same message id, never for ever.

use std::{mem, time::Duration};

use async_nats::{
    HeaderMap, Subject,
    header::NATS_MESSAGE_ID,
    jetstream::{
        Error, ErrorCode,
        context::{PublishAckFuture, PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;
use weir_event::Origin;
use weir_process::{CorrelationId, TraceContext, trace};

use super::connection::{Connection, PUBLISH_TIMEOUT};
use crate::{AppendError, DeadLetter, DeadLetterStream, Names, SealedFrame};

/// Three waits for an acknowledgement: who asked must hear of it before its own deadline.
const BOUND: Duration = PUBLISH_TIMEOUT.saturating_mul(3);
/// Between attempts after an answer that came at once: an election takes its time.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages on their way together: enough to share fsyncs, few enough to keep memory flat.
const WINDOW: usize = 64;
const FRAME_VERSION: &str = "weir-frame-version";

/// One message and its id, the same in every attempt.
pub(super) struct Outgoing {
    subject: Subject,
    /// The stream that is to take it. Where that is gone, another application's stream may have taken its subjects, and
    /// would acknowledge what no collector ever reads.
    stream: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Outgoing {
    pub(super) fn frame(names: &Names, frame: &SealedFrame) -> Self {
        let mut headers = headers(frame.id(), &frame.origins()[0]);
        headers.insert(FRAME_VERSION, frame.version().to_string());
        let subject =
            if frame.is_erasure() { names.erasures(frame.source()) } else { names.events(frame.source()) };
        let stream = names.events_stream();
        Self { subject: subject.into(), stream, headers, payload: frame.payload().clone() }
    }

    /// A letter under its fingerprint, so that within the duplicate window it is stored once whoever buries it.
    pub(super) fn letter(names: &Names, graveyard: DeadLetterStream, letter: &DeadLetter) -> Self {
        let headers = headers(&hex::encode(letter.fingerprint()), &letter.origin);
        let stream = names.graveyard_stream(graveyard);
        Self { subject: letter.subject(names, graveyard).into(), stream, headers, payload: letter.encode() }
    }

    /// The same message under an id that no message had before.
    pub(super) fn renewed(mut self) -> Self {
        self.headers.insert(NATS_MESSAGE_ID, Uuid::now_v7().to_string());
        self
    }

    fn message(&self) -> PublishMessage {
        let message = PublishMessage::build().headers(self.headers.clone()).payload(self.payload.clone());
        message.expected_stream(&self.stream)
    }

    fn refusal(&self, error: &PublishError) -> Option<AppendError> {
        let too_large = || AppendError::TooLarge { bytes: self.payload.len() };
        if error.kind() == PublishErrorKind::MaxPayloadExceeded {
            return Some(too_large());
        }
        let source = std::error::Error::source(error)?.downcast_ref::<Error>()?;
        match source.error_code() {
            // The stream's own bound; then those of its account and of the server's disk.
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES => Some(AppendError::Full),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Some(too_large()),
            ErrorCode::STREAM_NOT_MATCH => Some(AppendError::Unreachable(format!(
                "another stream than {} takes the subject {}",
                self.stream, self.subject
            ))),
            _ => None,
        }
    }
}

fn headers(message_id: &str, origin: &Origin) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, message_id);
    headers.insert(CorrelationId::METADATA_KEY, origin.correlation_id.as_str());
    if origin.traceparent.is_empty() {
        return headers;
    }
    let baggage = format!("{}={}", trace::CORRELATION_ID, origin.correlation_id);
    for (name, text) in [
        (TraceContext::TRACEPARENT, &origin.traceparent),
        (TraceContext::TRACESTATE, &origin.tracestate),
        (trace::BAGGAGE, &baggage),
    ] {
        // Trace context comes from outside: a header with a line break in it would not be one.
        if let (false, Ok(value)) = (text.is_empty(), text.parse::<async_nats::HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A message that the server took for one that it has, and the sequence of that one.
pub(super) type Repeated = (Outgoing, u64);

/// What became of messages.
#[derive(Default)]
pub(super) struct Published {
    /// Those that are new, with the sequences that they got.
    pub(super) new: Vec<(Subject, u64)>,
    pub(super) repeated: Vec<Repeated>,
}

/// Publishes in order; `Ok` when every message is acknowledged.
pub(super) async fn all(
    connection: &Connection,
    mut messages: Vec<Outgoing>,
) -> Result<Published, AppendError> {
    let deadline = Instant::now() + BOUND;
    let mut published = Published::default();
    while !messages.is_empty() {
        let later = messages.split_off(messages.len().min(WINDOW));
        let window = mem::replace(&mut messages, later);
        repeatedly(connection, window, deadline, &mut published).await?;
    }
    Ok(published)
}

async fn repeatedly(
    connection: &Connection,
    mut unanswered: Vec<Outgoing>,
    deadline: Instant,
    published: &mut Published,
) -> Result<(), AppendError> {
    let mut reason = "the server is away".to_owned();
    loop {
        connection
            .up(deadline)
            .await
            .map_err(|error| AppendError::Unreachable(format!("{error}; {reason}")))?;
        let attempt = timeout_at(deadline, once(connection, &mut unanswered, published, &mut reason)).await;
        match attempt {
            Ok(Ok(())) if unanswered.is_empty() => return Ok(()),
            Ok(Ok(())) if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
            Ok(Err(refusal)) => return Err(refusal),
            Ok(Ok(())) | Err(_) => return Err(AppendError::Unreachable(reason)),
        }
    }
}

/// One attempt: all are sent, then all acknowledgements awaited. Leaves those that got no answer, and why.
async fn once(
    connection: &Connection,
    unanswered: &mut Vec<Outgoing>,
    published: &mut Published,
    reason: &mut String,
) -> Result<(), AppendError> {
    let mut sent: Vec<Result<PublishAckFuture, PublishError>> = Vec::with_capacity(unanswered.len());
    for outgoing in unanswered.iter() {
        sent.push(connection.context().send_publish(outgoing.subject.clone(), outgoing.message()).await);
    }
    let mut left = Vec::new();
    let mut refused = None;
    for (outgoing, sent) in unanswered.drain(..).zip(sent) {
        let answer = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) if answer.duplicate => published.repeated.push((outgoing, answer.sequence)),
            Ok(answer) => published.new.push((outgoing.subject, answer.sequence)),
            Err(error) => {
                refused = refused.or(outgoing.refusal(&error));
                *reason = error.to_string();
                left.push(outgoing);
            }
        }
    }
    *unanswered = left;
    refused.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn the_trace_travels_in_headers_where_there_is_one() {
        let without = Origin {
            correlation_id: CorrelationId::parse("an-id").unwrap(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: Utc::now(),
        };
        let of = |origin: &Origin| {
            let headers = headers("a-frame", origin);
            ["traceparent", "tracestate", "baggage"].map(|name| headers.get(name).map(ToString::to_string))
        };
        assert_eq!(of(&without), [None, None, None]);
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
        let with = Origin { traceparent: traceparent.clone(), tracestate: "vendor=a".to_owned(), ..without };
        let expected = [traceparent.as_str(), "vendor=a", "weir.correlation_id=an-id"];
        assert_eq!(of(&with), expected.map(|text| Some(text.to_owned())));
    }
}
