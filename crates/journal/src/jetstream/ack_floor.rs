//! The acknowledgement floor of `EVENTS`, and the frames that are still in it.

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::{StreamExt as _, TryStreamExt as _, stream as futures_stream};
use tokio::time::timeout;
use weir_event::Source;

use super::{
    PUBLISH_TIMEOUT,
    api::{self, ApiError, Context, unreachable},
    observation,
};
use crate::{
    error::JournalError,
    names::Names,
    position::{AckFloor, PresentFrame},
};

/// The most frames that are read at once: each read brings the payload too.
const WINDOW: usize = 8;

pub(super) async fn read(context: &Context, names: &Names) -> Result<AckFloor, JournalError> {
    // Reads the stream before the consumers, so that a frame that comes in between does not count as acknowledged.
    let info = api::stream_info(context, &names.events_stream()).await?.info;
    let mut through = info.state.last_sequence;
    for source in Source::ALL {
        through = through.min(floor_of(context, names, *source).await?.unwrap_or(u64::MAX));
    }
    Ok(AckFloor { journal: observation::identity(&info), through })
}

/// The frames at these sequences that are still in the stream.
pub(super) async fn present_frames(
    context: &Context,
    names: &Names,
    sequences: &[u64],
) -> Result<Vec<PresentFrame>, JournalError> {
    let events = names.events_stream();
    let first = api::stream_info(context, &events).await?.info.state.first_sequence;
    let stream = context.get_stream_no_info(&events).await.map_err(unreachable)?;
    let candidates = sequences.iter().copied().filter(|sequence| *sequence >= first);
    let reads = candidates.map(|sequence| frame_at(&stream, sequence));
    let frames: Vec<Option<PresentFrame>> =
        futures_stream::iter(reads).buffered(WINDOW).try_collect().await?;
    Ok(frames.into_iter().flatten().collect())
}

/// The sequence up to which a source's frames are acknowledged; `None` if all of them are.
async fn floor_of(context: &Context, names: &Names, source: Source) -> Result<Option<u64>, ApiError> {
    let info = api::consumer_info(context, &names.events_stream(), &names.consumer(source)).await?;
    let has_unacknowledged = info.num_pending > 0 || info.num_ack_pending > 0;
    Ok(has_unacknowledged.then_some(info.ack_floor.stream_sequence))
}

async fn frame_at(stream: &Stream<()>, sequence: u64) -> Result<Option<PresentFrame>, JournalError> {
    let request = stream.raw_message_builder().sequence(sequence).send();
    match timeout(PUBLISH_TIMEOUT, request).await.map_err(unreachable)? {
        Ok(message) => {
            let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
            Ok(Some(PresentFrame { sequence, id: id.map(ToString::to_string).unwrap_or_default() }))
        }
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(refusal) => Err(ApiError::from(refusal).into()),
            RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(unreachable(error)),
        },
    }
}
