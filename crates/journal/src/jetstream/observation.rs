//! One observation of `EVENTS` and its consumers.

use async_nats::jetstream::{consumer, stream};
use weir_event::Source;

use super::api::{self, ApiError, Context, StreamInfo};
use crate::{checkpoint::JournalCheckpoint, names::Names};

/// `EVENTS` and its consumers at one moment.
pub(super) struct EventsObservation {
    pub(super) stream: StreamInfo,
    /// In the order of [`Source::ALL`].
    pub(super) consumers: Vec<consumer::Info>,
    pub(super) checkpoint: JournalCheckpoint,
}

impl EventsObservation {
    /// For each source, the highest sequence that its consumer has acknowledged together with everything before it.
    pub(super) fn floors(&self) -> Vec<(Source, u64)> {
        Source::ALL.iter().map(|source| (*source, self.checkpoint.of(*source).floor)).collect()
    }
}

/// The identity of a stream: the time of its creation. Another stream may get the same name.
pub(super) fn identity(info: &stream::Info) -> i64 {
    info.created.timestamp_nanos_opt().unwrap_or_default()
}

/// Reads `EVENTS` and its consumers.
pub(super) async fn observe(context: &Context, names: &Names) -> Result<EventsObservation, ApiError> {
    let events = names.events_stream();
    let stream = api::stream_info(context, &events).await?;
    let mut checkpoint = JournalCheckpoint {
        journal: identity(&stream.info),
        last_sequence: stream.info.state.last_sequence,
        first_sequence: stream.info.state.first_sequence,
        may_purge: true,
        ..JournalCheckpoint::default()
    };
    let mut consumers = Vec::with_capacity(Source::ALL.len());
    for &source in Source::ALL {
        let info = api::consumer_info(context, &events, &names.consumer(source)).await?;
        let of_source = checkpoint.of_mut(source);
        of_source.waiting = info.num_pending + info.num_ack_pending as u64;
        of_source.floor = info.ack_floor.stream_sequence;
        consumers.push(info);
    }
    Ok(EventsObservation { stream, consumers, checkpoint })
}
