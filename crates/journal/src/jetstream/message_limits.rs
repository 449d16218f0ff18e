//! How large a message may be: the server's `max_payload`, and the `max_msg_size` of a stream.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_nats::{Client, jetstream::stream};

use super::api::{self, ApiError, Context};
use crate::{DeadLetterStream, FrameLimit, Names, limits};

/// Message id, correlation id, trace context and the expected stream, which count too. Trace context is at most 1 kB.
const HEADER_BYTES: usize = 4 * 1024;
/// What a dead letter has beside a whole frame: reason and origin.
const LETTER_BYTES: usize = 4 * 1024;

/// What each stream takes, as it was told last. The limit of the server is known by its connection.
#[derive(Debug)]
pub(super) struct Sizes {
    events: AtomicUsize,
    parked: AtomicUsize,
    rejected: AtomicUsize,
}

impl Default for Sizes {
    fn default() -> Self {
        let [events, parked, rejected] = [(); 3].map(|()| AtomicUsize::new(usize::MAX));
        Self { events, parked, rejected }
    }
}

impl Sizes {
    /// Asks the server for the limits of every stream.
    ///
    /// # Errors
    /// The server is away, or a stream is.
    pub(super) async fn ask(&self, context: &Context, names: &Names) -> Result<(), ApiError> {
        self.note_events(&api::stream_info(context, &names.events_stream()).await?.info);
        for graveyard in DeadLetterStream::ALL {
            let info = api::stream_info(context, &names.graveyard_stream(graveyard)).await?.info;
            self.of_letters(graveyard).store(most_bytes(&info), Relaxed);
        }
        Ok(())
    }

    /// Takes note of what `EVENTS` takes.
    pub(super) fn note_events(&self, info: &stream::Info) {
        self.events.store(most_bytes(info), Relaxed);
    }

    /// A frame must fit into `EVENTS`, and into a dead letter, should no collector be able to read it. Whoever sets the limits
    /// below the least that a server must take is answered by a server that refuses; no event is rejected for that.
    pub(super) fn frame_limit(&self, client: &Client) -> FrameLimit {
        let in_events = self.events.load(Relaxed).min(client.max_payload());
        let as_letter = self.of_letters(DeadLetterStream::Parked).load(Relaxed).min(client.max_payload());
        let bytes = in_events.min(as_letter).max(limits::LEAST_MESSAGE_BYTES) - HEADER_BYTES - LETTER_BYTES;
        FrameLimit { bytes }
    }

    /// Bytes of an encoded letter.
    pub(super) fn letter_bytes(&self, client: &Client, graveyard: DeadLetterStream) -> usize {
        self.of_letters(graveyard).load(Relaxed).min(client.max_payload()).saturating_sub(HEADER_BYTES)
    }

    fn of_letters(&self, graveyard: DeadLetterStream) -> &AtomicUsize {
        match graveyard {
            DeadLetterStream::Parked => &self.parked,
            DeadLetterStream::Rejected => &self.rejected,
        }
    }
}

/// A stream without a limit of its own says -1.
fn most_bytes(info: &stream::Info) -> usize {
    usize::try_from(info.config.max_message_size).ok().filter(|bytes| *bytes > 0).unwrap_or(usize::MAX)
}
