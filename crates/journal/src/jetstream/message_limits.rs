//! The largest messages that the server and its streams accept: `max_payload` and `max_msg_size`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_nats::{Client, jetstream::stream};

use super::api::{self, ApiError, Context};
use crate::{
    dead_letter_stream::DeadLetterStream, frame::FrameLimit, limits::MIN_MESSAGE_BYTES, names::Names,
};

/// Room for the headers, which count as bytes of a message: message id, correlation id, trace context and the expected
/// stream. Trace context has at most 1 kB.
const HEADER_BYTES: usize = 4 * 1024;
/// Room for reason and origin, which a dead letter has beside a whole frame.
const LETTER_BYTES: usize = 4 * 1024;

/// The `max_msg_size` of each stream when it was read last. The connection knows the server's `max_payload`.
#[derive(Debug)]
pub(super) struct MessageLimits {
    events: AtomicUsize,
    parked: AtomicUsize,
    rejected: AtomicUsize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        let [events, parked, rejected] = [(); 3].map(|()| AtomicUsize::new(usize::MAX));
        Self { events, parked, rejected }
    }
}

impl MessageLimits {
    /// Reads the limits of every stream from the server.
    ///
    /// # Errors
    /// The server is unreachable, or a stream is missing.
    pub(super) async fn refresh(&self, context: &Context, names: &Names) -> Result<(), ApiError> {
        self.set_events(&api::stream_info(context, &names.events_stream()).await?.info);
        for stream in DeadLetterStream::ALL {
            let info = api::stream_info(context, &names.dead_letter_stream(stream)).await?.info;
            self.of(stream).store(max_message_bytes(&info), Relaxed);
        }
        Ok(())
    }

    /// Sets the limit of `EVENTS`.
    pub(super) fn set_events(&self, info: &stream::Info) {
        self.events.store(max_message_bytes(info), Relaxed);
    }

    /// The largest frame. It must fit into `EVENTS`, and also into a dead letter if no collector can read it. Limits below
    /// the smallest allowed one are ignored here: then the server refuses appends, and no event is rejected for them.
    pub(super) fn frame_limit(&self, client: &Client) -> FrameLimit {
        let in_events = self.events.load(Relaxed).min(client.max_payload());
        let as_letter = self.of(DeadLetterStream::Parked).load(Relaxed).min(client.max_payload());
        FrameLimit { bytes: in_events.min(as_letter).max(MIN_MESSAGE_BYTES) - HEADER_BYTES - LETTER_BYTES }
    }

    /// The most bytes of an encoded dead letter.
    pub(super) fn letter_bytes(&self, client: &Client, stream: DeadLetterStream) -> usize {
        self.of(stream).load(Relaxed).min(client.max_payload()).saturating_sub(HEADER_BYTES)
    }

    fn of(&self, stream: DeadLetterStream) -> &AtomicUsize {
        match stream {
            DeadLetterStream::Parked => &self.parked,
            DeadLetterStream::Rejected => &self.rejected,
        }
    }
}

/// The stream's limit; NATS writes -1 for none.
fn max_message_bytes(info: &stream::Info) -> usize {
    usize::try_from(info.config.max_message_size).ok().filter(|bytes| *bytes > 0).unwrap_or(usize::MAX)
}
