//! Reading dead letters back, and removing them.

use std::time::Duration;

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    message::StreamMessage,
    stream::{RawMessageBuilder, RawMessageErrorKind, WithHeaders},
};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, future::try_join_all};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    api::{self, ApiError, Context},
    connection::PUBLISH_TIMEOUT,
};
use crate::{DeadLetter, DeadLetterStats, JournalError, StoredDeadLetter};

/// Letters that one pull brings: 8 MiB, were all of them items of the largest size; a whole frame is four times as large.
const PULL: usize = 128;
/// A reader that is gone without a word leaves its consumer behind for so long.
const READER_AGE: Duration = Duration::from_secs(30);
/// Removals on their way together.
const WINDOW: usize = 64;

/// One consumer for the whole page: a question for each letter would take a round trip each.
pub(super) async fn read(
    context: &Context,
    stream: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let reader = api::put_consumer(context, stream, reader(after)).await?;
    let letters = page(&reader, limit).await;
    let info = reader.cached_info();
    // One that is left behind ends by its age.
    context.delete_consumer_from_stream(&info.name, stream).await.ok();
    letters
}

fn reader(after: u64) -> pull::Config {
    pull::Config {
        name: Some(Uuid::now_v7().to_string()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        inactive_threshold: READER_AGE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn page(reader: &Consumer<pull::Config>, limit: usize) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let mut letters = Vec::new();
    let mut pending = reader.cached_info().num_pending;
    while pending > 0 && letters.len() < limit {
        let wanted = PULL.min(limit - letters.len());
        let pull = timeout(PUBLISH_TIMEOUT, reader.fetch().max_messages(wanted).messages()).await;
        let mut pull = pull.map_err(away)?.map_err(away)?;
        let before = letters.len();
        while let Some(message) = timeout(PUBLISH_TIMEOUT, pull.next()).await.map_err(away)? {
            let message = message.map_err(away)?;
            pending = message.info().map_err(away)?.pending;
            letters.push(delivered(&message)?);
        }
        if letters.len() == before {
            // What was there has gone meanwhile.
            break;
        }
    }
    Ok(letters)
}

pub(super) async fn at(
    context: &Context,
    stream: &str,
    sequence: u64,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    if sequence == 0 {
        return Ok(None);
    }
    let stream = context.get_stream_no_info(stream).await.map_err(away)?;
    answer(stream.raw_message_builder().sequence(sequence)).await
}

/// The newest letter under a subject.
pub(super) async fn last(
    context: &Context,
    stream: &str,
    subject: &str,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let stream = context.get_stream_no_info(stream).await.map_err(away)?;
    answer(stream.raw_message_builder().last_by_subject(subject)).await
}

async fn answer(question: RawMessageBuilder<WithHeaders>) -> Result<Option<StoredDeadLetter>, JournalError> {
    match timeout(PUBLISH_TIMEOUT, question.send()).await.map_err(away)? {
        Ok(message) => stored(message).map(Some),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(refusal) => Err(ApiError::from(refusal).into()),
            RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(away(error)),
        },
    }
}

pub(super) async fn remove(context: &Context, stream: &str, sequences: &[u64]) -> Result<(), JournalError> {
    for window in sequences.chunks(WINDOW) {
        try_join_all(window.iter().map(|sequence| api::delete(context, stream, *sequence))).await?;
    }
    Ok(())
}

pub(super) async fn stats(context: &Context, stream: &str) -> Result<DeadLetterStats, JournalError> {
    let state = api::stream_info(context, stream).await?.info.state;
    Ok(DeadLetterStats {
        letters: state.messages,
        bytes: state.bytes,
        last: state.last_sequence,
        gone: state.last_sequence - state.messages,
    })
}

fn delivered(message: &Message) -> Result<StoredDeadLetter, JournalError> {
    let info = message.info().map_err(away)?;
    letter(info.stream_sequence, info.published, message.subject.as_str(), &message.payload)
}

fn stored(message: StreamMessage) -> Result<StoredDeadLetter, JournalError> {
    letter(message.sequence, message.time, message.subject.as_str(), &message.payload)
}

fn letter(
    sequence: u64,
    stored_at: DateTime<Utc>,
    subject: &str,
    payload: &[u8],
) -> Result<StoredDeadLetter, JournalError> {
    let unreadable = || JournalError::Unusable(format!("the dead letter {sequence} can't be read"));
    Ok(StoredDeadLetter {
        sequence,
        letter: DeadLetter::decode(payload).ok_or_else(unreadable)?,
        stored_at,
        subject: subject.to_owned(),
    })
}

fn away(error: impl std::fmt::Display) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
