//! The progress of the collectors of a stream, and the frames that are still in it.

use std::sync::atomic::Ordering;

use async_nats::jetstream::stream::{self, RawMessageErrorKind, Stream};
use futures::{StreamExt as _, TryStreamExt as _, stream as futures_stream};
use tokio::time::timeout;
use weir_event::Source;

use super::{
    JetStream,
    api::{self, ApiError, Context},
    connection::PUBLISH_TIMEOUT,
};
use crate::{AckFloor, JournalError, Names, PresentFrame};

/// Frames that are looked at together: each brings its payload along.
const WINDOW: usize = 8;

/// The name and place of a stream may be given to another one; the time of its making is its own.
pub(super) fn identity(info: &stream::Info) -> i64 {
    info.created.timestamp_nanos_opt().unwrap_or_default()
}

impl JetStream {
    pub(crate) fn identity(&self) -> i64 {
        self.shared.identity.load(Ordering::Relaxed)
    }

    pub(crate) async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        let context = self.shared.connection.context();
        // Before the consumers: what comes in between is not taken for acknowledged.
        let info = api::stream_info(context, &self.names().events_stream()).await?.info;
        let journal = identity(&info);
        self.shared.identity.store(journal, Ordering::Relaxed);
        let mut through = info.state.last_sequence;
        for source in Source::ALL {
            through = through.min(floor(context, self.names(), *source).await?.unwrap_or(u64::MAX));
        }
        Ok(AckFloor { journal, through })
    }

    pub(crate) async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        let context = self.shared.connection.context();
        let events = self.names().events_stream();
        let first = api::stream_info(context, &events).await?.info.state.first_sequence;
        let stream = context.get_stream_no_info(&events).await.map_err(away)?;
        let there = sequences.iter().copied().filter(|sequence| *sequence >= first);
        let looks = there.map(|sequence| at(&stream, sequence));
        let held: Vec<Option<PresentFrame>> =
            futures_stream::iter(looks).buffered(WINDOW).try_collect().await?;
        Ok(held.into_iter().flatten().collect())
    }
}

/// Up to which sequence a source's frames are acknowledged; `None` where all of them are.
async fn floor(context: &Context, names: &Names, source: Source) -> Result<Option<u64>, ApiError> {
    let info = api::consumer_info(context, &names.events_stream(), &names.consumer(source)).await?;
    let waits = info.num_pending > 0 || info.num_ack_pending > 0;
    Ok(waits.then_some(info.ack_floor.stream_sequence))
}

async fn at(stream: &Stream<()>, sequence: u64) -> Result<Option<PresentFrame>, JournalError> {
    let question = stream.raw_message_builder().sequence(sequence).send();
    match timeout(PUBLISH_TIMEOUT, question).await.map_err(away)? {
        Ok(message) => {
            let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
            Ok(Some(PresentFrame { sequence, id: id.map(ToString::to_string).unwrap_or_default() }))
        }
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(refusal) => Err(ApiError::from(refusal).into()),
            RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(away(error)),
        },
    }
}

fn away(error: impl std::fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
