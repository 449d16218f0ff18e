//! Publishing with acknowledgements: pipelined, and repeated under the same message id until a deadline.

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

use super::{PUBLISH_TIMEOUT, connection::Connection};
use crate::{
    dead_letter::DeadLetter, dead_letter_stream::DeadLetterStream, error::AppendError, frame::SealedFrame,
    names::Names,
};

/// Time for all attempts: three publish timeouts, so that the caller gets the result before its own deadline.
const TOTAL_TIMEOUT: Duration = PUBLISH_TIMEOUT.saturating_mul(3);
/// Pause after an attempt that the server refused at once: the election of a leader takes some time.
const PAUSE: Duration = Duration::from_millis(100);
/// The most messages in flight: enough to share fsyncs, few enough to keep memory flat.
const WINDOW: usize = 64;
const FRAME_VERSION: &str = "weir-frame-version";

/// A message with its id, which is the same in every attempt.
pub(super) struct OutgoingMessage {
    subject: Subject,
    /// The stream that must store the message. If it is gone, another application's stream may have its subjects, and would
    /// acknowledge messages that no collector reads.
    stream: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl OutgoingMessage {
    pub(super) fn frame(names: &Names, frame: &SealedFrame) -> Self {
        let mut headers = headers(frame.id(), &frame.origins()[0]);
        headers.insert(FRAME_VERSION, frame.version().to_string());
        let subject =
            if frame.is_erasure() { names.erasures(frame.source()) } else { names.events(frame.source()) };
        let stream = names.events_stream();
        Self { subject: subject.into(), stream, headers, payload: frame.payload().clone() }
    }

    /// A dead letter under its fingerprint, so that the server stores it once within the duplicate window, whichever
    /// process appends it.
    pub(super) fn dead_letter(names: &Names, stream: DeadLetterStream, letter: &DeadLetter) -> Self {
        let headers = headers(&hex::encode(letter.fingerprint()), &letter.origin);
        let subject = letter.subject(names, stream).into();
        Self { subject, stream: names.dead_letter_stream(stream), headers, payload: letter.encode() }
    }

    /// The same message under a new id, which no duplicate window has.
    pub(super) fn with_new_id(mut self) -> Self {
        self.headers.insert(NATS_MESSAGE_ID, Uuid::now_v7().to_string());
        self
    }

    fn to_publish(&self) -> PublishMessage {
        let message = PublishMessage::build().headers(self.headers.clone()).payload(self.payload.clone());
        message.expected_stream(&self.stream)
    }

    /// The error that repeating does not change; `None` if an attempt may still succeed.
    fn final_error(&self, error: &PublishError) -> Option<AppendError> {
        let too_large = || AppendError::TooLarge { bytes: self.payload.len() };
        if error.kind() == PublishErrorKind::MaxPayloadExceeded {
            return Some(too_large());
        }
        let source = std::error::Error::source(error)?.downcast_ref::<Error>()?;
        match source.error_code() {
            // The limit of the stream, of its account, or of the server's disk.
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
        // Trace context comes from clients: a value with a line break is no header and is left out.
        if let (false, Ok(value)) = (text.is_empty(), text.parse::<async_nats::HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A message whose id the server has already, and the sequence of the earlier message.
pub(super) struct DuplicateMessage {
    pub(super) message: OutgoingMessage,
    pub(super) sequence: u64,
}

/// The acknowledged messages of one call.
#[derive(Default)]
pub(super) struct PublishOutcome {
    /// The subject and the sequence of each new message.
    pub(super) stored: Vec<(Subject, u64)>,
    pub(super) duplicates: Vec<DuplicateMessage>,
}

/// Publishes messages in order. Returns `Ok` when every message is acknowledged.
pub(super) async fn publish_all(
    connection: &Connection,
    mut messages: Vec<OutgoingMessage>,
) -> Result<PublishOutcome, AppendError> {
    let deadline = Instant::now() + TOTAL_TIMEOUT;
    let mut outcome = PublishOutcome::default();
    while !messages.is_empty() {
        let later = messages.split_off(messages.len().min(WINDOW));
        let window = mem::replace(&mut messages, later);
        publish_with_retry(connection, window, deadline, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Publishes a window of messages, and repeats those without an acknowledgement until `deadline`.
async fn publish_with_retry(
    connection: &Connection,
    mut unanswered: Vec<OutgoingMessage>,
    deadline: Instant,
    outcome: &mut PublishOutcome,
) -> Result<(), AppendError> {
    let mut reason = "the server is away".to_owned();
    loop {
        connection
            .wait_until_up(deadline)
            .await
            .map_err(|error| AppendError::Unreachable(format!("{error}; {reason}")))?;
        let attempt = publish_once(connection, &mut unanswered, outcome, &mut reason);
        match timeout_at(deadline, attempt).await {
            Ok(Ok(())) if unanswered.is_empty() => return Ok(()),
            Ok(Ok(())) if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) | Err(_) => return Err(AppendError::Unreachable(reason)),
        }
    }
}

/// Runs one attempt: sends all messages, then awaits all acknowledgements. Keeps the messages without an acknowledgement in
/// `unanswered`, and the last error in `reason`.
async fn publish_once(
    connection: &Connection,
    unanswered: &mut Vec<OutgoingMessage>,
    outcome: &mut PublishOutcome,
    reason: &mut String,
) -> Result<(), AppendError> {
    let mut sent: Vec<Result<PublishAckFuture, PublishError>> = Vec::with_capacity(unanswered.len());
    for message in unanswered.iter() {
        sent.push(connection.context().send_publish(message.subject.clone(), message.to_publish()).await);
    }
    let mut left = Vec::new();
    let mut final_error = None;
    for (message, sent) in unanswered.drain(..).zip(sent) {
        let answer = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) if answer.duplicate => {
                outcome.duplicates.push(DuplicateMessage { message, sequence: answer.sequence });
            }
            Ok(answer) => outcome.stored.push((message.subject, answer.sequence)),
            Err(error) => {
                final_error = final_error.or(message.final_error(&error));
                *reason = error.to_string();
                left.push(message);
            }
        }
    }
    *unanswered = left;
    final_error.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn headers_carry_the_trace_context_if_there_is_one() {
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
